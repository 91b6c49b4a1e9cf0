package arrowsize

import (
	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
)

// Varies reports whether rows of a type differ in what they take: there are texts or lists in it.
func Varies(t arrow.DataType) bool {
	switch t := t.(type) {
	case arrow.ExtensionType:
		return Varies(t.StorageType())
	case *arrow.FixedSizeListType:
		return Varies(t.Elem())
	case *arrow.StructType:
		for _, f := range t.Fields() {
			if Varies(f.Type) {
				return true
			}
		}
		return false
	case arrow.FixedWidthDataType, *arrow.NullType:
		return false
	}
	return true
}

// Span returns a function that tells what the rows lo <= row < hi of an array take, at no cost that grows with them: the
// values of neighbouring rows are neighbours.
func Span(a arrow.Array) func(lo, hi int64) int64 {
	switch a := a.(type) {
	case array.ExtensionArray:
		return Span(a.Storage())
	case array.BinaryLike:
		return func(lo, hi int64) int64 {
			if lo >= hi {
				return 0
			}
			last := int(hi) - 1
			return a.ValueOffset64(last) + int64(a.ValueLen(last)) - a.ValueOffset64(int(lo)) + (hi-lo)*offsetWidth(a)
		}
	case *array.FixedSizeList:
		of, first, width := Span(a.ListValues()), int64(a.Data().Offset()), int64(a.DataType().(*arrow.FixedSizeListType).Len())
		return func(lo, hi int64) int64 { return (hi-lo+7)/8 + of((first+lo)*width, (first+hi)*width) }
	case array.ListLike:
		of := Span(a.ListValues())
		return func(lo, hi int64) int64 {
			if lo >= hi {
				return 0
			}
			from, _ := a.ValueOffsets(int(lo))
			_, to := a.ValueOffsets(int(hi) - 1)
			return (hi-lo)*8 + of(from, to)
		}
	case *array.Struct:
		fields := make([]func(lo, hi int64) int64, a.NumField())
		for i := range fields {
			fields[i] = Span(a.Field(i))
		}
		return func(lo, hi int64) int64 {
			n := (hi - lo + 7) / 8
			for _, of := range fields {
				n += of(lo, hi)
			}
			return n
		}
	}
	bits := NullBits(a.DataType())
	return func(lo, hi int64) int64 { return ((hi-lo)*bits + 7) / 8 }
}
