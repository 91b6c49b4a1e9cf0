package joins

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"unsafe"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"github.com/flightd/flightd/internal/arrowsize"
	"github.com/flightd/flightd/internal/fault"
)

// Sizes of output batches, and what a call reserves for its own tables.
const (
	batchBytes   = 2 << 20
	maxBatchRows = 64 << 10
	winnerBytes  = 8  // for each entity row and view, until the answer ends
	sortBytes    = 72 // for each entity row, while winners are sorted and fetched
	boundBytes   = 18 // for each entity row and view: upper and lower bound, and guides; under known_at half as much again
	timeBytes    = 9  // entity times and their nulls
)

// PointInTime joins the features of views to entity rows: exactly one output row for each entity row, in input order,
// entity columns first (see AnswerSchema). An output record is lent until the next step, but its buffers are never
// written again. Errors come before the first record as far as they can. Entity rows for which the budget is too small are
// joined in several passes over the views' tables.
func PointInTime(ctx context.Context, e Entities, views []View, opt Options) iter.Seq2[arrow.Record, error] {
	return func(yield func(arrow.Record, error) bool) {
		schema, err := AnswerSchema(e.Schema, e.Time, views)
		if err == nil {
			err = inPasses(ctx, e, schema, views, opt, func(rec arrow.Record) bool { return yield(rec, nil) })
		}
		if err != nil && !errors.Is(err, errStopped) {
			yield(nil, err)
		}
	}
}

// passing says how few entity rows a pass may be for: each reads the whole history once more. Tests change it.
var passing = struct{ least int64 }{64 << 10}

// inPasses joins all entity rows at once, or in runs of as many as the budget allows.
func inPasses(ctx context.Context, e Entities, schema *arrow.Schema, views []View, opt Options, yield func(arrow.Record) bool) error {
	rows := e.Rows()
	for lo, step := int64(0), rows; ; {
		c := &call{entities: e.Slice(lo, min(lo+step, rows)), options: opt, schema: schema, memory: &holding{budget: opt.Budget}}
		before, none := opt.Report.clone(), true
		err := c.run(ctx, views, func(rec arrow.Record) bool {
			none = false
			return yield(rec)
		})
		switch least := max(1, passing.least); {
		case errors.Is(err, fault.Exhausted) && none && step > least:
			step = max(least, (step+1)/2)
			if opt.Report != nil {
				*opt.Report = before
			}
			continue
		case err != nil:
			return err
		}
		if lo += step; lo >= rows {
			return nil
		}
	}
}

func (c *call) run(ctx context.Context, views []View, yield func(arrow.Record) bool) error {
	defer c.close()
	if err := c.memory.prepay(ctx, c.expected(views)); err != nil {
		return err
	}
	if err := c.matchAll(ctx, views); err != nil {
		return err
	}
	return c.emit(ctx, yield)
}

// expected is about what the call will hold at once at its peak. It is no bound: what is more, or less, is seen when it is
// reserved.
func (c *call) expected(views []View) int64 {
	rows, threads := c.entities.Rows(), int64(c.options.threads())
	perRow, waiting, features := int64(timeBytes+sortBytes), int64(0), int64(0)
	for i := range views {
		v := &boundView{View: &views[i]}
		perRow += indexBytes + buildBytes + 8 + 2*int64(unsafe.Sizeof(bucket{})) + boundBytes + slotBytes + winnerBytes
		features += v.nullBytes()
		history := int64(0)
		for _, p := range v.Table.Parts() {
			history += max(p.Rows, 0)
		}
		waiting = max(waiting, int64(unsafe.Sizeof(streamed{}))*min(threads*waitingRows, history))
	}
	return rows*perRow + waiting + min(c.options.gatherBytes(), rows*features)
}

// errStopped says that the consumer has enough.
var errStopped = errors.New("the consumer stopped")

// call is one point-in-time join.
type call struct {
	entities Entities
	options  Options
	schema   *arrow.Schema
	memory   *holding
	rows     int
	views    []*joinedView
}

// joinedView is a view whose winners are known.
type joinedView struct {
	*boundView
	winners []Position // entity row -> feature row
	fetch   fetch
	keeper  *keeper // nil: the table is asked
}

func (c *call) close() {
	for _, v := range c.views {
		if v.keeper != nil {
			v.keeper.release()
		}
	}
	c.memory.close()
}

