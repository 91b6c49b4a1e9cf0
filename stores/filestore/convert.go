package filestore

import (
	"math"
	"math/bits"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/bitutil"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/flightd/flightd/internal/fault"
)

// convert gives an array the type that wider found for it. It fails for a time that the finer unit cannot hold.
// The values are copied; text and validity may be shared with the array.
func convert(a arrow.Array, to arrow.DataType) (arrow.Array, error) {
	switch a := a.(type) {
	case *array.Null:
		return array.MakeArrayOfNull(memory.DefaultAllocator, to, a.Len()), nil
	case *array.Float32:
		return rebuild(a, to, memory.NewBufferBytes(arrow.Float64Traits.CastToBytes(each[float32, float64](a.Float32Values())))), nil
	case *array.String:
		return longOffsets(a, to, a.ValueOffsets()), nil
	case *array.Binary:
		return longOffsets(a, to, a.ValueOffsets()), nil
	case *array.Struct, *array.List, *array.LargeList, *array.FixedSizeList, *array.Map:
		return relabel(a, to), nil
	}
	values := integers(a)
	if factor := perUnit(a.DataType(), to); factor > 1 {
		if err := scale(a, values, factor, to); err != nil {
			return nil, err
		}
	}
	return rebuild(a, to, memory.NewBufferBytes(narrow(values, to))), nil
}

type number interface {
	~int8 | ~int16 | ~int32 | ~int64 | ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~float32 | ~float64
}

func each[From, To number](values []From) []To {
	out := make([]To, len(values))
	for i, v := range values {
		out[i] = To(v)
	}
	return out
}

// integers are the values of an integer or time array; uint64, the widest of its kind, is never converted.
func integers(a arrow.Array) []int64 {
	switch a := a.(type) {
	case *array.Int8:
		return each[int8, int64](a.Int8Values())
	case *array.Int16:
		return each[int16, int64](a.Int16Values())
	case *array.Int32:
		return each[int32, int64](a.Int32Values())
	case *array.Uint8:
		return each[uint8, int64](a.Uint8Values())
	case *array.Uint16:
		return each[uint16, int64](a.Uint16Values())
	case *array.Uint32:
		return each[uint32, int64](a.Uint32Values())
	case *array.Timestamp:
		return each[arrow.Timestamp, int64](a.TimestampValues())
	case *array.Duration:
		return each[arrow.Duration, int64](a.DurationValues())
	case *array.Time32:
		return each[arrow.Time32, int64](a.Time32Values())
	case *array.Time64:
		return each[arrow.Time64, int64](a.Time64Values())
	}
	panic("filestore: convert of " + a.DataType().String())
}

// narrow are the bytes of integers in the width of a type, which is known to hold them.
func narrow(values []int64, to arrow.DataType) []byte {
	switch to.(arrow.FixedWidthDataType).BitWidth() {
	case 16:
		return arrow.Int16Traits.CastToBytes(each[int64, int16](values))
	case 32:
		return arrow.Int32Traits.CastToBytes(each[int64, int32](values))
	}
	return arrow.Int64Traits.CastToBytes(values)
}

// perUnit is how many units of one time type make one of another; 0 for types without a unit.
func perUnit(from, to arrow.DataType) int64 {
	unit := func(t arrow.DataType) int64 {
		switch t := t.(type) {
		case *arrow.TimestampType:
			return int64(t.Unit.Multiplier())
		case *arrow.DurationType:
			return int64(t.Unit.Multiplier())
		case *arrow.Time32Type:
			return int64(t.Unit.Multiplier())
		case *arrow.Time64Type:
			return int64(t.Unit.Multiplier())
		}
		return 0
	}
	if fine := unit(to); fine > 0 {
		return unit(from) / fine
	}
	return 0
}

// scale multiplies values in place; what stands under a null does not matter.
func scale(a arrow.Array, values []int64, factor int64, to arrow.DataType) error {
	for i, v := range values {
		scaled, ok := times(v, factor)
		if !ok && a.IsValid(i) {
			return fault.New(fault.Precondition,
				"the value %d of type %s is too far away to be a %s, which another file of the source has", v, a.DataType(), to)
		}
		values[i] = scaled
	}
	return nil
}

// times is v * factor if that is an int64.
func times(v, factor int64) (int64, bool) {
	hi, lo := bits.Mul64(uint64(max(v, -v)), uint64(factor))
	if hi != 0 || lo > math.MaxInt64 || v == math.MinInt64 {
		return 0, false
	}
	return v * factor, true
}

// longOffsets makes large text or binary, sharing the bytes.
func longOffsets(a arrow.Array, to arrow.DataType, offsets []int32) arrow.Array {
	long := memory.NewBufferBytes(arrow.Int64Traits.CastToBytes(each[int32, int64](offsets)))
	return rebuild(a, to, long, a.Data().Buffers()[2])
}

// rebuild makes an array of a type from the validity of another and new values, which begin at its first row.
func rebuild(a arrow.Array, to arrow.DataType, values ...*memory.Buffer) arrow.Array {
	var validity *memory.Buffer
	if a.NullN() > 0 {
		bitmap := make([]byte, bitutil.BytesForBits(int64(a.Len())))
		bitutil.CopyBitmap(a.NullBitmapBytes(), a.Data().Offset(), a.Len(), bitmap, 0)
		validity = memory.NewBufferBytes(bitmap)
	}
	data := array.NewData(to, a.Len(), append([]*memory.Buffer{validity}, values...), nil, a.NullN(), 0)
	defer data.Release()
	return array.MakeFromData(data)
}
