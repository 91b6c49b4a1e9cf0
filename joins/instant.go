package joins

import (
	"fmt"
	"math"
	"math/bits"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
)

// unit is the length of one step of a time column, in nanoseconds.
type unit int64

const day = unit(24 * time.Hour)

// unitOf is the unit of a type that holds points in time; false for any other type.
func unitOf(t arrow.DataType) (unit, bool) {
	switch t := t.(type) {
	case *arrow.Date32Type:
		return day, true
	case *arrow.Date64Type:
		return unit(time.Millisecond), true
	case *arrow.TimestampType:
		return unit(t.Unit.Multiplier()), true
	}
	return 0, false
}

// instants returns the values of a time column in its own unit. The slice aliases the array where it can, else scratch
// is filled and returned.
func instants(a arrow.Array, scratch []int64) ([]int64, error) {
	switch a := a.(type) {
	case *array.Timestamp:
		return arrow.Int64Traits.CastFromBytes(arrow.TimestampTraits.CastToBytes(a.TimestampValues())), nil
	case *array.Date64:
		return arrow.Int64Traits.CastFromBytes(arrow.Date64Traits.CastToBytes(a.Date64Values())), nil
	case *array.Date32:
		scratch = scratch[:0]
		for _, v := range a.Date32Values() {
			scratch = append(scratch, int64(v))
		}
		return scratch, nil
	}
	return nil, fmt.Errorf("a column of type %s holds no points in time", a.DataType())
}

// floor converts v from one unit to another, rounding down. over tells on which side the result does not fit (-1, 1); the
// result is then the nearest value that exists.
func floor(v int64, from, to unit) (result int64, over int) {
	if from == to {
		return v, 0
	}
	if to > from {
		return floorDiv(v, int64(to/from)), 0
	}
	hi, lo := bits.Mul64(abs(v), uint64(from/to))
	if hi != 0 || lo > math.MaxInt64 {
		if v < 0 {
			return math.MinInt64, -1
		}
		return math.MaxInt64, 1
	}
	if v < 0 {
		return -int64(lo), 0
	}
	return int64(lo), 0
}

// lowest converts v minus ttl to another unit, rounding up: the first instant that is not older than ttl at v.
func lowest(v int64, from unit, ttl time.Duration, to unit) (result int64, over int) {
	hi, lo := mul128(v, int64(from))
	var borrow uint64
	lo, borrow = bits.Sub64(lo, uint64(ttl), 0)
	hi -= int64(borrow) // ttl is positive, so its upper word is zero
	return ceilDiv128(hi, lo, uint64(to))
}

// mul128 multiplies two signed numbers into a signed number of two words.
func mul128(a, b int64) (hi int64, lo uint64) {
	h, l := bits.Mul64(uint64(a), uint64(b))
	hi = int64(h)
	if a < 0 {
		hi -= b
	}
	if b < 0 {
		hi -= a
	}
	return hi, l
}

// ceilDiv128 divides a signed number of two words, rounding up.
func ceilDiv128(hi int64, lo, by uint64) (result int64, over int) {
	if hi < 0 { // ceil(-n / by) = -(n / by)
		nlo, carry := bits.Add64(^lo, 1, 0)
		nhi := uint64(^hi) + carry
		if nhi >= by {
			return math.MinInt64, -1
		}
		q, _ := bits.Div64(nhi, nlo, by)
		if q > 1<<63 {
			return math.MinInt64, -1
		}
		return -int64(q), 0
	}
	if uint64(hi) >= by {
		return math.MaxInt64, 1
	}
	q, r := bits.Div64(uint64(hi), lo, by)
	if r > 0 {
		q++
	}
	if q > math.MaxInt64 {
		return math.MaxInt64, 1
	}
	return int64(q), 0
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

func abs(v int64) uint64 {
	if v < 0 {
		return -uint64(v)
	}
	return uint64(v)
}
