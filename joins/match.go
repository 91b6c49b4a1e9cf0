package joins

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/flightd/flightd/internal/fault"
)

// candidate is a row that competes: the greatest (event time, has an event time, has a created time, created time,
// position) wins. tag is the position plus one, with the two top bits for what it has; 0 is no candidate. A row without
// event time has the least time there is.
type candidate struct {
	time    int64
	created int64
	tag     uint64
}

const (
	hasTime    = 1 << 63
	hasCreated = 1 << 62
	hasBits    = 62
)

// tagOf is the tag of a row of a record whose first row is at a position.
func tagOf(first Position, row int) uint64 { return uint64(first) + uint64(row) + 1 }

// beats reports whether c wins over d by the rules P03, P09, P10 and P11.
func (c *candidate) beats(d *candidate) bool {
	switch {
	case c.tag == 0 || d.tag == 0:
		return c.tag != 0
	case c.time != d.time:
		return c.time > d.time
	case c.tag>>hasBits != d.tag>>hasBits:
		return c.tag>>hasBits > d.tag>>hasBits
	case c.created != d.created:
		return c.created > d.created
	}
	return c.tag > d.tag
}

func (c *candidate) position() Position { return Position(c.tag&^(hasTime|hasCreated) - 1) }

// boundView is one view of a call with what the call knows of it.
type boundView struct {
	*View
	index       *index
	bounds      *bounds
	created     []int64 // slot -> last created time it may see, in the unit of Created; nil: not asked
	createdNone []bool  // slots whose created bound is below what the unit can say
	timeUnit    unit
	columns     []string // what the stream reads: keys, event time, created
	createdAt   int      // index of the created column in columns, -1: none
	early, late int64    // no slot sees an event time outside of these
	filter      filter
}

// dropBounds lets go of what only matching needs.
func (v *boundView) dropBounds() {
	v.bounds, v.created, v.createdNone, v.filter = nil, nil, nil, filter{}
}

// reading is what is streamed past the slots.
func (v *boundView) reading() *reading {
	return &reading{table: v.Table, keys: v.index.keys, created: v.createdAt, parts: v.index.parts, early: v.early, late: v.late, asked: v.filter}
}

