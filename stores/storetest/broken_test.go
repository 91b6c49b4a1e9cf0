package storetest

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/flightd/flightd/joins"
	"github.com/flightd/flightd/stores"
	"github.com/flightd/flightd/stores/memstore"
)

// broken is a memory store with some of its methods replaced.
type broken struct {
	*memstore.Store
	source func(text string) stores.DataSource
	schema func(*arrow.Schema) *arrow.Schema
	scan   scanChange
	table  func(joins.Table) joins.Table
	append func(ctx context.Context, id string, rows stores.Rows, write appendFunc) (stores.Written, error)
	swap   func(ctx context.Context, dst stores.DataSource, rows stores.Rows) (stores.Written, error) // Replace
	err    func(op string, err error) error                                                           // of schema, scan, table, append
	open   bool                                                                                       // Close does nothing
	closed func()
}

type (
	records    = iter.Seq2[arrow.Record, error]
	readFunc   func(context.Context, stores.Selection) records
	scanChange func(ctx context.Context, sel stores.Selection, rows readFunc) records
	appendFunc func(context.Context, string, stores.Rows) (stores.Written, error)
)

func (b broken) failed(op string, err error) error {
	if b.err != nil && err != nil {
		return b.err(op, err)
	}
	return err
}

func (b broken) Source(text string) (stores.DataSource, error) {
	if b.source == nil {
		return b.Store.Source(text)
	}
	return b.source(text), nil
}

func (b broken) Schema(ctx context.Context, src stores.DataSource) (*arrow.Schema, error) {
	schema, err := b.Store.Schema(ctx, src)
	if err == nil && b.schema != nil {
		schema = b.schema(schema)
	}
	return schema, b.failed("schema", err)
}

func (b broken) Scan(ctx context.Context, src stores.DataSource, sel stores.Selection) records {
	rows := func(ctx context.Context, sel stores.Selection) records {
		return func(yield func(arrow.Record, error) bool) {
			for rec, err := range b.Store.Scan(ctx, src, sel) {
				if err = b.failed("scan", err); !yield(rec, err) {
					return
				}
			}
		}
	}
	if b.scan == nil {
		return rows(ctx, sel)
	}
	return b.scan(ctx, sel, rows)
}

func (b broken) Table(ctx context.Context, src stores.DataSource) (joins.Table, error) {
	table, err := b.Store.Table(ctx, src)
	if err != nil {
		return nil, b.failed("table", err)
	}
	if b.table == nil {
		return brokenTable{Gatherer: table.(joins.Gatherer)}, nil
	}
	return b.table(table), nil
}

func (b broken) Append(ctx context.Context, dst stores.DataSource, id string, rows stores.Rows) (stores.Written, error) {
	write := func(ctx context.Context, id string, rows stores.Rows) (stores.Written, error) {
		written, err := b.Store.Append(ctx, dst, id, rows)
		return written, b.failed("append", err)
	}
	if b.append == nil {
		return write(ctx, id, rows)
	}
	return b.append(ctx, id, rows, write)
}

func (b broken) Replace(ctx context.Context, dst stores.DataSource, overwrite bool, rows stores.Rows) (stores.Written, error) {
	if b.swap == nil {
		return b.Store.Replace(ctx, dst, overwrite, rows)
	}
	return b.swap(ctx, dst, rows)
}

func (b broken) Close() error {
	if b.open {
		return nil
	}
	if b.closed != nil {
		b.closed()
	}
	return b.Store.Close()
}

// brokenTable is a table with its reading replaced. It is a joins.Ranger and a joins.Identified that knows nothing, unless it is
// told what to say.
type brokenTable struct {
	joins.Gatherer
	identity func(part int) string
	read     scanChange
	parts    func([]joins.Part) []joins.Part
	gather   func(ctx context.Context, rows []int64, columns []string, gather gatherFunc) (arrow.Record, error)
	reading  *sync.Mutex
	bounds   *[2]int64
}

// brokenRows begins a row too early, where there is one.
type brokenRows struct{ brokenTable }

func (b brokenRows) ReadRows(ctx context.Context, part int, lo, hi int64, sel stores.Selection) records {
	return b.Gatherer.(joins.Slicer).ReadRows(ctx, part, max(0, lo-1), hi, sel)
}

