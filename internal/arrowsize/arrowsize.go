// Package arrowsize tells how many bytes of buffers an array refers to: what it costs on the wire, of a slice only the
// sliced part.
package arrowsize

import (
	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/bitutil"
)

// Record is the sum of the record's columns, in bytes.
func Record(rec arrow.Record) int64 {
	var n int64
	for _, col := range rec.Columns() {
		n += Array(col)
	}
	return n
}

// Rows is what Record is without dictionaries, which travel once and not with every record.
func Rows(rec arrow.Record) int64 {
	var n int64
	for _, col := range rec.Columns() {
		n += measure(col, false)
	}
	return n
}

// Array is the size of an array in bytes: validity, values, offsets, children, and a dictionary in full.
func Array(a arrow.Array) int64 { return measure(a, true) }

func measure(a arrow.Array, dictionaries bool) int64 {
	rows := int64(a.Len())
	n := int64(0)
	if len(a.Data().Buffers()) > 0 && a.Data().Buffers()[0] != nil {
		n = bitutil.BytesForBits(rows)
	}
	switch a := a.(type) {
	case *array.Dictionary:
		n += rows * int64(a.DataType().(*arrow.DictionaryType).IndexType.(arrow.FixedWidthDataType).Bytes())
		if dictionaries {
			n += measure(a.Dictionary(), true)
		}
		return n
	case array.ExtensionArray:
		return measure(a.Storage(), dictionaries)
	case array.BinaryLike:
		if rows > 0 {
			last := int(rows) - 1 // v15 has no offset after the last value of a binary column
			n += a.ValueOffset64(last) + int64(a.ValueLen(last)) - a.ValueOffset64(0)
		}
		return n + (rows+1)*offsetWidth(a)
	case *array.FixedSizeList:
		width := int64(a.DataType().(*arrow.FixedSizeListType).Len())
		return n + part(a.ListValues(), int64(a.Data().Offset())*width, rows*width, dictionaries)
	case array.ListLike: // lists, large lists and maps
		if rows == 0 {
			return n
		}
		lo, _ := a.ValueOffsets(0)
		_, hi := a.ValueOffsets(int(rows) - 1)
		return n + (rows+1)*8 + part(a.ListValues(), lo, hi-lo, dictionaries)
	case *array.Struct:
		for i := range a.NumField() {
			n += measure(a.Field(i), dictionaries)
		}
		return n
	case *array.SparseUnion:
		for i := range a.NumFields() {
			n += measure(a.Field(i), dictionaries)
		}
		return n + rows
	case *array.DenseUnion:
		return n + 5*rows + denseChildren(a, dictionaries)
	}
	if t, ok := a.DataType().(arrow.FixedWidthDataType); ok {
		return n + bitutil.BytesForBits(rows*int64(t.BitWidth()))
	}
	for _, buf := range a.Data().Buffers() { // a kind that is not known here: all of it
		if buf != nil {
			n += int64(buf.Len())
		}
	}
	return n
}

// denseChildren is the size of what the values of a union refer to in its children; in each child the offsets ascend.
func denseChildren(a *array.DenseUnion, dictionaries bool) (n int64) {
	first, last := make([]int64, a.NumFields()), make([]int64, a.NumFields())
	for i := range a.Len() {
		child, at := a.ChildID(i), int64(a.ValueOffset(i))
		if last[child] == 0 {
			first[child] = at
		}
		last[child] = at + 1
	}
	for i := range first {
		if last[i] > 0 {
			n += part(a.Field(i), first[i], last[i]-first[i], dictionaries)
		}
	}
	return n
}

func offsetWidth(a arrow.Array) int64 {
	switch a.DataType().ID() {
	case arrow.LARGE_STRING, arrow.LARGE_BINARY:
		return 8
	}
	return 4
}

func part(values arrow.Array, lo, n int64, dictionaries bool) int64 {
	slice := array.NewSlice(values, lo, lo+n)
	defer slice.Release()
	return measure(slice, dictionaries)
}
