package joins

import (
	"hash/fnv"
	"math"
	"math/bits"
	"strconv"
	"strings"
	"time"
)

// Window is a range of event times, both ends included. A zero time is no bound.
type Window struct{ Start, End time.Time }

// span is a window in the unit of one column. A column value v is inside if lo <= v <= hi; empty means none is.
type span struct {
	lo, hi int64
	bound  bool // there is a bound at all
	empty  bool
}

func (w Window) in(u unit) span {
	s := span{lo: math.MinInt64, hi: math.MaxInt64, bound: w != Window{}}
	if !w.Start.IsZero() {
		hi, lo := nanos(w.Start)
		var over int
		s.lo, over = ceilDiv128(hi, lo, uint64(u))
		s.empty = over > 0
	}
	if !w.End.IsZero() { // floor(x) = -ceil(-x)
		hi, lo := nanos(w.End)
		nlo, carry := bits.Add64(^lo, 1, 0)
		v, over := ceilDiv128(int64(uint64(^hi)+carry), nlo, uint64(u))
		switch {
		case over < 0: // -v is above what there is
			s.hi = math.MaxInt64
		case over > 0 || v == math.MinInt64:
			s.empty = true
		default:
			s.hi = -v
		}
	}
	s.empty = s.empty || s.lo > s.hi
	return s
}

// nanos is an instant in nanoseconds since 1970, in two words: the years that a time.Time can say need more than one.
func nanos(t time.Time) (hi int64, lo uint64) {
	hi, lo = mul128(t.Unix(), int64(time.Second))
	lo, carry := bits.Add64(lo, uint64(t.Nanosecond()), 0)
	return hi + int64(carry), lo
}

// parts lists the parts of a table that may have rows in the span.
func (s span) parts(t Table, eventTime string, opt Options) []int {
	ranger, canRange := t.(Ranger)
	var parts []int
	for i, p := range t.Parts() {
		if p.Rows == 0 || s.empty {
			continue
		}
		if canRange && s.bound && !opt.NoPrune {
			if lo, hi, ok := ranger.Range(i, eventTime); ok && (lo > hi || lo > s.hi || hi < s.lo) {
				continue
			}
		}
		parts = append(parts, i)
	}
	return parts
}

// Share is the Index-th of Of disjoint shares of an answer. The zero value is the whole.
type Share struct{ Index, Of int }

// Range is the share of n entity rows: [lo, hi). Shares are contiguous, and together they are all rows.
func (s Share) Range(n int64) (lo, hi int64) {
	if s.Of == 0 {
		return 0, n
	}
	at := func(i int) int64 {
		h, l := bits.Mul64(uint64(n), uint64(i))
		q, _ := bits.Div64(h, l, uint64(s.Of))
		return int64(q)
	}
	return at(s.Index), at(s.Index + 1)
}

// has reports whether a part belongs to the share. It depends on the part's name alone ("path#row group"), so that a file
// written between two calls moves no other part to another share.
func (s Share) has(part string) bool {
	if s.Of == 0 {
		return true
	}
	path, number := part, ""
	if at := strings.LastIndexByte(part, '#'); at >= 0 { // a path may have one, too
		path, number = part[:at], part[at+1:]
	}
	h := fnv.New64a()
	h.Write([]byte(path)) // never fails
	group, _ := strconv.ParseUint(number, 10, 32)
	return (h.Sum64()+group)%uint64(s.Of) == uint64(s.Index)
}