// matchAll finds the winners of every view, one view after the other; views with the same keys share the index.
func (c *call) matchAll(ctx context.Context, views []View) error {
	c.rows = int(c.entities.Rows())
	if err := c.memory.reserve(ctx, int64(c.rows)*timeBytes); err != nil {
		return err
	}
	times, err := entityTimesOf(ctx, c.entities)
	if err != nil {
		return err
	}
	indexes := make(map[string]*index)
	for i := range views {
		if err := c.match(ctx, &views[i], times, indexes); err != nil {
			return err
		}
	}
	return nil
}

func (c *call) match(ctx context.Context, view *View, times *entityTimes, indexes map[string]*index) error {
	spaces, err := spacesOf(view, c.entities.Schema)
	if err != nil {
		return err
	}
	keys := make([]string, len(view.Keys))
	for i, k := range view.Keys {
		keys[i] = k.Entity
	}
	name := signature(keys, spaces)
	x := indexes[name]
	if x == nil {
		if x, err = buildIndex(ctx, c.entities, times, keys, spaces, c.memory, c.options.threads(), c.options.Indexes != nil); err != nil {
			return err
		}
		indexes[name] = x
	}
	bounds := int64(len(x.row))*boundBytes + 1<<x.filterBits()
	if c.options.KnownAt {
		bounds += bounds / 2
	}
	if err := c.memory.reserve(ctx, bounds); err != nil {
		return err
	}
	defer c.memory.release(bounds)
	v, err := c.bind(view, x)
	if err != nil {
		return err
	}
	err = c.findWinners(ctx, v)
	v.dropBounds()
	return err
}

// bind prepares a view for matching: which columns are read, and the slots' bounds in the units of its times.
func (c *call) bind(view *View, x *index) (*boundView, error) {
	v := &boundView{View: view, index: x, createdAt: -1}
	for _, k := range view.Keys {
		v.columns = append(v.columns, k.Source)
	}
	v.columns = append(v.columns, view.EventTime)
	f, err := sourceField(view, "event timestamp", view.EventTime)
	if err != nil {
		return nil, err
	}
	v.timeUnit, _ = unitOf(f.Type)
	v.bounds = x.boundsFor(view.TTL, v.timeUnit)
	v.bounds.guides = x.guidesFor(v.bounds.upper)
	if view.Created != "" {
		f, err := sourceField(view, "created", view.Created)
		if err != nil {
			return nil, err
		}
		v.createdAt = len(v.columns)
		v.columns = append(v.columns, view.Created)
		if c.options.KnownAt {
			createdUnit, _ := unitOf(f.Type)
			b := x.boundsFor(0, createdUnit)
			v.created, v.createdNone = b.upper, b.early
		}
	}
	v.setWindow(c.options)
	return v, nil
}

// emit fetches features and yields output, in ranges of entity rows that keep what is held at once within bounds.
func (c *call) emit(ctx context.Context, yield func(arrow.Record) bool) error {
	step, least := max(minRange, int(c.options.gatherBytes()/sortBytes)), c.leastRange()
	for lo := 0; lo < c.rows; {
		hi := min(lo+step, c.rows)
		g, err := c.gather(ctx, lo, hi, least)
		if smaller := c.narrower(hi-lo, least, err); smaller > 0 {
			step = smaller
			continue
		}
		if err == nil {
			c.memory.settle() // what comes now takes what it takes, and a client may be slow to take it
			err = c.emitRange(ctx, g, lo, hi, yield)
			g.release()
		}
		if err != nil {
			return err
		}
		lo = hi
	}
	return nil
}

// minRange is the number of entity rows that are answered at once even if some are wide.
const minRange = 4096

// leastRange is minRange, or fewer if the types of the features say that all rows are wide.
func (c *call) leastRange() int {
	perRow := int64(0)
	for _, v := range c.views {
		perRow += v.nullBytes()
	}
	return c.options.rowsAtOnce(minRange, perRow, 1)
}

// narrower is the number of entity rows to try after an error that fewer of them may not have; 0 for any other error.
func (c *call) narrower(rows, least int, err error) int {
	if rows <= least {
		return 0
	}
	var wide tooWide
	switch {
	case errors.As(err, &wide):
		return max(least, min(rows/2, int(c.options.gatherBytes()/max(1, wide.perRow))))
	case errors.Is(err, fault.Exhausted):
		return max(least, rows/2)
	}
	return 0
}

// rangeFeatures are the features of all views for a range of entity rows.
type rangeFeatures []*gathered

func (r rangeFeatures) release() {
	for _, g := range r {
		g.release()
	}
}

