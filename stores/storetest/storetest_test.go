package storetest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"github.com/flightd/flightd/joins"
	"github.com/flightd/flightd/stores"
	"github.com/flightd/flightd/stores/memstore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A suite that nothing fails proves nothing: here every sentence is broken by a store that keeps all others well enough
// to be found out by that one.
func TestBrokenStoresAreFound(t *testing.T) {
	for _, f := range faults {
		t.Run(f.check+"/"+f.what, func(t *testing.T) {
			h := Harness{Open: func(t *testing.T, tables map[string]Table) stores.OfflineStore {
				s := memstore.New()
				for name, table := range tables {
					if err := s.Put(name, table.Schema, table.Records...); err != nil {
						t.Fatal(err)
					}
				}
				return f.breaks(s)
			}}
			i := slices.IndexFunc(checks(), func(c check) bool { return c.name == f.check })
			if i < 0 {
				t.Fatalf("no check is called %q", f.check)
			}
			if err := checks()[i].run(t, h); err == nil || errors.Is(err, errUnable) {
				t.Errorf("not found: %v", err)
			} else {
				t.Logf("found: %v", err)
			}
		})
	}
}

// Every check is in the list of faults, so a new sentence comes with a store that breaks it.
func TestEveryCheckCanFail(t *testing.T) {
	for _, c := range checks() {
		if !slices.ContainsFunc(faults, func(f fault) bool { return f.check == c.name }) {
			t.Errorf("no broken store for %q: %s", c.name, c.sentence)
		}
	}
}

// fault is a store that breaks one sentence.
type fault struct {
	check, what string
	breaks      func(*memstore.Store) stores.OfflineStore
}

// broken is a memory store with some of its methods replaced.
type broken struct {
	*memstore.Store
	schema func(*arrow.Schema) *arrow.Schema
	scan   func(ctx context.Context, sel stores.Selection, rows scanFunc) iter.Seq2[arrow.Record, error]
	table  func(joins.Table) joins.Table
	append func(ctx context.Context, id string, rows stores.Rows, write appendFunc) (stores.Written, error)
	err    func(error) error
	open   bool // Close does nothing
}

type (
	scanFunc   func(context.Context, stores.Selection) iter.Seq2[arrow.Record, error]
	appendFunc func(context.Context, string, stores.Rows) (stores.Written, error)
)

func (b broken) Schema(ctx context.Context, src stores.DataSource) (*arrow.Schema, error) {
	schema, err := b.Store.Schema(ctx, src)
	if err != nil && b.err != nil {
		err = b.err(err)
	}
	if err == nil && b.schema != nil {
		schema = b.schema(schema)
	}
	return schema, err
}

func (b broken) Scan(ctx context.Context, src stores.DataSource, sel stores.Selection) iter.Seq2[arrow.Record, error] {
	rows := func(ctx context.Context, sel stores.Selection) iter.Seq2[arrow.Record, error] {
		return b.Store.Scan(ctx, src, sel)
	}
	if b.scan == nil {
		return rows(ctx, sel)
	}
	return b.scan(ctx, sel, rows)
}

func (b broken) Table(ctx context.Context, src stores.DataSource) (joins.Table, error) {
	table, err := b.Store.Table(ctx, src)
	if err != nil || b.table == nil {
		return table, err
	}
	return b.table(table), nil
}

func (b broken) Append(
	ctx context.Context, dst stores.DataSource, id string, rows stores.Rows,
) (stores.Written, error) {
	write := func(ctx context.Context, id string, rows stores.Rows) (stores.Written, error) {
		return b.Store.Append(ctx, dst, id, rows)
	}
	if b.append == nil {
		return write(ctx, id, rows)
	}
	return b.append(ctx, id, rows, write)
}

func (b broken) Close() error {
	if b.open {
		return nil
	}
	return b.Store.Close()
}

// brokenTable is a table with its reading replaced.
type brokenTable struct {
	joins.Gatherer
	rows   func(arrow.Record) arrow.Record
	gather func([]int64) []int64
	mu     *sync.Mutex
	range_ [2]int64
}

func (b brokenTable) Read(ctx context.Context, part int, sel joins.Selection) iter.Seq2[arrow.Record, error] {
	if b.mu != nil && !b.mu.TryLock() {
		return failing(errors.New("another part is being read"))
	}
	return func(yield func(arrow.Record, error) bool) {
		if b.mu != nil {
			defer b.mu.Unlock()
			time.Sleep(time.Millisecond) // long enough to be met
		}
		for rec, err := range b.Gatherer.Read(ctx, part, sel) {
			if err == nil && b.rows != nil {
				rec = b.rows(rec)
			}
			if !yield(rec, err) {
				return
			}
		}
	}
}

