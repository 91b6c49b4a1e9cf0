package cast

import (
	"math"
	"math/big"
	"math/bits"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/decimal128"
	"github.com/apache/arrow/go/v15/arrow/decimal256"
	"github.com/apache/arrow/go/v15/arrow/float16"
)

const (
	tooLarge = "is out of its range"
	inexact  = "would be rounded"
)

// number is a number of any type: an integer, a large one, or a floating one.
type number struct {
	float bool
	big   bool // u is meant, which no int64 is
	i     int64
	u     uint64
	f     float64
}

type integer interface {
	~int8 | ~int16 | ~int32 | ~int64 | ~uint8 | ~uint16 | ~uint32
}

func ints[T integer](values []T) func(int) number {
	return func(i int) number { return number{i: int64(values[i])} }
}

// numberOf reads an array's numbers; nil if it has none.
func numberOf(a arrow.Array) func(int) number {
	switch a := a.(type) {
	case *array.Int8:
		return ints(a.Int8Values())
	case *array.Int16:
		return ints(a.Int16Values())
	case *array.Int32:
		return ints(a.Int32Values())
	case *array.Int64:
		return ints(a.Int64Values())
	case *array.Uint8:
		return ints(a.Uint8Values())
	case *array.Uint16:
		return ints(a.Uint16Values())
	case *array.Uint32:
		return ints(a.Uint32Values())
	case *array.Uint64:
		return func(i int) number {
			v := a.Value(i)
			return number{big: v > math.MaxInt64, i: int64(v), u: v}
		}
	case *array.Float16:
		return func(i int) number { return number{float: true, f: float64(a.Value(i).Float32())} }
	case *array.Float32:
		return func(i int) number { return number{float: true, f: float64(a.Value(i))} }
	case *array.Float64:
		return func(i int) number { return number{float: true, f: a.Value(i)} }
	}
	return nil
}

// whole is a number as an integer.
func (n number) whole() (number, string) {
	switch {
	case !n.float:
		return n, ""
	case n.f != math.Trunc(n.f): // NaN too
		return n, "is not a whole number"
	case n.f >= -(1<<63) && n.f < 1<<63:
		return number{i: int64(n.f)}, ""
	case n.f >= 1<<63 && n.f < 1<<64:
		return number{big: true, u: uint64(n.f)}, ""
	}
	return n, tooLarge
}

// floating is a number as a float64.
func (n number) floating() (float64, string) {
	switch {
	case n.float:
		return n.f, ""
	case n.big:
		f := float64(n.u)
		if f < 1<<64 && uint64(f) == n.u {
			return f, ""
		}
	default:
		f := float64(n.i)
		if f < 1<<63 && int64(f) == n.i {
			return f, ""
		}
	}
	return 0, inexact
}

// narrow puts whole numbers of a range.
func narrow[T integer](read func(int) number, lo, hi int64, put func(T)) putFunc {
	return func(i int) string {
		n, reason := read(i).whole()
		if reason == "" && (n.big || n.i < lo || n.i > hi) {
			reason = tooLarge
		}
		if reason == "" {
			put(T(n.i))
		}
		return reason
	}
}

