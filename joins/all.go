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

// All streams every row of a view whose event time is in the window, part after part, columns renamed as asked. Rows
// without event time are there if the window has no bound at all. Parts are read ahead in parallel; memory is bounded by
// a few batches.
func All(ctx context.Context, v View, columns []Feature, w Window, share Share, opt Options) iter.Seq2[arrow.Record, error] {
	return func(yield func(arrow.Record, error) bool) {
		p, err := newPull(&v, columns, w)
		if err != nil {
			yield(nil, err)
			return
		}
		parts := p.span.parts(v.Table, v.EventTime, opt)
		names := v.Table.Parts()
		parts = slices.DeleteFunc(parts, func(i int) bool { return !share.has(names[i].Name) })
		opt.Trace.parts(v.Table, parts, p.reads)
		if opt.Trace != nil {
			opt.Trace.note(fmt.Sprintf("%s: all of %d of %d parts, columns %v", v.Name, len(parts), len(names), p.reads))
		}
		p.memory, p.wide = &holding{budget: opt.Budget}, opt.gatherBytes()/4
		defer p.memory.close()
		out := &coalescer{schema: p.schema, yield: func(rec arrow.Record) bool { return yield(rec, nil) }}
		defer out.drop()
		if err = p.stream(ctx, parts, opt, out.add); err == nil {
			_, err = out.flush()
		}
		if err != nil && err != errStopped {
			yield(nil, err)
		}
	}
}

// pull reads columns of a table, limited to a window.
type pull struct {
	table   Table
	span    span
	window  Window
	time    string
	columns []Feature
	schema  *arrow.Schema
	reads   []string // source columns to read: those of columns, then the time if the window asks and it is not there
	timeAt  int
	memory  *holding
	wide    int64 // bytes of a record that is read when its part's turn comes, and reserved
}

func newPull(view *View, columns []Feature, w Window) (*pull, error) {
	eventTime := view.EventTime
	f, err := timeField(view, "event timestamp", eventTime)
	if err != nil {
		return nil, err
	}
	u, _ := unitOf(f.Type)
	p := &pull{table: view.Table, window: w, span: w.in(u), time: eventTime, columns: columns, timeAt: -1}
	fields := make([]arrow.Field, len(columns))
	for i, c := range columns {
		f, err := sourceField(view, "column", c.Source)
		if err != nil {
			return nil, err
		}
		fields[i] = arrow.Field{Name: c.Name, Type: decoded(f.Type), Nullable: true, Metadata: f.Metadata}
		p.reads = append(p.reads, c.Source)
		if c.Source == eventTime {
			p.timeAt = i
		}
	}
	if p.timeAt < 0 && p.span.bound {
		p.timeAt = len(p.reads)
		p.reads = append(p.reads, eventTime)
	}
	p.schema = arrow.NewSchema(fields, nil)
	return p, nil
}

// Parts that are read at once may together take so many times what may be held of features. columnBytes is what a column
// takes while it is read: pages of the usual megabyte.
const (
	readAhead   = 4
	columnBytes = 4 << 20
)

// stream yields the rows of the parts in order. Up to opt.Threads parts are read at once, each a little ahead of what is
// taken; fewer if they have very many columns.
func (p *pull) stream(ctx context.Context, parts []int, opt Options, yield func(arrow.Record) (more bool, err error)) error {
	const ahead = 2 // records of one part that wait to be taken
	work := newWorkers(ctx)
	queues := make([]*queue, len(parts))
	begin := func(i int) {
		queues[i] = &queue{records: make(chan fetched, ahead), turn: make(chan struct{})}
		work.start(func(ctx context.Context) error {
			defer close(queues[i].records)
			return p.part(ctx, parts[i], queues[i])
		})
	}
	threads := p.threads(opt)
	for i := range min(threads, len(parts)) {
		begin(i)
	}
	var stopped error
	take := func(f fetched) {
		defer p.memory.release(f.bytes)
		rec := f.record
		defer rec.Release()
		if stopped != nil || work.ctx.Err() != nil {
			return
		}
		if opt.Trace != nil {
			opt.Trace.RowsRead += rec.NumRows()
		}
		more, err := yield(rec)
		if stopped = err; err == nil && !more {
			stopped = errStopped
		}
		if stopped != nil {
			work.cancel()
		}
	}
	for i := range parts {
		if queues[i].turn != nil {
			close(queues[i].turn)
		}
		for f := range queues[i].records {
			take(f)
		}
		if next := i + threads; next < len(parts) && work.ctx.Err() == nil {
			begin(next)
		} else if next < len(parts) {
			queues[next] = closed
		}
	}
	err := work.wait()
	if stopped != nil {
		return stopped
	}
	if err == nil {
		err = ctx.Err()
	}
	return err
}