// setWindow finds the range of event times that matter: all, if somebody counts the rows that do not.
func (v *boundView) setWindow(opt Options) {
	v.early, v.late = math.MinInt64, math.MaxInt64
	if opt.Report != nil || opt.NoPrune || len(v.index.row) == 0 {
		return
	}
	v.late, _ = floor(v.index.most, v.index.unit, v.timeUnit)
	if v.TTL > 0 {
		v.early, _ = lowest(v.index.least, v.index.unit, v.TTL, v.timeUnit)
	}
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

// Feature rows of one thread that wait for their partition's turn. More of them bring the join nothing but memory.
const (
	waitingRows = 512 << 10
	leastBlocks = 4
)

// matching is how the parts of a view's table are matched.
type matching struct {
	threads int
	blocks  int // of each thread
	shared  bool
}

// planMatching decides on threads and blocks, and reserves their memory; a short budget means fewer blocks.
func (c *call) planMatching(ctx context.Context, v *boundView, parts []int, threads int) (m matching, reserved int64, err error) {
	m = matching{threads: max(1, min(threads, len(stretches(v.Table, parts, threads)))), blocks: leastBlocks, shared: v.index.parts > 1}
	if m.shared {
		m.blocks = 2*v.index.parts + min(waitingRows, rowsOf(v.Table, parts)/m.threads)/blockRows
	}
	least := v.index.parts + leastBlocks
	for {
		reserved = v.bestBytes(c.options.Report != nil) * int64(len(v.index.row))
		if !m.shared {
			reserved *= int64(m.threads)
		}
		reserved += int64(m.threads) * int64(max(m.blocks, least)) * v.reading().blockBytes()
		err := c.memory.reserve(ctx, reserved)
		switch {
		case err == nil:
			return m, reserved, nil
		case !errors.Is(err, fault.Exhausted) || m.blocks <= least && m.threads == 1:
			return m, 0, err
		case m.blocks > least:
			m.blocks = max(least, m.blocks/2)
		default:
			m.threads--
		}
	}
}

// rowsOf is the number of rows in some parts of a table; a part that does not know counts as many.
func rowsOf(t Table, parts []int) int {
	var rows int64
	all := t.Parts()
	for _, i := range parts {
		if all[i].Rows < 0 {
			return math.MaxInt32
		}
		rows += all[i].Rows
	}
	return int(min(rows, math.MaxInt32))
}

// match matches all parts of the view's table that may matter, in parallel: from indexes, and those that are left as they
// stream past.
func (v *boundView) match(ctx context.Context, opt Options, m matching, parts *cachedParts) (*best, int64, error) {
	bests := make([]*best, m.threads)
	for t := range bests {
		if bests[t] = bests[0]; t == 0 || !m.shared {
			bests[t] = newBest(v, opt.Report != nil, false)
		}
	}
	for _, use := range parts.uses {
		if err := use.lookup(ctx, bests[0], opt.threads()); err != nil {
			return nil, 0, err
		}
	}
	if len(parts.stream) == 0 {
		return bests[0], 0, nil
	}
	rows, err := v.reading().streamAll(ctx, m.threads, m.blocks, parts.stream, v.selection(opt), func(t int) sink { return bests[t] })
	if err != nil {
		return nil, 0, err
	}
	if !m.shared {
		for _, other := range bests[1:] {
			bests[0].merge(other)
		}
	}
	return bests[0], rows, nil
}

// findWinners streams the view's history past the slots.
func (c *call) findWinners(ctx context.Context, v *boundView) error {
	if tooMany := len(v.Table.Parts()); tooMany > MaxParts {
		return fault.New(fault.Precondition, "feature view %q: its source has %d parts (row groups); at most %d can be joined, so write larger row groups", v.Name, tooMany, MaxParts)
	}
	opt := c.options
	parts := v.parts(opt)
	threads := opt.threads()
	gatherer, canGather := v.Table.(Gatherer)
	if !canGather {
		threads = 1
	}
	from := &cachedParts{stream: parts}
	if canGather {
		var err error
		if from, err = c.cached(ctx, v, parts); err != nil {
			return err
		}
		defer from.release()
	}
	if len(from.stream) > 0 {
		var err error
		if v.filter, err = v.newFilter(ctx, opt.threads()); err != nil {
			return err
		}
	}
	m, reserved, err := c.planMatching(ctx, v, from.stream, threads)
	if err != nil {
		return err
	}
	defer func() { c.memory.release(reserved) }()
	joined := &joinedView{boundView: v}
	var found *best
	var rows int64
	if canGather {
		found, rows, err = v.match(ctx, opt, m, from)
		from.release()
		joined.fetch = c.fetchByPosition(v, gatherer)
	} else {
		found, rows, joined.keeper, err = v.matchAndKeep(ctx, opt, m, parts, c.memory)
	}
	if err != nil {
		return err
	}
	if joined.keeper != nil {
		joined.fetch = joined.keeper.fetch
	}
	c.views = append(c.views, joined)
	if err := c.memory.reserve(ctx, int64(c.rows)*winnerBytes); err != nil {
		return err
	}
	var report ViewReport
	if joined.winners, report, err = v.fill(ctx, found, c.rows, opt); err != nil {
		return err
	}
	if opt.Report != nil {
		opt.Report.add(len(c.views)-1, report)
	}
	c.trace(v, from, rows, m, canGather)
	return nil
}

func (c *call) trace(v *boundView, from *cachedParts, rows int64, m matching, canGather bool) {
	t := c.options.Trace
	if t == nil {
		return
	}
	all := len(v.Table.Parts())
	t.parts(v.Table, from.allRead(), v.columns)
	t.RowsRead += rows
	how := "features fetched by position"
	if !canGather {
		how = "features of the best rows kept while reading"
	}
	for _, note := range from.notes {
		t.note(v.Name + ": " + note)
	}
	t.note(fmt.Sprintf("%s: %d of %d parts, %d rows of %v past %s in %s and %s, %s, %s",
		v.Name, len(from.stream), all, rows, v.columns, count(len(v.index.row), "entity row"), count(v.index.groups, "group"),
		count(v.index.parts, "partition"), count(m.threads, "thread"), how))
}
