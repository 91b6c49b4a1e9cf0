package joins

import (
	"context"
	"fmt"
	"iter"
	"math"
	"math/bits"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"github.com/flightd/flightd/internal/arrowsize"
	"github.com/flightd/flightd/internal/fault"
)

// Latest gives, for every distinct key tuple of a view with a row in the window, the row that wins by event time,
// created time and position. Null is a key value here. Rows without event time count as the oldest, and are left out as
// soon as the window has a bound. Memory is bounded by the number of distinct keys. The order of rows is their position.
func Latest(ctx context.Context, v View, columns []Feature, w Window, opt Options) iter.Seq2[arrow.Record, error] {
	return func(yield func(arrow.Record, error) bool) {
		l := &latest{view: &v, memory: &holding{budget: opt.Budget}, limit: opt.gatherBytes()}
		defer l.close()
		err := l.prepare(columns, w)
		if err == nil {
			err = l.match(ctx, opt)
		}
		if err == nil {
			err = l.emit(ctx, opt, func(rec arrow.Record) bool { return yield(rec, nil) })
		}
		if err != nil && err != errStopped {
			yield(nil, err)
		}
	}
}

// latest is one call.
type latest struct {
	view   *View
	pull   *pull
	spaces []space // of the keys
	reads  []string
	found  *newest
	nulls  nullKeys
	keeper *keeper
	memory *holding
	limit  int64 // bytes of features that are held at once
}

func (l *latest) close() {
	if l.keeper != nil {
		l.keeper.release()
	}
	l.memory.close()
}

func (l *latest) prepare(columns []Feature, w Window) error {
	var err error
	if l.pull, err = newPull(l.view, columns, w); err != nil {
		return err
	}
	for _, key := range l.view.Keys {
		f, err := sourceField(l.view, "join key", key.Source)
		if err != nil {
			return err
		}
		s, ok := pair(f.Type, f.Type)
		if !ok {
			return fault.New(fault.Precondition, "feature view %q: %s", l.view.Name, castHint(f.Type, f.Type))
		}
		l.spaces, l.reads = append(l.spaces, s), append(l.reads, key.Source)
	}
	l.reads = append(l.reads, l.view.EventTime)
	if l.view.Created != "" {
		if _, err := timeField(l.view, "created", l.view.Created); err != nil {
			return err
		}
		l.reads = append(l.reads, l.view.Created)
	}
	return nil
}

// latestWaiting is how many rows of a thread wait at most. Tables of keys grow while they are met, so each turn of a partition
// costs more than in a join, and more rows at a time pay.
const latestWaiting = 2 << 20

// maxPartitions is how many partitions there are at most: how many distinct keys will come is not known.
const maxPartitions = 256

// reading is what is streamed past the best rows so far.
func (l *latest) reading(parts []int) *reading {
	span := &l.pull.span
	r := &reading{table: l.view.Table, keys: &keyCoder{spaces: l.spaces}, created: -1, parts: 1, early: span.lo, late: span.hi, timeless: !span.bound}
	switch {
	case !allWords(l.spaces):
		r.keys.form = text
	case len(l.spaces) > 1:
		r.keys.form = wide
	}
	l.known(r, parts)
	if l.view.Created != "" {
		r.created = len(l.spaces) + 1
	}
	for rows := rowsOf(l.view.Table, parts); len(l.spaces) > 0 && r.parts < maxPartitions && r.parts*partitioning.rows < rows && (r.keys.dense == 0 || r.parts < 1<<r.keys.dense); {
		r.parts *= 2
	}
	return r
}

// known has keys packed that are integers in a range which the parts tell, if most in it may be there.
func (l *latest) known(r *reading, parts []int) {
	table, can := l.view.Table.(Ranger)
	_, gathers := l.view.Table.(Gatherer)
	if !can || !gathers || len(l.spaces) == 0 {
		return
	}
	c := &keyCoder{form: packed, spaces: l.spaces, ranges: make([]keyRange, len(l.spaces))}
	var width uint
	for i, s := range l.spaces {
		lo, hi, ok := rangeIn(table, parts, l.view.Keys[i].Source)
		if !ok || s.kind != int64s {
			return
		}
		c.ranges[i] = keyRange{uint64(lo), uint64(hi), true}
		c.shifts = append(c.shifts, width)
		width += uint(bits.Len64(uint64(hi) - uint64(lo)))
	}
	rows := rowsOf(table, parts)
	if width > maxStepBits || rows == math.MaxInt32 || 1<<width > partitioning.dense*tableSize(int64(rows)) {
		return
	}
	if newestBytes<<width > l.limit { // few of so many keys may be there
		return
	}
	c.dense = max(1, width)
	r.keys, r.strict, r.newest = c, true, true
	var ok bool
	if r.times.lo, r.times.hi, ok = rangeIn(table, parts, l.view.EventTime); !ok {
		r.times.lo, r.times.hi = 1, 0
	}
}