// brokenGive writes over what it gave.
type brokenGive struct{ brokenTable }

func (b brokenGive) Give(ctx context.Context, part int, sel stores.Selection) records {
	return func(yield func(arrow.Record, error) bool) {
		for rec, err := range b.Gatherer.Read(ctx, part, sel) {
			if err != nil {
				yield(nil, err)
				return
			}
			columns := slices.Clone(rec.Columns())
			var lent [][]byte
			for i, col := range columns {
				if times, ok := col.(*array.Timestamp); ok && times.NullN() == 0 {
					values := bytes.Clone(arrow.TimestampTraits.CastToBytes(times.TimestampValues()))
					columns[i] = array.MakeFromData(array.NewData(col.DataType(), col.Len(), []*memory.Buffer{nil, memory.NewBufferBytes(values)}, nil, 0, 0))
					lent = append(lent, values)
				}
			}
			more := yield(array.NewRecord(rec.Schema(), columns, rec.NumRows()), nil)
			for _, values := range lent {
				clear(values)
			}
			if !more {
				return
			}
		}
	}
}

func (b brokenTable) Identity(part int) string {
	if b.identity == nil {
		return ""
	}
	return b.identity(part)
}

type gatherFunc func(context.Context, []int64, []string) (arrow.Record, error)

func (b brokenTable) Parts() []joins.Part {
	if b.parts == nil {
		return b.Gatherer.Parts()
	}
	return b.parts(b.Gatherer.Parts())
}

func (b brokenTable) Read(ctx context.Context, part int, sel joins.Selection) records {
	rows := func(ctx context.Context, sel stores.Selection) records { return b.Gatherer.Read(ctx, part, sel) }
	if b.read == nil {
		return rows(ctx, sel)
	}
	return b.read(ctx, sel, rows)
}

func (b brokenTable) Gather(ctx context.Context, part int, rows []int64, columns []string) (arrow.Record, error) {
	gather := func(ctx context.Context, rows []int64, columns []string) (arrow.Record, error) {
		return b.Gatherer.Gather(ctx, part, rows, columns)
	}
	if b.gather == nil {
		return gather(ctx, rows, columns)
	}
	return b.gather(ctx, slices.Clone(rows), columns, gather)
}

func (b brokenTable) Range(int, string) (lo, hi int64, ok bool) {
	if b.bounds == nil {
		return 0, 0, false
	}
	return b.bounds[0], b.bounds[1], true
}

// planner is a memory store that plans by itself: as package joins does, with something changed.
type planner struct {
	*memstore.Store
	change plan
}

type plan struct {
	rows    func(arrow.Record) arrow.Record
	schema  func(*arrow.Schema) *arrow.Schema
	records scanChange
	planned func(context.Context)
}

func planning(s *memstore.Store, change plan) stores.OfflineStore { return &planner{s, change} }

// Plan has the request answered without this method, and changes the answer.
func (p *planner) Plan(ctx context.Context, r stores.Request) (*stores.RetrievalJob, error) {
	job, err := stores.Plan(ctx, p.withoutPlan(r), stores.Options{})
	if err != nil {
		return nil, err
	}
	if p.change.planned != nil {
		p.change.planned(ctx)
	}
	schema := job.Schema()
	if p.change.schema != nil {
		schema = p.change.schema(schema)
	}
	planned := stores.NewJob(schema, func(ctx context.Context) records {
		rows := func(ctx context.Context, _ stores.Selection) records { return job.Records(ctx) }
		switch {
		case p.change.records != nil:
			return p.change.records(ctx, stores.Selection{}, rows)
		case p.change.rows != nil:
			return each(func(_ int, rec arrow.Record) arrow.Record { return p.change.rows(rec) })(ctx, stores.Selection{}, rows)
		}
		return rows(ctx, stores.Selection{})
	})
	planned.Report, planned.Trace, planned.Total = job.Report, job.Trace, job.Total
	return planned, nil
}