// bytes is the size of the features of entity rows [lo, hi) of the range in an answer.
func (r rangeFeatures) bytes(lo, hi int) (n int64) {
	for _, g := range r {
		n += g.answerBytes(lo, hi)
	}
	return n
}

// gather fetches the features of entity rows [lo, hi); least is the number of them that is not made smaller. After an error
// nothing is held.
func (c *call) gather(ctx context.Context, lo, hi, least int) (all rangeFeatures, err error) {
	defer func() {
		if err != nil {
			all.release()
		}
	}()
	if err := c.memory.reserve(ctx, int64(hi-lo)*sortBytes); err != nil {
		return nil, err
	}
	defer c.memory.release(int64(hi-lo) * sortBytes)
	limit := c.options.gatherBytes()
	if hi-lo <= least {
		limit = math.MaxInt64 // it cannot be fewer rows: the budget alone decides
	}
	for _, v := range c.views {
		g, err := v.fetch(ctx, v.winners[lo:hi], limit)
		if err != nil {
			return all, fmt.Errorf("feature view %q: %w", v.Name, err)
		}
		g.null = v.nullBytes()
		all = append(all, g)
		limit = max(limit/8, limit-g.bytes.Load())
	}
	return all, nil
}

// emitRange answers entity rows [lo, hi).
func (c *call) emitRange(ctx context.Context, all rangeFeatures, lo, hi int, yield func(arrow.Record) bool) error {
	at := 0
	for _, rec := range c.entities.Records {
		rows := int(rec.NumRows())
		from, to := max(lo, at), min(hi, at+rows)
		if from < to {
			piece := rec.NewSlice(int64(from-at), int64(to-at))
			err := c.emitPiece(ctx, piece, all, from-lo, yield)
			piece.Release()
			if err != nil {
				return err
			}
		}
		at += rows
	}
	return nil
}

// emitPiece answers a run of neighbouring entity rows, the first of which is row first of the gathered range. A feature row
// that won for many of them is there once, and many times in the answer: its size is counted for each.
func (c *call) emitPiece(ctx context.Context, piece arrow.Record, all rangeFeatures, first int, yield func(arrow.Record) bool) error {
	rows := int(piece.NumRows())
	perRow := arrowsize.Rows(piece)/int64(rows) + 1
	step := int(min(maxBatchRows, max(1, batchBytes/perRow)))
	next := step // what has been narrowed widens by and by
	for lo := 0; lo < rows; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := min(next, rows-lo)
		bytes := perRow*int64(n) + all.bytes(first+lo, first+lo+n)
		for n > 1 && bytes > 2*batchBytes {
			n /= 2
			bytes = perRow*int64(n) + all.bytes(first+lo, first+lo+n)
		}
		next = min(step, 4*n)
		err := c.emitBatch(ctx, bytes, func() (arrow.Record, error) { return c.assemble(piece, all, first, lo, n) }, yield)
		if errors.Is(err, errTooLong) && n > 1 {
			step = n / 2
			next = step
			continue
		}
		if err != nil {
			return err
		}
		lo += n
	}
	return nil
}

// emitBatch makes a batch and yields it. One of the usual size is nobody's concern, and a row may be larger than any limit but
// the memory of the call.
func (c *call) emitBatch(ctx context.Context, bytes int64, assemble func() (arrow.Record, error), yield func(arrow.Record) bool) error {
	if bytes > 2*batchBytes {
		if err := c.memory.reserve(ctx, bytes); err != nil {
			return err
		}
		defer c.memory.release(bytes)
	}
	rec, err := assemble()
	if err != nil {
		return err
	}
	defer rec.Release()
	if !yield(rec) {
		return errStopped
	}
	return nil
}

// assemble builds one output record: the entity columns are slices, the features are taken from what was gathered.
func (c *call) assemble(piece arrow.Record, all rangeFeatures, first, lo, n int) (arrow.Record, error) {
	var columns []arrow.Array
	defer func() {
		for _, col := range columns {
			col.Release()
		}
	}()
	for _, i := range entityColumns(c.entities.Schema) {
		columns = append(columns, array.NewSlice(piece.Column(i), int64(lo), int64(lo+n)))
	}
	for i, v := range c.views {
		taken, err := all[i].take(v.boundView, first+lo, first+lo+n)
		columns = append(columns, taken...)
		if err != nil {
			return nil, fmt.Errorf("feature view %q: %w", v.Name, err)
		}
	}
	return array.NewRecord(c.schema, columns, int64(n)), nil
}