func (b brokenTable) Gather(ctx context.Context, part int, rows []int64, columns []string) (arrow.Record, error) {
	if b.gather != nil {
		rows = b.gather(slices.Clone(rows))
	}
	return b.Gatherer.Gather(ctx, part, rows, columns)
}

func (b brokenTable) Range(int, string) (lo, hi int64, ok bool) {
	return b.range_[0], b.range_[1], true
}

func failing(err error) iter.Seq2[arrow.Record, error] {
	return func(yield func(arrow.Record, error) bool) { yield(nil, err) }
}

// each applies a change to every record of a scan; what it makes nil is left out.
func each(change func(i int, rec arrow.Record) arrow.Record) func(context.Context, stores.Selection, scanFunc) iter.Seq2[arrow.Record, error] {
	return func(ctx context.Context, sel stores.Selection, rows scanFunc) iter.Seq2[arrow.Record, error] {
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

func withoutLast(rec arrow.Record) arrow.Record { return rec.NewSlice(0, max(0, rec.NumRows()-1)) }

func renamed(schema *arrow.Schema) *arrow.Schema {
	fields := slices.Clone(schema.Fields())
	fields[0].Name += "2"
	return arrow.NewSchema(fields, nil)
}

var faults = []fault{
	{"missing", "without fs.ErrNotExist", func(s *memstore.Store) stores.OfflineStore {
		return &broken{Store: s, err: func(error) error { return errors.New("gone") }}
	}},
	{"schema", "another name", func(s *memstore.Store) stores.OfflineStore {
		return &broken{Store: s, schema: renamed}
	}},
	{"projection", "all columns", func(s *memstore.Store) stores.OfflineStore {
		return &broken{Store: s, scan: func(ctx context.Context, sel stores.Selection, rows scanFunc) iter.Seq2[arrow.Record, error] {
			sel.Columns = []string{"driver_id", "event_timestamp", "created", "trips", "note"}
			return rows(ctx, sel)
		}}
	}},
	{"range", "cut short", func(s *memstore.Store) stores.OfflineStore {
		return &broken{Store: s, scan: func(ctx context.Context, sel stores.Selection, rows scanFunc) iter.Seq2[arrow.Record, error] {
			return each(func(i int, rec arrow.Record) arrow.Record {
				if !sel.End.IsZero() && i > 1 {
					return nil
				}
				return rec
			})(ctx, sel, rows)
		}}
	}},
	{"lazy", "reads at once", func(s *memstore.Store) stores.OfflineStore {
		return &broken{Store: s, scan: func(ctx context.Context, sel stores.Selection, rows scanFunc) iter.Seq2[arrow.Record, error] {
			var records []arrow.Record
			for rec := range rows(ctx, sel) {
				records = append(records, rec)
			}
			return func(yield func(arrow.Record, error) bool) {
				for _, rec := range records {
					if !yield(rec, nil) {
						return
					}
				}
			}
		}}
	}},
	{"break", "leaves a goroutine", func(s *memstore.Store) stores.OfflineStore {
		return &broken{Store: s, scan: func(ctx context.Context, sel stores.Selection, rows scanFunc) iter.Seq2[arrow.Record, error] {
			return func(yield func(arrow.Record, error) bool) {
				go func() { <-ctx.Done() }()
				rows(ctx, sel)(yield)
			}
		}}
	}},
	{"twice", "only once", func(s *memstore.Store) stores.OfflineStore {
		return &broken{Store: s, scan: func(ctx context.Context, sel stores.Selection, rows scanFunc) iter.Seq2[arrow.Record, error] {
			done := false
			return func(yield func(arrow.Record, error) bool) {
				if !done {
					rows(ctx, sel)(yield)
				}
				done = true
			}
		}}
	}},
	{"cancel", "ends as if complete", func(s *memstore.Store) stores.OfflineStore {
		return &broken{Store: s, scan: func(ctx context.Context, sel stores.Selection, rows scanFunc) iter.Seq2[arrow.Record, error] {
			return func(yield func(arrow.Record, error) bool) {
				for rec, err := range rows(ctx, sel) {
					if err != nil || !yield(rec, nil) {
						return
					}
				}
			}
		}}
	}},
	{"concurrent", "one at a time", func(s *memstore.Store) stores.OfflineStore {
		var mu sync.Mutex
		return &broken{Store: s, scan: func(ctx context.Context, sel stores.Selection, rows scanFunc) iter.Seq2[arrow.Record, error] {
			return func(yield func(arrow.Record, error) bool) {
				if !mu.TryLock() {
					yield(nil, errors.New("busy"))
					return
				}
				defer mu.Unlock()
				time.Sleep(time.Millisecond) // long enough to be met
				rows(ctx, sel)(yield)
			}
		}}
	}},
	{"types", "a null lost", lastRowLost}, {"clocks", "a row lost", lastRowLost}, {"names", "a row lost", lastRowLost},
	{"all null", "a row lost", lastRowLost},
	{"nothing", "an error", func(s *memstore.Store) stores.OfflineStore {
		return &broken{Store: s, scan: each(func(_ int, rec arrow.Record) arrow.Record {
			return array.NewRecord(renamed(rec.Schema()), rec.Columns(), rec.NumRows())
		})}
	}},
	{"random", "a row lost", lastRowLost},
	{"parts", "a row lost", inTable(brokenTable{rows: withoutLast})},
	{"parts at once", "one at a time", inTable(brokenTable{mu: new(sync.Mutex)})},
	{"gather", "backwards", inTable(brokenTable{gather: func(rows []int64) []int64 { slices.Reverse(rows); return rows }})},
	{"bounds", "too tight", inTable(brokenTable{range_: [2]int64{1, 2}})},
	{"read-only", "writes through a hidden ability", func(s *memstore.Store) stores.OfflineStore {
		return &broken{Store: s, scan: each(func(_ int, rec arrow.Record) arrow.Record { return withoutLast(rec) })}
	}},
	{"append", "nothing written", func(s *memstore.Store) stores.OfflineStore {
		return &broken{Store: s, append: func(_ context.Context, _ string, rows stores.Rows, _ appendFunc) (w stores.Written, err error) {
			for rec := range rows.Records {
				w.Rows += rec.NumRows()
			}
			return w, nil
		}}
	}},
	{"append fails", "half written", func(s *memstore.Store) stores.OfflineStore {
		return &broken{Store: s, append: func(ctx context.Context, id string, rows stores.Rows, write appendFunc) (stores.Written, error) {
			var failed error
			some := rows
			some.Records = func(yield func(arrow.Record, error) bool) {
				for rec, err := range rows.Records {
					if failed = err; err != nil || !yield(rec, nil) {
						return
					}
				}
			}
			written, err := write(ctx, id, some)
			return written, errors.Join(err, failed)
		}}
	}},
	{"append schema", "accepted", func(s *memstore.Store) stores.OfflineStore {
		return &broken{Store: s, append: func(context.Context, string, stores.Rows, appendFunc) (stores.Written, error) {
			return stores.Written{}, nil
		}}
	}},
	{"append again", "written twice", forgetful}, {"append other", "accepted", forgetful}, {"append at once", "all write", forgetful},
	{"closed", "goes on", func(s *memstore.Store) stores.OfflineStore { return &broken{Store: s, open: true} }},
	{"foreign", "panics", func(s *memstore.Store) stores.OfflineStore {
		return &broken{Store: s, err: func(err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				panic("no such source")
			}
			return err
		}}
	}},
}

func lastRowLost(s *memstore.Store) stores.OfflineStore {
	return &broken{Store: s, scan: each(func(_ int, rec arrow.Record) arrow.Record { return withoutLast(rec) })}
}

func inTable(with brokenTable) func(*memstore.Store) stores.OfflineStore {
	return func(s *memstore.Store) stores.OfflineStore {
		return &broken{Store: s, table: func(table joins.Table) joins.Table {
			b := with
			b.Gatherer = table.(joins.Gatherer)
			return b
		}}
	}
}

// forgetful writes under another id each time.
func forgetful(s *memstore.Store) stores.OfflineStore {
	var mu sync.Mutex
	n := 0
	return &broken{Store: s, append: func(ctx context.Context, id string, rows stores.Rows, write appendFunc) (stores.Written, error) {
		mu.Lock()
		n++
		id = fmt.Sprint(id, n)
		mu.Unlock()
		return write(ctx, id, rows)
	}}
}
