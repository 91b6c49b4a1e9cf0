package rowfile

import (
	"math/big"
	"strconv"
	"strings"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/decimal128"
)

// csvType is the type that a column of a CSV file is read as to be compared with a column of type t: of numbers the
// widest, so that a number beyond t is one that matches nothing and not a mistake. nil: what the values look like.
func csvType(t arrow.DataType) arrow.DataType {
	if t == nil {
		return nil
	}
	switch t.ID() {
	case arrow.INT8, arrow.INT16, arrow.INT32, arrow.INT64, arrow.UINT8, arrow.UINT16, arrow.UINT32:
		return arrow.PrimitiveTypes.Int64
	case arrow.FLOAT16, arrow.FLOAT32, arrow.FLOAT64:
		return arrow.PrimitiveTypes.Float64
	case arrow.STRING, arrow.LARGE_STRING:
		return arrow.BinaryTypes.String
	case arrow.BINARY, arrow.LARGE_BINARY, arrow.FIXED_SIZE_BINARY:
		return arrow.BinaryTypes.Binary
	case arrow.DATE32, arrow.DATE64:
		return arrow.FixedWidthTypes.Date32
	case arrow.UINT64, arrow.BOOL, arrow.TIMESTAMP:
		return t
	case arrow.DECIMAL128:
		if t.(*arrow.Decimal128Type).Scale >= 0 {
			return t
		}
	case arrow.DICTIONARY:
		return csvType(t.(*arrow.DictionaryType).ValueType)
	}
	return nil
}

// put appends a value that is not empty to its column; false: the value does not fit.
type put func(text string) bool

// putOf chooses how the values of a column are read, once for the column.
func putOf(builder array.Builder) put {
	switch b := builder.(type) {
	case *array.Int64Builder:
		return func(s string) bool { return parsed(b.Append)(strconv.ParseInt(s, 10, 64)) }
	case *array.Uint64Builder:
		return func(s string) bool { return parsed(b.Append)(strconv.ParseUint(s, 10, 64)) }
	case *array.Float64Builder:
		return func(s string) bool {
			if numberKind(s) == notNumber {
				return false
			}
			return parsed(b.Append)(strconv.ParseFloat(s, 64))
		}
	case *array.BooleanBuilder:
		return func(s string) bool {
			v, ok := parseBool(s)
			if ok {
				b.Append(v)
			}
			return ok
		}
	case *array.StringBuilder:
		return func(s string) bool { b.Append(s); return true }
	case *array.BinaryBuilder:
		return func(s string) bool { b.AppendString(s); return true }
	case *array.Date32Builder:
		return func(s string) bool {
			m, ok := parseMoment(s)
			if ok = ok && m.date; ok {
				b.Append(arrow.Date32FromTime(m.at))
			}
			return ok
		}
	case *array.TimestampBuilder:
		return putTime(b)
	case *array.Decimal128Builder:
		return putDecimal(b)
	}
	panic("rowfile: no CSV column has the type " + builder.Type().String())
}

func parsed[T any](add func(T)) func(v T, err error) bool {
	return func(v T, err error) bool {
		if err == nil {
			add(v)
		}
		return err == nil
	}
}

// putTime refuses times that the unit cannot hold, rather than to round them or let them wrap around.
func putTime(b *array.TimestampBuilder) put {
	unit := b.Type().(*arrow.TimestampType).Unit
	return func(s string) bool {
		m, ok := parseMoment(s)
		if !ok {
			return false
		}
		step := unit.Multiplier()
		perSecond := int64(time.Second / step)
		seconds, nanos := m.at.Unix(), int64(m.at.Nanosecond())
		v := seconds*perSecond + nanos/int64(step)
		if nanos%int64(step) != 0 || unit == arrow.Nanosecond && !m.at.Equal(time.Unix(0, v)) {
			return false
		}
		b.Append(arrow.Timestamp(v))
		return true
	}
}

// putDecimal refuses digits that the scale has no room for.
func putDecimal(b *array.Decimal128Builder) put {
	t := b.Type().(*arrow.Decimal128Type)
	scale := new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(t.Scale)), nil))
	return func(s string) bool {
		if len(s) > 80 || strings.Trim(s, "+-0123456789.") != "" {
			return false
		}
		r, ok := new(big.Rat).SetString(s)
		if !ok || !r.Mul(r, scale).IsInt() || r.Num().BitLen() > 127 {
			return false
		}
		v := decimal128.FromBigInt(r.Num())
		if !v.FitsInPrecision(t.Precision) {
			return false
		}
		b.Append(v)
		return true
	}
}
