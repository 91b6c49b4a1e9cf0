package ipcguard

import (
	"unicode/utf8"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/bitutil"
	"github.com/apache/arrow/go/v15/arrow/decimal128"
	"github.com/apache/arrow/go/v15/arrow/decimal256"
	"github.com/apache/arrow/go/v15/arrow/memory"
)

// isNull reads a validity bitmap that begins at the first value; nil means no nulls.
func isNull(valid *memory.Buffer, i int) bool {
	return valid != nil && bitutil.BitIsNotSet(valid.Bytes(), i)
}

// notUTF8 returns the first value that is not UTF-8, -1 if there is none. What stands under nulls does not count. The
// common case is one pass over all bytes.
func notUTF8[T int32 | int64](text []byte, ends []T, valid *memory.Buffer) int {
	if utf8.Valid(text) && onRunes(text, ends) {
		return -1
	}
	for i := range len(ends) - 1 {
		if !isNull(valid, i) && !utf8.Valid(text[ends[i]:ends[i+1]]) {
			return i
		}
	}
	return -1
}

// onRunes reports whether no value begins in the middle of a rune.
func onRunes[T int32 | int64](text []byte, ends []T) bool {
	for _, end := range ends {
		if int(end) < len(text) && !utf8.RuneStart(text[end]) {
			return false
		}
	}
	return true
}

// checkIndices checks the indices of a dictionary array. Those under nulls mean nothing: pandas leaves -1 there.
func (b *batch) checkIndices(f *field, t arrow.DataType, raw []byte, valid *memory.Buffer, values int) error {
	bad := -1
	switch t.ID() {
	case arrow.INT8:
		bad = outside(arrow.GetData[int8](raw), valid, values)
	case arrow.UINT8:
		bad = outside(arrow.GetData[uint8](raw), valid, values)
	case arrow.INT16:
		bad = outside(arrow.GetData[int16](raw), valid, values)
	case arrow.UINT16:
		bad = outside(arrow.GetData[uint16](raw), valid, values)
	case arrow.INT32:
		bad = outside(arrow.GetData[int32](raw), valid, values)
	case arrow.UINT32:
		bad = outside(arrow.GetData[uint32](raw), valid, values)
	case arrow.INT64:
		bad = outside(arrow.GetData[int64](raw), valid, values)
	case arrow.UINT64:
		bad = outside(arrow.GetData[uint64](raw), valid, values)
	}
	if bad >= 0 {
		return b.invalid(f, "value %d refers outside its dictionary of %d values", bad, values)
	}
	return nil
}

// outside returns the first index that is negative or at least n, -1 if there is none.
func outside[T int8 | uint8 | int16 | uint16 | int32 | uint32 | int64 | uint64](indices []T, valid *memory.Buffer, n int) int {
	for i, v := range indices {
		if uint64(v) >= uint64(n) && !isNull(valid, i) {
			return i
		}
	}
	return -1
}

// checkDecimals checks that the digits of decimals are within the precision of their type.
func (b *batch) checkDecimals(f *field, d *array.Data) error {
	valid, raw := d.Buffers()[0], d.Buffers()[1].Bytes()
	switch t := d.DataType().(type) {
	case *arrow.Decimal128Type:
		for i, v := range arrow.GetData[decimal128.Num](raw) {
			if abs := v.Abs(); (abs.Sign() < 0 || !abs.FitsInPrecision(t.Precision)) && !isNull(valid, i) {
				return b.invalid(f, "value %d has more than %d digits", i, t.Precision)
			}
		}
	case *arrow.Decimal256Type:
		for i, v := range arrow.GetData[decimal256.Num](raw) {
			if abs := v.Abs(); (abs.Sign() < 0 || !abs.FitsInPrecision(t.Precision)) && !isNull(valid, i) {
				return b.invalid(f, "value %d has more than %d digits", i, t.Precision)
			}
		}
	}
	return nil
}

// checkEntries checks what v15's map array panics about.
func (b *batch) checkEntries(f *field, entries arrow.ArrayData) error {
	if entries.NullN() != 0 || entries.Children()[0].NullN() != 0 {
		return b.invalid(f, "a map has null entries or null keys")
	}
	return nil
}

func (b *batch) checkCodes(f *field, t arrow.UnionType, codes []byte) error {
	ids := t.ChildIDs()
	for i, code := range codes {
		if int(code) >= len(ids) || ids[code] == arrow.InvalidUnionChildID {
			return b.invalid(f, "value %d has type id %d, which its union has not", i, int8(code))
		}
	}
	return nil
}

// checkUnionOffsets checks that the values of a dense union refer into their children, in order.
func (b *batch) checkUnionOffsets(f *field, t arrow.UnionType, d *array.Data) error {
	ids, codes := t.ChildIDs(), d.Buffers()[1].Bytes()
	last := make([]int32, len(d.Children()))
	for i, offset := range arrow.GetData[int32](d.Buffers()[2].Bytes()) {
		child := ids[codes[i]]
		if n := d.Children()[child].Len(); offset < last[child] || int(offset) >= n {
			return b.invalid(f, "value %d has offset %d, after %d and of %d values", i, offset, last[child], n)
		}
		last[child] = offset
	}
	return nil
}
