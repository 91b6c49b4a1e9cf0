package joins

import (
	"bytes"
	"fmt"
	"math"
	"math/big"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/decimal128"
	"github.com/apache/arrow/go/v15/arrow/decimal256"
	"github.com/apache/arrow/go/v15/arrow/float16"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/flightd/flightd/internal/anyarray"
	"github.com/flightd/flightd/internal/fault"
)

// recast makes keys of another type that equal the keys of a as joins compare them. A key that the type cannot hold is an
// error. It is not compute.CastArray because that rounds, lacks pairs of types, and has kernels that panic in goroutines
// of their own.
func recast(a arrow.Array, to arrow.DataType) (arrow.Array, error) {
	s, ok := pair(to, a.DataType())
	if !ok || s.kind == nothing {
		return nil, fmt.Errorf("keys of type %s have no form in %s", a.DataType(), to)
	}
	var col keyColumn
	state := make([]uint8, a.Len())
	if err := col.encode(a, s, state); err != nil {
		return nil, err
	}
	storage := to
	if x, ok := to.(arrow.ExtensionType); ok {
		storage = x.StorageType()
	}
	b := array.NewBuilder(memory.DefaultAllocator, storage)
	defer b.Release()
	b.Reserve(a.Len())
	write := col.writer(s, a)
	for i := range a.Len() {
		if state[i] == isNull {
			b.AppendNull()
			continue
		}
		if state[i] == unmatchable || !write(b, i) {
			return nil, fault.New(fault.Invalid, "the key %s (%s) has no form in %s", clipText(anyarray.Text(a, i)), a.DataType(), to)
		}
	}
	return asType(to, b.NewArray()), nil
}

// asType gives storage its extension type back.
func asType(t arrow.DataType, storage arrow.Array) arrow.Array {
	x, ok := t.(arrow.ExtensionType)
	if !ok {
		return storage
	}
	defer storage.Release()
	return array.NewExtensionArrayWithStorage(x, storage)
}

// writer appends the encoded key of a row to a builder. It answers false if the builder's type cannot hold it.
func (col *keyColumn) writer(s space, a arrow.Array) func(b array.Builder, row int) bool {
	switch {
	case s.kind == decimals:
		value, err := decimalReader(a)
		return func(b array.Builder, row int) bool {
			if err != nil {
				return false
			}
			digits, scale := value(row)
			return writeDecimal(b, digits, scale)
		}
	case !s.word():
		return func(b array.Builder, row int) bool { return writeText(b, col.text[row]) }
	case s.kind == floats:
		return func(b array.Builder, row int) bool { return writeFloat(b, math.Float64frombits(col.words[row])) }
	case s.kind == uint64s:
		return func(b array.Builder, row int) bool { return writeUnsigned(b, col.words[row]) }
	}
	return func(b array.Builder, row int) bool { return writeWord(b, int64(col.words[row]), s) }
}

func writeText(b array.Builder, text []byte) bool {
	switch b := b.(type) {
	case *array.StringBuilder:
		b.Append(string(text))
	case *array.LargeStringBuilder:
		b.Append(string(text))
	case *array.BinaryBuilder:
		b.Append(text)
	case *array.FixedSizeBinaryBuilder:
		if len(text) != b.Type().(*arrow.FixedSizeBinaryType).ByteWidth {
			return false
		}
		b.Append(bytes.Clone(text))
	default:
		return false
	}
	return true
}

func writeFloat(b array.Builder, v float64) bool {
	switch b := b.(type) {
	case *array.Float64Builder:
		b.Append(v)
	case *array.Float32Builder:
		b.Append(float32(v))
		return float64(float32(v)) == v
	case *array.Float16Builder:
		n := float16.New(float32(v))
		b.Append(n)
		return float64(n.Float32()) == v
	default:
		return false
	}
	return true
}

func writeUnsigned(b array.Builder, v uint64) bool {
	if b, ok := b.(*array.Uint64Builder); ok {
		b.Append(v)
		return true
	}
	if f := float64(v); f < 1<<64 && uint64(f) == v {
		return writeFloat(b, f)
	}
	return false
}

// writeWord writes whole numbers, truth values and times.
func writeWord(b array.Builder, v int64, s space) bool {
	if _, u, _ := kindOf(b.Type()); u > 0 && s.unit > u {
		hi, lo := mul128(v, int64(s.unit/u))
		v = int64(lo)
		if hi != v>>63 {
			return false
		}
	}
	switch b := b.(type) {
	case *array.Int64Builder:
		b.Append(v)
	case *array.Int32Builder:
		b.Append(int32(v))
		return int64(int32(v)) == v
	case *array.Int16Builder:
		b.Append(int16(v))
		return int64(int16(v)) == v
	case *array.Int8Builder:
		b.Append(int8(v))
		return int64(int8(v)) == v
	case *array.Uint64Builder:
		b.Append(uint64(v))
		return v >= 0
	case *array.Uint32Builder:
		b.Append(uint32(v))
		return int64(uint32(v)) == v
	case *array.Uint16Builder:
		b.Append(uint16(v))
		return int64(uint16(v)) == v
	case *array.Uint8Builder:
		b.Append(uint8(v))
		return int64(uint8(v)) == v
	case *array.BooleanBuilder:
		b.Append(v != 0)
	case *array.TimestampBuilder:
		b.Append(arrow.Timestamp(v))
	case *array.Date64Builder:
		b.Append(arrow.Date64(v))
	case *array.Date32Builder:
		b.Append(arrow.Date32(v))
		return int64(int32(v)) == v
	case *array.Time64Builder:
		b.Append(arrow.Time64(v))
	case *array.Time32Builder:
		b.Append(arrow.Time32(v))
		return int64(int32(v)) == v
	case *array.DurationBuilder:
		b.Append(arrow.Duration(v))
	default:
		f := float64(v)
		return f < 1<<63 && int64(f) == v && writeFloat(b, f)
	}
	return true
}

// writeDecimal writes digits x 10^-scale.
func writeDecimal(b array.Builder, digits *big.Int, scale int32) bool {
	to, precision := int32(0), int32(math.MaxInt32)
	switch t := b.Type().(type) {
	case *arrow.Decimal128Type:
		to, precision = t.Scale, t.Precision
	case *arrow.Decimal256Type:
		to, precision = t.Scale, t.Precision
	}
	power := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(max(to-scale, scale-to))), nil)
	if to >= scale {
		digits = new(big.Int).Mul(digits, power)
	} else {
		var rest *big.Int
		if digits, rest = new(big.Int).QuoRem(digits, power, new(big.Int)); rest.Sign() != 0 {
			return false
		}
	}
	switch b := b.(type) {
	case *array.Decimal128Builder:
		if !fitsDigits(digits, precision) {
			return false
		}
		b.Append(decimal128.FromBigInt(digits))
		return true
	case *array.Decimal256Builder:
		if !fitsDigits(digits, precision) {
			return false
		}
		b.Append(decimal256.FromBigInt(digits))
		return true
	case *array.Uint64Builder:
		b.Append(digits.Uint64())
		return digits.IsUint64()
	}
	return digits.IsInt64() && writeWord(b, digits.Int64(), space{kind: int64s})
}

func fitsDigits(n *big.Int, precision int32) bool {
	limit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(precision)), nil)
	return n.CmpAbs(limit) < 0
}