// rangeIn is the range of a column's values in some parts; not ok if it is not known, or if there are none.
func rangeIn(table Ranger, parts []int, column string) (lo, hi int64, ok bool) {
	lo, hi = math.MaxInt64, math.MinInt64
	for _, part := range parts {
		least, most, known := table.Range(part, column)
		if !known {
			return 0, 0, false
		}
		if least <= most {
			lo, hi = min(lo, least), max(hi, most)
		}
	}
	return lo, hi, lo <= hi
}

func (l *latest) match(ctx context.Context, opt Options) error {
	sel := Selection{Columns: l.reads, Time: l.view.EventTime, Start: l.pull.window.Start, End: l.pull.window.End}
	parts := l.pull.span.parts(l.view.Table, l.view.EventTime, opt)
	opt.Trace.parts(l.view.Table, parts, sel.Columns)
	r := l.reading(parts)
	l.found = newNewest(ctx, l.memory, r)
	l.nulls = nullKeys{latest: l, ctx: ctx}
	r.odd = l.nulls.add
	var rows int64
	var err error
	if _, ok := l.view.Table.(Gatherer); ok {
		rows, err = l.stream(ctx, opt, r, parts, sel)
	} else {
		rows, err = l.streamAndKeep(ctx, r, parts, sel)
	}
	if err != nil {
		return err
	}
	if opt.Trace != nil {
		opt.Trace.RowsRead += rows
		opt.Trace.note(fmt.Sprintf("%s: %d of %d parts, %d rows of %v", l.view.Name,
			len(parts), len(l.view.Table.Parts()), rows, sel.Columns))
	}
	return nil
}

func (l *latest) stream(ctx context.Context, opt Options, r *reading, parts []int, sel Selection) (int64, error) {
	threads := max(1, min(opt.threads(), len(stretches(l.view.Table, parts, opt.threads()))))
	blocks := leastBlocks
	if r.parts > 1 {
		waiting := latestWaiting
		if r.keys.dense > 0 {
			waiting = waitingRows
		}
		blocks = 2*r.parts + min(waiting, rowsOf(l.view.Table, parts)/threads)/blockRows
	}
	reserved := int64(threads) * (int64(blocks)*r.blockBytes() + 1<<r.keys.dense)
	if err := l.memory.reserve(ctx, reserved); err != nil {
		return 0, err
	}
	defer l.memory.release(reserved)
	return r.streamAll(ctx, threads, blocks, parts, sel, func(int) sink { return l.found })
}

// streamAndKeep is for a table that cannot be asked for rows by position: those that are best so far are copied.
func (l *latest) streamAndKeep(ctx context.Context, r *reading, parts []int, sel Selection) (int64, error) {
	l.keeper = newKeeper(l.view.Table, l.columns(), l.all, l.memory)
	sel.Columns = l.keeper.reads(sel.Columns)
	r.parts, r.sink = 1, l.found
	l.found.keep = true
	s := newStream(r, leastBlocks, 0)
	for _, part := range parts {
		err := s.part(ctx, part, sel, func(rec arrow.Record, first int64) error {
			if err := s.flush(); err != nil {
				return err
			}
			l.keeper.improve(l.found.improved, first)
			l.found.improved = l.found.improved[:0]
			return l.keeper.keep(ctx, rec, part, first)
		})
		if err != nil {
			return 0, err
		}
	}
	return s.seen, nil
}

// all lists the best rows of all keys.
func (l *latest) all() []candidate { return append(l.found.all(), l.nulls.rows...) }

// columns are the source columns of the answer, each once.
func (l *latest) columns() []string {
	v := &boundView{View: &View{Features: l.pull.columns}}
	return v.featureColumns()
}

