package joins

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"github.com/flightd/flightd/internal/arrowsize"
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
			err = l.emit(ctx, func(rec arrow.Record) bool { return yield(rec, nil) })
		}
		if err != nil && err != errStopped {
			yield(nil, err)
		}
	}
}

// latest is one call.
type latest struct {
	view     *View
	pull     *pull
	spaces   []space // of the keys, and one word that tells which of them are null
	reads    []string
	groups   *groups
	best     []candidate // group -> best row that has an event time
	timeless []candidate // group -> best row without one
	keeper   *keeper
	memory   *holding
	tuples   tuples
	paid     int   // groups that are paid for
	limit    int64 // bytes of features that are held at once
}

const latestGroupBytes = 120 // for each distinct key: hash table, keys, candidates

func (l *latest) close() {
	if l.keeper != nil {
		l.keeper.release()
	}
	l.memory.close()
}

func (l *latest) prepare(columns []Feature, w Window) error {
	var err error
	if l.pull, err = newPull(l.view.Table, l.view.EventTime, columns, w); err != nil {
		return err
	}
	for _, key := range l.view.Keys {
		f, err := sourceField(l.view, "join key", key.Source)
		if err != nil {
			return err
		}
		s, ok := pair(f.Type, f.Type)
		if !ok {
			return fmt.Errorf("feature view %q: %s", l.view.Name, castHint(f.Type, f.Type))
		}
		l.spaces, l.reads = append(l.spaces, s), append(l.reads, key.Source)
	}
	l.spaces = append(l.spaces, space{kind: int64s})
	l.reads = append(l.reads, l.view.EventTime)
	if l.view.Created != "" {
		if _, err := sourceField(l.view, "created", l.view.Created); err != nil {
			return err
		}
		l.reads = append(l.reads, l.view.Created)
	}
	l.groups = newGroups(l.spaces, 1024)
	return nil
}

func (l *latest) match(ctx context.Context, opt Options) error {
	sel := Selection{Columns: l.reads, Time: l.view.EventTime, Start: l.pull.window.Start, End: l.pull.window.End}
	if _, ok := l.view.Table.(Gatherer); !ok {
		l.keeper = newKeeper(l.view.Table, l.columns(), func() []candidate { return slices.Concat(l.best, l.timeless) }, l.memory)
		sel.Columns = l.keeper.reads(sel.Columns)
	}
	for _, part := range l.pull.span.parts(l.view.Table, l.view.EventTime, opt) {
		var first int64
		for rec, err := range l.view.Table.Read(ctx, part, sel) {
			if err == nil {
				err = ctx.Err()
			}
			if err == nil {
				err = l.batch(ctx, rec, At(part, first))
			}
			if err == nil && l.keeper != nil {
				err = l.keeper.keep(ctx, rec, part, first)
			}
			if err != nil {
				return err
			}
			first += rec.NumRows()
		}
		if opt.Trace != nil {
			opt.Trace.RowsRead += first
		}
	}
	if opt.Trace != nil {
		opt.Trace.Matched += int64(l.groups.n)
		opt.Trace.Plan = append(opt.Trace.Plan, fmt.Sprintf("%s: latest of %d keys", l.view.Name, l.groups.n))
	}
	return nil
}

// columns are the source columns of the answer, each once.
func (l *latest) columns() []string {
	v := &boundView{View: &View{Features: l.pull.columns}}
	return v.featureColumns()
}

func (l *latest) batch(ctx context.Context, rec arrow.Record, first Position) error {
	rows, keys := int(rec.NumRows()), len(l.view.Keys)
	if err := l.tuples.encodeValues(rec.Columns()[:keys], l.spaces, rows); err != nil {
		return err
	}
	timeColumn := rec.Column(keys)
	times, err := instants(timeColumn, nil)
	if err != nil {
		return err
	}
	var createdColumn arrow.Array
	var created []int64
	if l.view.Created != "" {
		createdColumn = rec.Column(keys + 1)
		if created, err = instants(createdColumn, nil); err != nil {
			return err
		}
	}
	for i := range rows {
		known := timeColumn.IsValid(i)
		if l.pull.span.bound && !(known && times[i] >= l.pull.span.lo && times[i] <= l.pull.span.hi) {
			continue
		}
		group := l.groups.add(&l.tuples, i)
		if int(group) == len(l.best) {
			l.best, l.timeless = append(l.best, candidate{}), append(l.timeless, candidate{})
		}
		c, best := candidate{tag: uint64(first) + uint64(i) + 1}, &l.timeless[group]
		if known {
			c.time, best = times[i], &l.best[group]
		}
		if createdColumn != nil && createdColumn.IsValid(i) {
			c.created, c.tag = created[i], c.tag|hasCreated
		}
		if c.beats(best) {
			*best = c
			if l.keeper != nil {
				l.keeper.improved = append(l.keeper.improved, int32(i))
			}
		}
	}
	more := l.groups.n - l.paid
	l.paid += more
	return l.memory.reserve(ctx, int64(more)*latestGroupBytes+l.groups.takeTextBytes())
}

// emit yields the winners in the order of their positions, in pieces that keep what is held at once within bounds.
func (l *latest) emit(ctx context.Context, yield func(arrow.Record) bool) error {
	winners, err := l.winners(ctx)
	if err != nil {
		return err
	}
	out := &coalescer{schema: l.pull.schema, yield: yield}
	defer out.drop()
	size := probeRows
	for len(winners) > 0 {
		n := 1
		for n < len(winners) && n < size && winners[n].Part() == winners[0].Part() {
			n++
		}
		bytes, err := l.emitPiece(ctx, winners[:n], out)
		if err != nil {
			return err
		}
		size = int(min(maxPieceRows, max(probeRows, l.limit/8*int64(n)/max(1, bytes))))
		winners = winners[n:]
	}
	_, err = out.flush()
	return err
}

// winners are the best rows of all groups, ascending.
func (l *latest) winners(ctx context.Context) ([]Position, error) {
	if err := l.memory.reserve(ctx, int64(l.groups.n)*winnerBytes); err != nil {
		return nil, err
	}
	winners := make([]Position, l.groups.n)
	for i := range winners {
		if best := &l.best[i]; best.tag != 0 {
			winners[i] = best.position()
		} else {
			winners[i] = l.timeless[i].position()
		}
	}
	slices.Sort(winners)
	return winners, nil
}

// emitPiece yields some winners of one part and returns how many bytes they are.
func (l *latest) emitPiece(ctx context.Context, winners []Position, out *coalescer) (int64, error) {
	rec, err := l.fetch(ctx, winners)
	if err != nil {
		return 0, err
	}
	defer rec.Release()
	bytes := arrowsize.Record(rec)
	if err := l.memory.reserve(ctx, bytes); err != nil {
		return 0, err
	}
	defer l.memory.release(bytes)
	renamed := l.rename(rec)
	defer renamed.Release()
	return bytes, emitSlices(ctx, renamed, out)
}

func (l *latest) fetch(ctx context.Context, winners []Position) (arrow.Record, error) {
	table, ok := l.view.Table.(Gatherer)
	if !ok {
		return l.fetchKept(winners)
	}
	rows := make([]int64, len(winners))
	for i, p := range winners {
		rows[i] = p.Row()
	}
	return table.Gather(ctx, winners[0].Part(), rows, l.columns())
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