func (o binder) numbers(a arrow.Array, b array.Builder) putFunc {
	read := numberOf(a)
	if read == nil {
		return nil
	}
	switch b := b.(type) {
	case *array.Int8Builder:
		return narrow(read, math.MinInt8, math.MaxInt8, b.Append)
	case *array.Int16Builder:
		return narrow(read, math.MinInt16, math.MaxInt16, b.Append)
	case *array.Int32Builder:
		return narrow(read, math.MinInt32, math.MaxInt32, b.Append)
	case *array.Int64Builder:
		return narrow(read, math.MinInt64, math.MaxInt64, b.Append)
	case *array.Uint8Builder:
		return narrow(read, 0, math.MaxUint8, b.Append)
	case *array.Uint16Builder:
		return narrow(read, 0, math.MaxUint16, b.Append)
	case *array.Uint32Builder:
		return narrow(read, 0, math.MaxUint32, b.Append)
	case *array.Uint64Builder:
		return func(i int) string {
			n, reason := read(i).whole()
			if reason == "" && !n.big && n.i < 0 {
				reason = tooLarge
			}
			if n.big {
				b.Append(n.u)
			} else if reason == "" {
				b.Append(uint64(n.i))
			}
			return reason
		}
	case *array.Float64Builder:
		return func(i int) string {
			f, reason := read(i).floating()
			b.Append(f)
			return reason
		}
	case *array.Float32Builder:
		return func(i int) string { return o.float32(read(i), b) }
	case *array.Float16Builder:
		return func(i int) string {
			f, reason := read(i).floating()
			half := float16.New(float32(f))
			b.Append(half)
			if reason == "" && float64(half.Float32()) != f && f == f {
				reason = inexact
			}
			return reason
		}
	case *array.Decimal128Builder, *array.Decimal256Builder:
		if arrow.IsFloating(a.DataType().ID()) {
			return nil
		}
		return func(i int) string {
			n := read(i)
			v := big.NewInt(n.i)
			if n.big {
				v.SetUint64(n.u)
			}
			return putDecimal(b, v, 0)
		}
	}
	return nil
}

func (o binder) float32(n number, b *array.Float32Builder) string {
	f, reason := n.floating()
	near := float32(f)
	b.Append(near)
	switch {
	case reason != "", float64(near) == f, f != f:
		return reason
	case math.IsInf(float64(near), 0):
		return tooLarge
	case o.RoundFloats && n.float:
		return ""
	}
	return inexact
}

// kindOfTime tells what may become what: instants with dates, times of day, and durations are kinds of their own.
func kindOfTime(t arrow.DataType) (kind string, unit int64) {
	switch t := t.(type) {
	case *arrow.TimestampType:
		return "instant", int64(t.Unit.Multiplier())
	case *arrow.Date32Type:
		return "instant", int64(24 * time.Hour)
	case *arrow.Date64Type:
		return "instant", int64(time.Millisecond)
	case *arrow.Time32Type:
		return "clock", int64(t.Unit.Multiplier())
	case *arrow.Time64Type:
		return "clock", int64(t.Unit.Multiplier())
	case *arrow.DurationType:
		return "duration", int64(t.Unit.Multiplier())
	}
	return "", 0
}

func timeOf(a arrow.Array) func(int) int64 {
	switch a := a.(type) {
	case *array.Timestamp:
		return func(i int) int64 { return int64(a.Value(i)) }
	case *array.Date32:
		return func(i int) int64 { return int64(a.Value(i)) }
	case *array.Date64:
		return func(i int) int64 { return int64(a.Value(i)) }
	case *array.Time32:
		return func(i int) int64 { return int64(a.Value(i)) }
	case *array.Time64:
		return func(i int) int64 { return int64(a.Value(i)) }
	case *array.Duration:
		return func(i int) int64 { return int64(a.Value(i)) }
	}
	return nil
}

func times(a arrow.Array, b array.Builder) putFunc {
	have, from := kindOfTime(a.DataType())
	want, to := kindOfTime(b.Type())
	if have == "" || have != want {
		return nil
	}
	read := timeOf(a)
	return func(i int) string {
		v, reason := rescale(read(i), from, to)
		if reason == "" && !putTime(b, v) {
			reason = tooLarge
		}
		return reason
	}
}

// rescale converts a time from one unit to another.
func rescale(v, from, to int64) (int64, string) {
	if from < to {
		if v%(to/from) != 0 {
			return 0, inexact
		}
		return v / (to / from), ""
	}
	factor := from / to
	hi, lo := bits.Mul64(magnitude(v), uint64(factor))
	if hi != 0 || lo > math.MaxInt64 && !(v < 0 && lo == 1<<63) {
		return 0, tooLarge
	}
	return v * factor, ""
}

func magnitude(v int64) uint64 {
	if v < 0 {
		return -uint64(v)
	}
	return uint64(v)
}

