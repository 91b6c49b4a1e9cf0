package arrowsize

import "github.com/apache/arrow/go/v15/arrow"

// NullBits is about what a null of a type takes in an array, in bits. Values of a fixed width take that much whether they are
// null or not, and so do lists of a fixed length: it is the least that any row takes. It is bounded, so that it can be added up.
func NullBits(t arrow.DataType) int64 {
	bits := int64(1)
	switch t := t.(type) {
	case *arrow.FixedSizeListType:
		bits += times(NullBits(t.Elem()), int64(t.Len()))
	case *arrow.StructType:
		for _, f := range t.Fields() {
			bits = min(mostBits, bits+NullBits(f.Type))
		}
	case *arrow.SparseUnionType:
		for _, f := range t.Fields() {
			bits = min(mostBits, bits+NullBits(f.Type))
		}
		bits += 8
	case arrow.ExtensionType:
		return NullBits(t.StorageType())
	case *arrow.FixedSizeBinaryType: // whose BitWidth is an int32's worth of bytes
		bits += 8 * int64(t.ByteWidth)
	case arrow.FixedWidthDataType:
		bits += int64(t.BitWidth())
	case *arrow.NullType:
	default: // an offset
		bits += 64
	}
	return min(mostBits, bits)
}

// NullBytes is what so many nulls of a type take.
func NullBytes(t arrow.DataType, rows int64) int64 { return times(NullBits(t), rows) / 8 }

// mostBits is more than there will be memory, 32 TiB, and little enough to be added up for thousands of columns.
const mostBits = 1 << 48

func times(bits, n int64) int64 {
	if n > 0 && bits > mostBits/n {
		return mostBits
	}
	return bits * n
}
