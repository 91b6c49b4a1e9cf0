package joins

import (
	"math"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
)

// selection is what the stream reads of the view's table. The time range is a hint for stores that can use it; a match
// report wants every row.
func (v *boundView) selection(opt Options) Selection {
	sel := Selection{Columns: v.columns, Time: v.EventTime}
	if len(v.slots.row) > 0 && opt.Report == nil && !opt.NoPrune {
		sel.End = hint(v.slots.most, v.slots.unit)
		if v.TTL > 0 {
			if sel.Start = hint(v.slots.least, v.slots.unit); !sel.Start.IsZero() {
				sel.Start = sel.Start.Add(-v.TTL)
			}
		}
	}
	return sel
}

// hint is an instant as a time.Time, none if it is outside the years that every store understands.
func hint(v int64, u unit) time.Time {
	seconds := floorDiv(v, int64(time.Second)/int64(min(u, unit(time.Second))))
	if u > unit(time.Second) {
		if abs(v) > math.MaxInt64/uint64(u/unit(time.Second)) {
			return time.Time{}
		}
		seconds = v * int64(u/unit(time.Second))
	}
	const first, last = -62135596800, 253402300799 // the years 1 to 9999
	if seconds <= first || seconds >= last {
		return time.Time{}
	}
	if u > unit(time.Second) {
		return time.Unix(seconds, 0).UTC()
	}
	steps := int64(unit(time.Second) / u)
	return time.Unix(seconds, (v-seconds*steps)*int64(u)).UTC()
}

// parts lists the parts of the view's table that may hold a row of any slot. A match report wants them all: it counts
// rows that no slot may see.
func (v *boundView) parts(opt Options) []int {
	all := v.Table.Parts()
	ranger, ok := v.Table.(Ranger)
	prune := ok && !opt.NoPrune && opt.Report == nil
	var parts []int
	for i, p := range all {
		if p.Rows == 0 || prune && v.skip(ranger, i) {
			continue
		}
		parts = append(parts, i)
	}
	return parts
}

// skip reports whether no row of a part can be seen by any slot.
func (v *boundView) skip(r Ranger, part int) bool {
	s := v.slots
	if len(s.row) == 0 {
		return true
	}
	if lo, hi, ok := r.Range(part, v.EventTime); ok {
		last, _ := floor(s.most, s.unit, v.timeUnit)
		if lo > hi || lo > last {
			return true
		}
		if v.TTL > 0 {
			if first, over := lowest(s.least, s.unit, v.TTL, v.timeUnit); over > 0 || hi < first {
				return true
			}
		}
	}
	if v.created != nil {
		if lo, hi, ok := r.Range(part, v.Created); ok && (lo > hi || lo > v.created[maxAt(v.created)]) {
			return true
		}
	}
	for i, key := range v.Keys {
		k := &v.keyRanges[i]
		if !k.known {
			continue
		}
		if lo, hi, ok := r.Range(part, key.Source); ok && (lo > hi || hi < k.lo || lo > k.hi) {
			return true
		}
	}
	return false
}

// keyRange is the range of an integer key over all entity rows.
type keyRange struct {
	lo, hi int64
	known  bool
}

// rangesOf finds the ranges of the keys that have a range in the source's own terms: integers on both sides.
func (v *boundView) rangesOf(e Entities) {
	v.keyRanges = make([]keyRange, len(v.Keys))
	for i, key := range v.Keys {
		f, _ := v.Table.Schema().FieldsByName(key.Source)
		if source, _, _ := kindOf(f[0].Type); v.spaces[i].kind != int64s || source != int64s || f[0].Type.ID() == arrow.DICTIONARY {
			continue
		}
		r := keyRange{lo: math.MaxInt64, hi: math.MinInt64, known: true}
		column := e.Schema.FieldIndices(key.Entity)[0]
		var col keyColumn
		var state []uint8
		for _, rec := range e.Records {
			state = grow(state, int(rec.NumRows()))
			clear(state)
			if err := col.encode(rec.Column(column), v.spaces[i], state); err != nil {
				r.known = false // the index has met the same error
				break
			}
			for row, w := range col.words[:rec.NumRows()] {
				if state[row] == usable {
					r.lo, r.hi = min(r.lo, int64(w)), max(r.hi, int64(w))
				}
			}
		}
		v.keyRanges[i] = r
	}
}

func maxAt(values []int64) int {
	at := 0
	for i, v := range values {
		if v > values[at] {
			at = i
		}
	}
	return at
}
