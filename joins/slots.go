package joins

import (
	"cmp"
	"context"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
)

// slots is the index of the entity rows for one set of key columns: the rows grouped by key, in each group sorted by
// time. Each row with usable keys and a time is one slot; a group is a contiguous range of slots.
type slots struct {
	groups *groups
	start  []int32 // first slot of each group, and one more
	row    []int32 // slot -> entity row
	time   []int64 // slot -> entity time, in the unit of the entity rows
	unit   unit
	reason []uint8 // entity row -> usable, isNull (key or time) or unmatchable
	least  int64   // earliest and latest entity time of all slots
	most   int64
}

// timeline is the event time of every entity row.
type entityTimes struct {
	values []int64
	null   []bool
	unit   unit
}

// indexBytes is what the slots of one entity row take, beside the table of groups: group, start, row, time, reason, and
// a copy of start while they are filled.
const indexBytes = 4 + 4 + 4 + 8 + 1 + 4

// buildSlots groups and sorts the entity rows. Their memory is reserved before it is used.
func buildSlots(ctx context.Context, e Entities, times *entityTimes, keys []string, spaces []space, memory *holding) (*slots, error) {
	n := len(times.values)
	if err := memory.reserve(ctx, int64(n)*indexBytes+groupsBytes(spaces, int64(n))); err != nil {
		return nil, err
	}
	s := &slots{groups: newGroups(spaces, int64(n)), unit: times.unit, reason: make([]uint8, n), least: math.MaxInt64, most: math.MinInt64}
	group, err := s.assign(ctx, e, times, keys, spaces, memory)
	if err != nil {
		return nil, err
	}
	s.start = make([]int32, s.groups.n+1)
	for _, g := range group {
		if g >= 0 {
			s.start[g+1]++
		}
	}
	for i := range s.groups.n {
		s.start[i+1] += s.start[i]
	}
	used := int(s.start[s.groups.n])
	s.row, s.time = make([]int32, used), make([]int64, used)
	next := slices.Clone(s.start)
	for row, g := range group {
		if g >= 0 {
			s.row[next[g]] = int32(row)
			next[g]++
		}
	}
	for g := range s.groups.n {
		members := s.row[s.start[g]:s.start[g+1]]
		if len(members) > 1 {
			slices.SortFunc(members, func(a, b int32) int { return cmp.Compare(times.values[a], times.values[b]) })
		}
	}
	for slot, row := range s.row {
		v := times.values[row]
		s.time[slot] = v
		s.least, s.most = min(s.least, v), max(s.most, v)
	}
	return s, nil
}

// assign finds the group of every entity row, -1 for those that can match nothing.
func (s *slots) assign(ctx context.Context, e Entities, times *entityTimes, keys []string, spaces []space, memory *holding) ([]int32, error) {
	group := make([]int32, len(times.values))
	var t tuples
	at := 0
	for _, rec := range e.Records {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		rows := int(rec.NumRows())
		columns := make([]arrow.Array, len(keys))
		for i, key := range keys {
			columns[i] = rec.Column(e.Schema.FieldIndices(key)[0])
		}
		if err := t.encode(columns, spaces, rows); err != nil {
			return nil, err
		}
		for i := range rows {
			row := at + i
			state := t.state[i]
			if times.null[row] {
				state = isNull
			}
			s.reason[row], group[row] = state, -1
			if state == usable {
				group[row] = s.groups.add(&t, i)
			}
		}
		at += rows
		if err := memory.reserve(ctx, s.groups.takeTextBytes()); err != nil {
			return nil, err
		}
	}
	return group, nil
}

// bounds are the slots' times as one view sees them: in the unit of its event timestamps.
type bounds struct {
	upper []int64 // slot -> last instant that it may see
	lower []int64 // slot -> first instant that is not too old; nil: no ttl
	early []bool  // slot -> sees nothing, because it is before all that the unit can say; nil: none is
	late  []bool  // slot -> everything is too old, because its lower bound is after all that the unit can say; nil: none is
}

func (s *slots) boundsFor(ttl time.Duration, to unit) *bounds {
	b := &bounds{upper: s.time}
	mark := func(slots *[]bool, slot int) {
		if *slots == nil {
			*slots = make([]bool, len(s.time))
		}
		(*slots)[slot] = true
	}
	if s.unit != to {
		b.upper = make([]int64, len(s.time))
		for i, v := range s.time {
			u, over := floor(v, s.unit, to)
			if b.upper[i] = u; over < 0 {
				mark(&b.early, i)
			}
		}
	}
	if ttl > 0 {
		b.lower = make([]int64, len(s.time))
		for i, v := range s.time {
			l, over := lowest(v, s.unit, ttl, to)
			if b.lower[i] = l; over > 0 {
				mark(&b.late, i)
			}
		}
	}
	return b
}

// signature tells which views can share slots: those with the same key columns in the same spaces.
func signature(keys []string, spaces []space) string {
	var sb strings.Builder
	for i, k := range keys {
		sb.WriteString(k)
		sb.WriteByte(0)
		sb.WriteByte(byte(spaces[i].kind))
		sb.WriteString(time.Duration(spaces[i].unit).String())
		sb.WriteByte(0)
	}
	return sb.String()
}
