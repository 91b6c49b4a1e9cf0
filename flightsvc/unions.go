package flightsvc

import (
	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/bitutil"
	"github.com/apache/arrow/go/v15/arrow/memory"
)

// v15 writes slices of unions wrongly, or fails. So a column with a union in it is laid out anew before it is written,
// as arrays that begin at 0.

// sendable is a record that v15 writes well; the same one if it has no unions. It is the caller's, to be released.
func sendable(rec arrow.Record) arrow.Record {
	var columns []arrow.Array
	for i, col := range rec.Columns() {
		if !hasUnion(col.DataType()) {
			continue
		}
		if columns == nil {
			columns = append(columns, rec.Columns()...)
		}
		columns[i] = array.MakeFromData(relaid(col.Data()))
	}
	if columns == nil {
		rec.Retain()
		return rec
	}
	return array.NewRecord(rec.Schema(), columns, rec.NumRows())
}

func hasUnion(t arrow.DataType) bool {
	if arrow.IsUnion(t.ID()) {
		return true
	}
	if nested, ok := t.(arrow.NestedType); ok {
		for _, f := range nested.Fields() {
			if hasUnion(f.Type) {
				return true
			}
		}
	}
	return false
}

// relaid is an array that begins at 0, with whatever is below it.
func relaid(d arrow.ArrayData) arrow.ArrayData {
	if !hasUnion(d.DataType()) {
		return d
	}
	from, n := d.Offset(), d.Len()
	children := make([]arrow.ArrayData, len(d.Children()))
	below := func(i, lo, hi int) {
		slice := array.NewSliceData(d.Children()[i], int64(lo), int64(hi))
		children[i] = relaid(slice)
	}
	buffers := []*memory.Buffer{nil}
	switch t := d.DataType().(type) {
	case *arrow.SparseUnionType:
		buffers = append(buffers, memory.NewBufferBytes(d.Buffers()[1].Bytes()[from:from+n]))
		for i := range children {
			below(i, from, from+n)
		}
	case *arrow.DenseUnionType:
		codes := d.Buffers()[1].Bytes()[from : from+n]
		offsets, spans := rebased(t, codes, arrow.Int32Traits.CastFromBytes(d.Buffers()[2].Bytes())[from:from+n])
		buffers = append(buffers, memory.NewBufferBytes(codes), memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(offsets)))
		for i, s := range spans {
			below(i, s[0], s[1])
		}
	case *arrow.FixedSizeListType:
		buffers[0] = validity(d)
		below(0, from*int(t.Len()), (from+n)*int(t.Len()))
	case *arrow.LargeListType:
		buffers[0] = validity(d)
		offsets, lo, hi := shifted(arrow.Int64Traits.CastFromBytes(d.Buffers()[1].Bytes()), from, n)
		buffers = append(buffers, memory.NewBufferBytes(arrow.Int64Traits.CastToBytes(offsets)))
		below(0, lo, hi)
	case *arrow.ListType, *arrow.MapType:
		buffers[0] = validity(d)
		offsets, lo, hi := shifted(arrow.Int32Traits.CastFromBytes(d.Buffers()[1].Bytes()), from, n)
		buffers = append(buffers, memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(offsets)))
		below(0, lo, hi)
	default: // a struct
		buffers[0] = validity(d)
		for i := range children {
			below(i, from, from+n)
		}
	}
	nulls := 0 // v15 counts only where there is a bitmap
	if buffers[0] != nil {
		nulls = n - bitutil.CountSetBits(buffers[0].Bytes(), 0, n)
	}
	return array.NewData(d.DataType(), n, buffers, children, nulls, 0)
}

// rebased are a union's offsets, counted from the first value of each child that they refer to, and which values those
// are. The offsets of one child ascend.
func rebased(t *arrow.DenseUnionType, codes []byte, offsets []int32) ([]int32, [][2]int) {
	spans := make([][2]int, len(t.Fields()))
	out := make([]int32, len(offsets))
	for i, offset := range offsets {
		span := &spans[t.ChildIDs()[codes[i]]]
		if span[1] == 0 {
			span[0] = int(offset)
		}
		span[1] = int(offset) + 1
		out[i] = offset - int32(span[0])
	}
	return out, spans
}

// shifted are the offsets of n lists, counted from 0, and where their values are.
func shifted[T int32 | int64](offsets []T, from, n int) (out []T, lo, hi int) {
	if n == 0 {
		return []T{0}, 0, 0
	}
	offsets = offsets[from : from+n+1]
	out = make([]T, n+1)
	for i, o := range offsets {
		out[i] = o - offsets[0]
	}
	return out, int(offsets[0]), int(offsets[n])
}

// validity is the bitmap of an array, from bit 0.
func validity(d arrow.ArrayData) *memory.Buffer {
	bits := d.Buffers()[0]
	if bits == nil || d.Offset() == 0 {
		return bits
	}
	out := make([]byte, bitutil.BytesForBits(int64(d.Len())))
	bitutil.CopyBitmap(bits.Bytes(), d.Offset(), d.Len(), out, 0)
	return memory.NewBufferBytes(out)
}
