package parquetio

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"github.com/flightd/flightd/internal/fault"
)

// plainInts are integers, times and the decimals of old files that are stored as integers.
type plainInts struct {
	typ      arrow.DataType
	wide     bool // 64 bits
	unsigned bool
	value    func(i int) int64
	factor   int64 // from the array's unit to the column's

	some        bool
	least, most int64
}

func newPlainInts(t arrow.DataType, wide bool) plainValues {
	if t.ID() == arrow.NULL {
		return plainNulls{}
	}
	return &plainInts{typ: t, wide: wide, unsigned: t.ID() == arrow.UINT64}
}

func (c *plainInts) bind(a arrow.Array) error {
	c.value, c.factor = intValues(a), 1
	if c.value == nil {
		return unbound(a, c)
	}
	have, want := stepOf(a.DataType()), stepOf(c.typ)
	if have%want != 0 {
		return fmt.Errorf("an array of type %s in a column of type %s", a.DataType(), c.typ)
	}
	c.factor = have / want
	return nil
}

// intValues is how to read an array's values as integers; nil if they are none.
func intValues(a arrow.Array) func(i int) int64 {
	switch a := a.(type) {
	case *array.Int8:
		return intsOf(a.Int8Values())
	case *array.Int16:
		return intsOf(a.Int16Values())
	case *array.Int32:
		return intsOf(a.Int32Values())
	case *array.Int64:
		return intsOf(a.Int64Values())
	case *array.Uint8:
		return intsOf(a.Uint8Values())
	case *array.Uint16:
		return intsOf(a.Uint16Values())
	case *array.Uint32:
		return intsOf(a.Uint32Values())
	case *array.Uint64:
		return intsOf(a.Uint64Values())
	case *array.Date32:
		return intsOf(a.Date32Values())
	case *array.Time32:
		return intsOf(a.Time32Values())
	case *array.Time64:
		return intsOf(a.Time64Values())
	case *array.Timestamp:
		return intsOf(a.TimestampValues())
	case *array.Duration:
		return intsOf(a.DurationValues())
	case *array.Decimal128:
		return func(i int) int64 { return int64(a.Value(i).LowBits()) } // the precision says that it fits
	case *array.Decimal256:
		return func(i int) int64 { return int64(a.Value(i).Array()[0]) }
	}
	return nil
}

type anyInt interface {
	~int8 | ~int16 | ~int32 | ~int64 | ~uint8 | ~uint16 | ~uint32 | ~uint64
}

func intsOf[T anyInt](values []T) func(i int) int64 {
	return func(i int) int64 { return int64(values[i]) }
}

// stepOf is the length in nanoseconds of one step of a type of times, as it is stored: seconds only ever come in arrays,
// and a column of a file has at least milliseconds. 1 for other types.
func stepOf(t arrow.DataType) int64 {
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
	return 1
}

func (c *plainInts) appendRange(dst []byte, lo, hi int) ([]byte, error) {
	for ; lo < hi; lo++ {
		v := c.value(lo)
		if c.factor != 1 {
			var err error
			if v, err = c.scale(v); err != nil {
				return dst, err
			}
		}
		c.see(v)
		if c.wide {
			dst = binary.LittleEndian.AppendUint64(dst, uint64(v))
		} else {
			dst = binary.LittleEndian.AppendUint32(dst, uint32(v))
		}
	}
	return dst, nil
}

func (c *plainInts) scale(v int64) (int64, error) {
	most := uint64(math.MaxInt32)
	if c.wide {
		most = math.MaxInt64
	}
	hi, low := bits.Mul64(uint64(max(v, -v)), uint64(c.factor))
	if hi != 0 || low > most || v == math.MinInt64 {
		return 0, fault.New(fault.Invalid, "the time %d is too far away to be a %s", v, c.typ)
	}
	return v * c.factor, nil
}

func (c *plainInts) see(v int64) {
	switch {
	case !c.some:
		c.some, c.least, c.most = true, v, v
	case c.unsigned:
		c.least = int64(min(uint64(c.least), uint64(v)))
		c.most = int64(max(uint64(c.most), uint64(v)))
	default:
		c.least, c.most = min(c.least, v), max(c.most, v)
	}
}

func (c *plainInts) bounds() (least, most []byte) {
	if !c.some {
		return nil, nil
	}
	c.some = false
	if c.wide {
		return binary.LittleEndian.AppendUint64(nil, uint64(c.least)), binary.LittleEndian.AppendUint64(nil, uint64(c.most))
	}
	return binary.LittleEndian.AppendUint32(nil, uint32(c.least)), binary.LittleEndian.AppendUint32(nil, uint32(c.most))
}

// plainFloats are floating numbers. NaN has no place in bounds, and a zero bound means both zeros.
type plainFloats struct {
	wide  bool
	value func(i int) float64

	some        bool
	least, most float64
}

func (c *plainFloats) bind(a arrow.Array) error {
	switch a := a.(type) {
	case *array.Float32:
		c.value = func(i int) float64 { return float64(a.Value(i)) }
	case *array.Float64:
		c.value = a.Value
	default:
		return unbound(a, c)
	}
	return nil
}

func (c *plainFloats) appendRange(dst []byte, lo, hi int) ([]byte, error) {
	for ; lo < hi; lo++ {
		v := c.value(lo)
		if v == v {
			if !c.some {
				c.some, c.least, c.most = true, v, v
			}
			c.least, c.most = min(c.least, v), max(c.most, v)
		}
		dst = c.append(dst, v)
	}
	return dst, nil
}

func (c *plainFloats) append(dst []byte, v float64) []byte {
	if c.wide {
		return binary.LittleEndian.AppendUint64(dst, math.Float64bits(v))
	}
	return binary.LittleEndian.AppendUint32(dst, math.Float32bits(float32(v)))
}

func (c *plainFloats) bounds() (least, most []byte) {
	if !c.some {
		return nil, nil
	}
	c.some = false
	if c.least == 0 {
		c.least = math.Copysign(0, -1)
	}
	if c.most == 0 {
		c.most = 0
	}
	return c.append(nil, c.least), c.append(nil, c.most)
}

// plainInt96s are the timestamps that old Spark and Impala write: nanoseconds of a day and a Julian day.
type plainInt96s struct{ plainInts }

func (c *plainInt96s) bind(a arrow.Array) error {
	c.typ = &arrow.TimestampType{Unit: arrow.Nanosecond}
	c.wide = true
	return c.plainInts.bind(a)
}

func (c *plainInt96s) appendRange(dst []byte, lo, hi int) ([]byte, error) {
	const julianEpoch, day = 2_440_588, int64(24 * time.Hour)
	for ; lo < hi; lo++ {
		v, err := c.scale(c.value(lo))
		if err != nil {
			return dst, err
		}
		days, rest := v/day, v%day
		if rest < 0 {
			days, rest = days-1, rest+day
		}
		dst = binary.LittleEndian.AppendUint64(dst, uint64(rest))
		dst = binary.LittleEndian.AppendUint32(dst, uint32(days+julianEpoch))
	}
	return dst, nil
}

func (*plainInt96s) bounds() (least, most []byte) { return nil, nil }