// withoutPlan is the request to the memory store inside.
func (p *planner) withoutPlan(r stores.Request) stores.Request {
	copies := make(map[*stores.FeatureView]*stores.FeatureView)
	inner := func(v *stores.FeatureView) *stores.FeatureView {
		if copies[v] == nil {
			view := *v
			view.Store = p.Store
			copies[v] = &view
		}
		return copies[v]
	}
	switch r := r.(type) {
	case *stores.All:
		q := *r
		q.View = inner(r.View)
		return &q
	case *stores.Latest:
		q := *r
		q.View = inner(r.View)
		return &q
	case *stores.Historical:
		q := *r
		q.Features = slices.Clone(r.Features)
		for i := range q.Features {
			q.Features[i].View = inner(q.Features[i].View)
		}
		return &q
	}
	return r
}

// each applies a change to every record of a scan; what it makes nil is left out.
func each(change func(i int, rec arrow.Record) arrow.Record) scanChange {
	return func(ctx context.Context, sel stores.Selection, rows readFunc) records {
		return func(yield func(arrow.Record, error) bool) {
			i := 0
			for rec, err := range rows(ctx, sel) {
				if err == nil {
					rec = change(i, rec)
				}
				if i++; rec == nil && err == nil {
					continue
				}
				if !yield(rec, err) {
					return
				}
			}
		}
	}
}

// mapped applies a change to every record, whichever it is.
func mapped(change func(arrow.Record) arrow.Record) scanChange {
	return each(func(_ int, rec arrow.Record) arrow.Record { return change(rec) })
}

// atOnce reads everything when it is asked for a sequence.
func atOnce(ctx context.Context, sel stores.Selection, rows readFunc) records {
	var all []arrow.Record
	for rec := range rows(ctx, sel) {
		rec.Retain()
		all = append(all, rec)
	}
	return func(yield func(arrow.Record, error) bool) {
		for _, rec := range all {
			if !yield(rec, nil) {
				return
			}
		}
	}
}

// exclusive refuses whoever comes while another one reads.
func exclusive(mu *sync.Mutex) scanChange {
	return func(ctx context.Context, sel stores.Selection, rows readFunc) records {
		return func(yield func(arrow.Record, error) bool) {
			if !mu.TryLock() {
				yield(nil, errors.New("busy"))
				return
			}
			defer mu.Unlock()
			time.Sleep(time.Millisecond) // long enough to be met
			rows(ctx, sel)(yield)
		}
	}
}

// lingers leaves a goroutine behind until the test ends.
func lingers(ctx context.Context) { go func() { <-ctx.Done() }() }

func withoutLast(rec arrow.Record) arrow.Record { return rec.NewSlice(0, max(0, rec.NumRows()-1)) }

// backwards is the record with its rows in the opposite order.
func backwards(rec arrow.Record) arrow.Record {
	refs := make([]joins.Ref, rec.NumRows())
	for i := range refs {
		refs[i] = joins.Ref{Row: int32(len(refs) - 1 - i)}
	}
	columns := make([]arrow.Array, rec.NumCols())
	for i, col := range rec.Columns() {
		var err error
		if columns[i], err = joins.Take(col.DataType(), []arrow.Array{col}, refs); err != nil {
			panic(err)
		}
	}
	return array.NewRecord(rec.Schema(), columns, rec.NumRows())
}

// retyped is the record with a changed schema.
func retyped(change func(*arrow.Schema) *arrow.Schema) func(arrow.Record) arrow.Record {
	return func(rec arrow.Record) arrow.Record {
		schema := change(rec.Schema())
		columns := make([]arrow.Array, rec.NumCols())
		for i, col := range rec.Columns() {
			data := array.NewData(schema.Field(i).Type, col.Len(), col.Data().Buffers(), col.Data().Children(), col.NullN(), col.Data().Offset())
			columns[i] = array.MakeFromData(data)
		}
		return array.NewRecord(schema, columns, rec.NumRows())
	}
}

// renamed gives the first column another name.
func renamed(schema *arrow.Schema) *arrow.Schema {
	fields := slices.Clone(schema.Fields())
	fields[0].Name += "2"
	return arrow.NewSchema(fields, nil)
}

// withoutZones makes every timestamp a naive one.
func withoutZones(schema *arrow.Schema) *arrow.Schema {
	fields := slices.Clone(schema.Fields())
	for i, f := range fields {
		if t, ok := f.Type.(*arrow.TimestampType); ok {
			fields[i].Type = &arrow.TimestampType{Unit: t.Unit}
		}
	}
	return arrow.NewSchema(fields, nil)
}
