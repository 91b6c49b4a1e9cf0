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
	if len(v.index.row) > 0 && opt.Report == nil && !opt.NoPrune {
		sel.End = hint(v.index.most, v.index.unit)
		if v.TTL > 0 {
			if sel.Start = hint(v.index.least, v.index.unit); !sel.Start.IsZero() {
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
	s := v.index
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
		if least, most, known := v.keyRange(i); known {
			if lo, hi, ok := r.Range(part, key.Source); ok && (lo > hi || hi < least || lo > most) {
				return true
			}
		}
	}
	return false
}

// keyRange is the range of a key over all entity rows, if it can be compared with what the table knows of its column:
// integers on both sides.
func (v *boundView) keyRange(i int) (lo, hi int64, known bool) {
	f, _ := v.Table.Schema().FieldsByName(v.Keys[i].Source)
	if source, _, _ := kindOf(f[0].Type); source != int64s || f[0].Type.ID() == arrow.DICTIONARY {
		return 0, 0, false
	}
	return v.index.keys.signedRange(i)
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