// threads is how many parts are read at once.
func (p *pull) threads(opt Options) int {
	one := columnBytes*int64(max(1, len(p.reads))) + 4*nullBytes(p.table, p.reads) // of a row, one is read, and copies wait
	return int(max(1, min(int64(opt.threads()), readAhead*opt.gatherBytes()/one)))
}

// queue is the records of a part that wait to be taken.
type queue struct {
	records chan fetched
	turn    chan struct{} // closed when they are
}

var closed = func() *queue {
	q := &queue{records: make(chan fetched)}
	close(q.records)
	return q
}()

// part reads one part and sends copies of the rows that are wanted.
func (p *pull) part(ctx context.Context, part int, out *queue) error {
	sel := Selection{Columns: p.reads, Time: p.time, Start: p.window.Start, End: p.window.End}
	read := p.table.Read
	giver, given := p.table.(Giver)
	if given = given && !p.span.bound; given {
		read = giver.Give
	}
	for rec, err := range read(ctx, part, sel) {
		if err != nil {
			return err
		}
		rows, err := p.inside(rec)
		if err != nil {
			return err
		}
		for len(rows) > 0 {
			var some []run
			some, rows = cutRuns(rows, maxBatchRows)
			bytes, err := p.hold(ctx, rec, int(countRuns(some)), out)
			if err != nil {
				return err
			}
			own := p.copy
			if given {
				own = p.pass
			}
			mine, err := own(rec, some)
			if err != nil {
				p.memory.release(bytes)
				return err
			}
			select {
			case out.records <- fetched{mine, bytes}:
			case <-ctx.Done():
				mine.Release()
				p.memory.release(bytes)
				return ctx.Err()
			}
		}
	}
	return nil
}

// hold reserves n rows of a record that are to be copied, if they are many bytes. Those of one part wait for those before:
// else parts that are read ahead would hold what the one whose turn it is needs.
func (p *pull) hold(ctx context.Context, rec arrow.Record, n int, out *queue) (bytes int64, err error) {
	if bytes = arrowsize.Record(rec) / rec.NumRows() * int64(n); bytes <= p.wide {
		return 0, nil
	}
	select {
	case <-out.turn:
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	return bytes, p.memory.reserve(ctx, bytes)
}

// inside lists the rows of a record that are in the window.
func (p *pull) inside(rec arrow.Record) ([]run, error) {
	if rec.NumRows() == 0 {
		return nil, nil
	}
	if !p.span.bound {
		return []run{{n: rec.NumRows()}}, nil
	}
	var rows []run
	column := rec.Column(p.timeAt)
	times, err := instants(column, nil)
	if err != nil {
		return nil, err
	}
	for i, t := range times {
		if t >= p.span.lo && t <= p.span.hi && column.IsValid(i) {
			rows = addRun(rows, run{lo: int64(i), n: 1})
		}
	}
	return rows, nil
}

// pass makes a record of the first of the runs, which is the only one, without a copy as far as that is possible.
func (p *pull) pass(rec arrow.Record, rows []run) (arrow.Record, error) {
	columns := make([]arrow.Array, 0, len(p.columns))
	defer func() { releaseAll(columns) }()
	for i := range p.columns {
		if rec.Column(i).DataType().ID() == arrow.DICTIONARY { // its values are asked for
			return p.copy(rec, rows)
		}
		columns = append(columns, array.NewSlice(rec.Column(i), rows[0].lo, rows[0].lo+rows[0].n))
	}
	return array.NewRecord(p.schema, columns, rows[0].n), nil
}

func (p *pull) copy(rec arrow.Record, rows []run) (arrow.Record, error) {
	columns := make([]arrow.Array, 0, len(p.columns))
	defer func() { releaseAll(columns) }()
	for i := range p.columns {
		c, err := takeRunsOf(rec.Column(i).DataType(), []arrow.Array{rec.Column(i)}, rows)
		if err != nil {
			return nil, err
		}
		columns = append(columns, c)
	}
	return array.NewRecord(p.schema, columns, countRuns(rows)), nil
}
