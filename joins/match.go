package joins

import (
	"context"
	"sync/atomic"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
)

// candidate is the best feature row of a slot so far: the greatest (event time, has a created time, created time,
// position). tag is the position plus one, with the top bit for "has a created time"; 0 is no candidate.
type candidate struct {
	time    int64
	created int64
	tag     uint64
}

const hasCreated = 1 << 63

// beats reports whether c wins over d by the rules P03, P09, P10 and P11.
func (c *candidate) beats(d *candidate) bool {
	switch {
	case c.tag == 0 || d.tag == 0:
		return c.tag != 0
	case c.time != d.time:
		return c.time > d.time
	case (c.tag^d.tag)&hasCreated != 0:
		return c.tag&hasCreated != 0
	case c.created != d.created:
		return c.created > d.created
	}
	return c.tag > d.tag
}

func (c *candidate) position() Position { return Position(c.tag&^hasCreated - 1) }

// matcher streams feature rows past the slots of one view. Each thread has its own; they are merged in the end, which
// gives the same winners whatever thread saw what.
type matcher struct {
	view    *boundView
	best    []candidate // one for each slot
	seen    []bool      // group -> some row with a time has its key; nil: nobody asks
	rows    int64
	tuples  tuples
	keys    []arrow.Array
	scratch [2][]int64
	improve func(row int) // told of each row that became a slot's best; nil: nobody asks
}

// boundView is one view of a call with what the call knows of it.
type boundView struct {
	*View
	slots       *slots
	bounds      *bounds
	created     []int64 // slot -> last created time it may see, in the unit of Created; nil: not asked
	createdNone []bool  // slots whose created bound is below what the unit can say
	timeUnit    unit
	keyRanges   []keyRange
	spaces      []space
	columns     []string // what the stream reads: keys, event time, created
	createdAt   int      // index of the created column in columns, -1: none
}

// dropBounds lets go of what only matching needs.
func (v *boundView) dropBounds() { v.bounds, v.created, v.createdNone = nil, nil, nil }

func newMatcher(v *boundView, report bool) *matcher {
	m := &matcher{view: v, best: make([]candidate, len(v.slots.row)), keys: make([]arrow.Array, len(v.spaces))}
	if report {
		m.seen = make([]bool, v.slots.groups.n)
	}
	return m
}

// part matches the rows of one part.
func (m *matcher) part(ctx context.Context, part int, sel Selection, after func(arrow.Record, int64) error) error {
	var first int64
	for rec, err := range m.view.Table.Read(ctx, part, sel) {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		if err := m.batch(rec, At(part, first)); err != nil {
			return err
		}
		if after != nil {
			if err := after(rec, first); err != nil {
				return err
			}
		}
		first += rec.NumRows()
	}
	return nil
}

// batch matches the rows of one record, the first of which stands at the given position.
func (m *matcher) batch(rec arrow.Record, first Position) error {
	v := m.view
	rows := int(rec.NumRows())
	m.rows += int64(rows)
	for i := range m.keys {
		m.keys[i] = rec.Column(i)
	}
	if err := m.tuples.encode(m.keys, v.spaces, rows); err != nil {
		return err
	}
	state := m.tuples.state
	timeColumn := rec.Column(len(v.spaces))
	times, err := instants(timeColumn, m.scratch[0])
	if err != nil {
		return err
	}
	m.scratch[0] = reuse(m.scratch[0], timeColumn, times)
	markNulls(timeColumn, state)
	var created []int64
	var createdColumn arrow.Array
	if v.createdAt >= 0 {
		createdColumn = rec.Column(v.createdAt)
		if created, err = instants(createdColumn, m.scratch[1]); err != nil {
			return err
		}
		m.scratch[1] = reuse(m.scratch[1], createdColumn, created)
	}
	for i := range rows {
		if state[i] != usable {
			continue
		}
		group := v.slots.groups.find(&m.tuples, i)
		if group < 0 {
			continue
		}
		if m.seen != nil {
			m.seen[group] = true
		}
		c := candidate{time: times[i], tag: uint64(first) + uint64(i) + 1}
		if created != nil && createdColumn.IsValid(i) {
			c.created, c.tag = created[i], c.tag|hasCreated
		}
		slot, end := v.slots.start[group], v.slots.start[group+1]
		slot = firstAtLeast(v.bounds.upper, slot, end, c.time)
		if v.created != nil {
			if c.tag&hasCreated == 0 {
				continue // not known when it was created: not known at any time
			}
			slot = firstAtLeast(v.created, slot, end, c.created)
			for slot < end && v.createdNone != nil && v.createdNone[slot] {
				slot++
			}
		}
		if slot == end {
			continue
		}
		if best := &m.best[slot]; c.beats(best) {
			*best = c
			if m.improve != nil {
				m.improve(i)
			}
		}
	}
	return nil
}

// reuse keeps values as scratch for the next batch unless they are the array's own.
func reuse(scratch []int64, a arrow.Array, values []int64) []int64 {
	if _, copied := a.(*array.Date32); copied {
		return values
	}
	return scratch
}

func markNulls(a arrow.Array, state []uint8) {
	if a.NullN() == 0 {
		return
	}
	for i := range state {
		if a.IsNull(i) {
			state[i] = isNull
		}
	}
}

// firstAtLeast is the first index in [lo, hi) whose value is not below v, hi if there is none. Values ascend.
func firstAtLeast(values []int64, lo, hi int32, v int64) int32 {
	for hi-lo > 8 {
		mid := lo + (hi-lo)/2
		if values[mid] < v {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	for lo < hi && values[lo] < v {
		lo++
	}
	return lo
}

// merge takes over what another thread found.
func (m *matcher) merge(other *matcher) {
	for i := range m.best {
		if other.best[i].beats(&m.best[i]) {
			m.best[i] = other.best[i]
		}
	}
	for i, seen := range other.seen {
		m.seen[i] = m.seen[i] || seen
	}
	m.rows += other.rows
}

// run matches all parts of the view's table that may matter, in parallel, and returns the merged result.
func (v *boundView) match(ctx context.Context, opt Options, parts []int) (*matcher, error) {
	threads := max(1, min(opt.threads(), len(parts)))
	matchers := make([]*matcher, threads)
	var next atomic.Int64
	work := newWorkers(ctx)
	for t := range matchers {
		matchers[t] = newMatcher(v, opt.Report != nil)
		work.start(func(ctx context.Context) error {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(parts) {
					return nil
				}
				if err := matchers[t].part(ctx, parts[i], v.selection(opt), nil); err != nil {
					return err
				}
			}
		})
	}
	if err := work.wait(); err != nil {
		return nil, err
	}
	for _, other := range matchers[1:] {
		matchers[0].merge(other)
	}
	return matchers[0], nil
}