func putTime(b array.Builder, v int64) bool {
	switch b := b.(type) {
	case *array.TimestampBuilder:
		b.Append(arrow.Timestamp(v))
	case *array.Date64Builder:
		b.Append(arrow.Date64(v))
	case *array.Date32Builder:
		b.Append(arrow.Date32(v))
		return int64(int32(v)) == v
	case *array.Time32Builder:
		b.Append(arrow.Time32(v))
		return int64(int32(v)) == v
	case *array.Time64Builder:
		b.Append(arrow.Time64(v))
	case *array.DurationBuilder:
		b.Append(arrow.Duration(v))
	}
	return true
}

// texts puts texts into text columns and binaries into binary ones.
func texts(a arrow.Array, b array.Builder) putFunc {
	var text func(int) string
	switch a := a.(type) {
	case *array.String:
		text = a.Value
	case *array.LargeString:
		text = a.Value
	}
	switch b := b.(type) {
	case *array.StringBuilder:
		if text != nil {
			return func(i int) string { b.Append(text(i)); return "" }
		}
	case *array.LargeStringBuilder:
		if text != nil {
			return func(i int) string { b.Append(text(i)); return "" }
		}
	case *array.BinaryBuilder:
		if value := binaryOf(a); value != nil {
			return func(i int) string { b.Append(value(i)); return "" }
		}
	case *array.FixedSizeBinaryBuilder:
		width := b.Type().(*arrow.FixedSizeBinaryType).ByteWidth
		if value := binaryOf(a); value != nil {
			return func(i int) string {
				if len(value(i)) != width {
					return "has another length"
				}
				b.Append(value(i))
				return ""
			}
		}
	}
	return nil
}

func binaryOf(a arrow.Array) func(int) []byte {
	switch a := a.(type) {
	case *array.Binary:
		return a.Value
	case *array.LargeBinary:
		return a.Value
	case *array.FixedSizeBinary:
		return a.Value
	}
	return nil
}

func bools(a arrow.Array, b array.Builder) putFunc {
	from, ok := a.(*array.Boolean)
	to, also := b.(*array.BooleanBuilder)
	if !ok || !also {
		return nil
	}
	return func(i int) string { to.Append(from.Value(i)); return "" }
}

// decimals puts decimals into decimals, and whole ones into integers.
func decimals(a arrow.Array, b array.Builder) putFunc {
	var read func(int) *big.Int
	var scale int32
	switch a := a.(type) {
	case *array.Decimal128:
		read, scale = func(i int) *big.Int { return a.Value(i).BigInt() }, a.DataType().(*arrow.Decimal128Type).Scale
	case *array.Decimal256:
		read, scale = func(i int) *big.Int { return a.Value(i).BigInt() }, a.DataType().(*arrow.Decimal256Type).Scale
	default:
		return nil
	}
	switch b := b.(type) {
	case *array.Decimal128Builder, *array.Decimal256Builder:
		return func(i int) string { return putDecimal(b, read(i), scale) }
	case *array.Int64Builder:
		return func(i int) string {
			v, reason := digits(read(i), scale, 0)
			if reason == "" && !v.IsInt64() {
				reason = tooLarge
			}
			if reason == "" {
				b.Append(v.Int64())
			}
			return reason
		}
	}
	return nil
}

// digits converts a number from one scale to another.
func digits(v *big.Int, from, to int32) (*big.Int, string) {
	power := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(max(to-from, from-to))), nil)
	if to >= from {
		return new(big.Int).Mul(v, power), ""
	}
	v, rest := new(big.Int).QuoRem(v, power, new(big.Int))
	if rest.Sign() != 0 {
		return nil, inexact
	}
	return v, ""
}

func putDecimal(b array.Builder, v *big.Int, scale int32) string {
	var to, precision int32
	switch t := b.Type().(type) {
	case *arrow.Decimal128Type:
		to, precision = t.Scale, t.Precision
	case *arrow.Decimal256Type:
		to, precision = t.Scale, t.Precision
	}
	v, reason := digits(v, scale, to)
	if reason != "" {
		return reason
	}
	if v.CmpAbs(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(precision)), nil)) >= 0 {
		return tooLarge
	}
	switch b := b.(type) {
	case *array.Decimal128Builder:
		b.Append(decimal128.FromBigInt(v))
	case *array.Decimal256Builder:
		b.Append(decimal256.FromBigInt(v))
	}
	return ""
}