// emit yields the winners in the order of their positions, in pieces that keep what is held at once within bounds. The
// first piece is small and tells how wide rows are.
func (l *latest) emit(ctx context.Context, opt Options, yield func(arrow.Record) bool) error {
	w, err := l.winners(ctx, opt.threads())
	if err != nil || len(w.positions) == 0 {
		return err
	}
	if opt.Trace != nil {
		opt.Trace.Fetched += int64(len(w.positions))
	}
	out := &coalescer{schema: l.pull.schema, yield: yield}
	defer out.drop()
	threads := opt.threads()
	least := opt.rowsAtOnce(gathering.probe, nullBytes(l.view.Table, l.columns()), threads)
	first := pieceOf(w.positions, least)
	probe, err := l.fetch(ctx, w, 0, first)
	if err != nil {
		return err
	}
	size := max(int64(least), l.limit/int64(4*threads)*int64(first)/max(1, probe.bytes))
	if err := l.pass(ctx, probe, out); err != nil {
		return err
	}
	begin := []int{first} // of pieces; and one more
	for at := first; at < len(w.positions); {
		at += pieceOf(w.positions[at:], int(min(int64(gathering.piece), size)))
		begin = append(begin, at)
	}
	err = inOrder(ctx, threads, len(begin)-1, func(ctx context.Context, i int) (fetched, error) { return l.fetch(ctx, w, begin[i], begin[i+1]) },
		func(f fetched) error { return l.pass(ctx, f, out) }, l.drop)
	if err != nil {
		return err
	}
	_, err = out.flush()
	return err
}

// pieceOf is how many of the first winners are in one part, at most so many.
func pieceOf(winners []Position, most int) int {
	n := 1
	for n < len(winners) && n < most && winners[n].Part() == winners[0].Part() {
		n++
	}
	return n
}

// fetched is a record of winners, with its bytes reserved.
type fetched struct {
	record arrow.Record
	bytes  int64
}

func (l *latest) drop(f fetched) {
	f.record.Release()
	l.memory.release(f.bytes)
}

// fetch gets the columns of some winners of one part.
func (l *latest) fetch(ctx context.Context, w *latestWinners, lo, hi int) (f fetched, err error) {
	if table, ok := l.view.Table.(Gatherer); ok {
		f.record, err = l.gather(ctx, table, w, lo, hi)
	} else {
		f.record, err = l.fetchKept(w.positions[lo:hi])
	}
	if err != nil {
		return f, err
	}
	f.bytes = arrowsize.Record(f.record)
	if err := l.memory.reserve(ctx, f.bytes); err != nil {
		f.record.Release()
		return f, err
	}
	return f, nil
}

// pass yields a fetched record in slices, and drops it.
func (l *latest) pass(ctx context.Context, f fetched, out *coalescer) error {
	defer l.drop(f)
	renamed := l.rename(f.record)
	defer renamed.Release()
	return emitSlices(ctx, renamed, out)
}

func emitSlices(ctx context.Context, rec arrow.Record, out *coalescer) error {
	for lo := int64(0); lo < rec.NumRows(); lo += maxBatchRows {
		if err := ctx.Err(); err != nil {
			return err
		}
		piece := rec.NewSlice(lo, min(lo+maxBatchRows, rec.NumRows()))
		more, err := out.add(piece)
		piece.Release()
		if err != nil {
			return err
		}
		if !more {
			return errStopped
		}
	}
	return nil
}

// rename gives the answer's columns their names; a source column may stand under several.
func (l *latest) rename(rec arrow.Record) arrow.Record {
	columns := make([]arrow.Array, len(l.pull.columns))
	for i, c := range l.pull.columns {
		columns[i] = rec.Column(rec.Schema().FieldIndices(c.Source)[0])
	}
	return array.NewRecord(l.pull.schema, columns, rec.NumRows())
}

// fetchKept takes rows from the copies that were kept.
func (l *latest) fetchKept(some []Position) (arrow.Record, error) {
	refs, _ := l.keeper.refs(some)
	fields := make([]arrow.Field, len(l.keeper.columns))
	columns := make([]arrow.Array, len(fields))
	for i, name := range l.keeper.columns {
		chunks := make([]arrow.Array, len(l.keeper.stored))
		for c, s := range l.keeper.stored {
			chunks[c] = s.record.Column(i)
		}
		f, _ := l.view.Table.Schema().FieldsByName(name)
		var err error
		if columns[i], err = Take(f[0].Type, chunks, refs); err != nil {
			return nil, err
		}
		defer columns[i].Release()
		fields[i] = arrow.Field{Name: name, Type: columns[i].DataType(), Nullable: true}
	}
	return array.NewRecord(arrow.NewSchema(fields, nil), columns, int64(len(some))), nil
}
