package storetest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/flightd/flightd/joins"
	"github.com/flightd/flightd/stores"
	"github.com/flightd/flightd/stores/memstore"
)

// fault is a store that breaks one sentence.
type fault struct {
	check, what string
	breaks      func(*memstore.Store) stores.OfflineStore
	reopen      func(*testing.T, stores.OfflineStore) stores.OfflineStore
}

// allFaults are the faults below; those of scans are made of tables too, whose parts are then read.
func allFaults() []fault {
	all := slices.Concat(sourceFaults, closeFaults, tableFaults, planFaults, appendFaults(), replaceFaults, compactFaults, []fault{
		{check: "random", what: "a row lost", breaks: lastRowLost},
		{check: "random", what: "ties turned over", breaks: scanned(mapped(backwards))},
	})
	for _, f := range scanFaults() {
		all = append(all, fault{check: f.check, what: f.what, breaks: scanned(f.scan)})
		if f.check != "lazy" {
			all = append(all, fault{check: f.check + " of parts", what: f.what, breaks: inTable(brokenTable{read: f.scan})})
		}
	}
	return all
}

func scanned(scan scanChange) func(*memstore.Store) stores.OfflineStore {
	return func(s *memstore.Store) stores.OfflineStore { return &broken{Store: s, scan: scan} }
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

var lastRowLost = scanned(mapped(withoutLast))

func schemaOf(change func(*arrow.Schema) *arrow.Schema) func(*memstore.Store) stores.OfflineStore {
	return func(s *memstore.Store) stores.OfflineStore { return &broken{Store: s, schema: change} }
}

// saying replaces errors of one method.
func saying(op string, err error) func(*memstore.Store) stores.OfflineStore {
	return func(s *memstore.Store) stores.OfflineStore {
		return &broken{Store: s, err: func(at string, have error) error {
			if at == op {
				return err
			}
			return have
		}}
	}
}

// unnamed is a source that messages have no name for; called is one that is always called the same.
type unnamed struct{ memstore.Source }

func (unnamed) String() string { return "" }

var sourceFaults = []fault{
	{check: "source", what: "no name", breaks: func(s *memstore.Store) stores.OfflineStore {
		return &broken{Store: s, source: func(text string) stores.DataSource { return unnamed{memstore.Source(text)} }}
	}},
	{check: "source", what: "another name each time", breaks: func(s *memstore.Store) stores.OfflineStore {
		n := 0
		return &broken{Store: s, source: func(text string) stores.DataSource { n++; return memstore.Source(fmt.Sprint(text, n)) }}
	}},
	{check: "source", what: "one name for all", breaks: func(s *memstore.Store) stores.OfflineStore {
		return &broken{Store: s, source: func(string) stores.DataSource { return memstore.Source("stats") }}
	}},
	{check: "missing", what: "schema says something else", breaks: saying("schema", errors.New("gone"))},
	{check: "missing", what: "scan says something else", breaks: saying("scan", errors.New("gone"))},
	{check: "missing", what: "table says something else", breaks: saying("table", errors.New("gone"))},
	{check: "schema", what: "another name", breaks: schemaOf(renamed)},
	{check: "schema", what: "another type", breaks: schemaOf(withoutZones)},
	{check: "schema", what: "another order", breaks: schemaOf(func(schema *arrow.Schema) *arrow.Schema {
		fields := slices.Clone(schema.Fields())
		slices.Reverse(fields)
		return arrow.NewSchema(fields, nil)
	})},
	{check: "schema", what: "a column less", breaks: schemaOf(func(schema *arrow.Schema) *arrow.Schema {
		return arrow.NewSchema(schema.Fields()[1:], nil)
	})},
}

var closeFaults = []fault{
	{check: "closed", what: "goes on", breaks: func(s *memstore.Store) stores.OfflineStore { return &broken{Store: s, open: true} }},
	{check: "closed", what: "schema says something else", breaks: saying("schema", errors.New("closed"))},
	{check: "closed", what: "scan says something else", breaks: saying("scan", errors.New("closed"))},
	{check: "closed", what: "scan ends", breaks: scanned(func(ctx context.Context, sel stores.Selection, rows readFunc) records {
		return func(yield func(arrow.Record, error) bool) {
			for rec, err := range rows(ctx, sel) {
				if err != nil || !yield(rec, nil) {
					return
				}
			}
		}
	})},
	{check: "closed", what: "table says something else", breaks: saying("table", errors.New("closed"))},
	{check: "closed", what: "append says something else", breaks: saying("append", errors.New("closed"))},
	{check: "foreign", what: "panics", breaks: func(s *memstore.Store) stores.OfflineStore {
		return &broken{Store: s, err: func(_ string, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				panic("no such source")
			}
			return err
		}}
	}},
	{check: "foreign", what: "schema answers", breaks: saying("schema", nil)},
	{check: "foreign", what: "table answers", breaks: saying("table", nil)},
	{check: "foreign", what: "append answers", breaks: saying("append", nil)},
}

// scanFault is a fault of a sequence of records, in a scan or in a part.
type scanFault struct {
	check, what string
	scan        scanChange
}

func scanFaults() []scanFault {
	allColumns := func(ctx context.Context, sel stores.Selection, rows readFunc) records {
		sel.Columns = []string{"driver_id", "event_timestamp", "created", "trips", "note"}
		return rows(ctx, sel)
	}
	return []scanFault{
		{"projection", "all columns", allColumns},
		{"projection", "in the order of the table", func(ctx context.Context, sel stores.Selection, rows readFunc) records {
			sel.Columns = slices.Sorted(slices.Values(sel.Columns))
			return rows(ctx, sel)
		}},
		{"projection", "another type", mapped(retyped(withoutZones))},
		{"projection", "unknown columns left out", func(ctx context.Context, sel stores.Selection, rows readFunc) records {
			sel.Columns = slices.DeleteFunc(slices.Clone(sel.Columns), func(name string) bool { return strings.Contains(name, " ") })
			return rows(ctx, sel)
		}},
		{"order", "backwards", mapped(backwards)},
		{"range", "cut short", func(ctx context.Context, sel stores.Selection, rows readFunc) records {
			return each(func(i int, rec arrow.Record) arrow.Record {
				if !sel.End.IsZero() && rec.NumRows() > 5 {
					return rec.NewSlice(5, rec.NumRows())
				}
				return rec
			})(ctx, sel, rows)
		}},
		{"range", "rows of its own", func(ctx context.Context, sel stores.Selection, rows readFunc) records {
			return func(yield func(arrow.Record, error) bool) {
				for rec, err := range rows(ctx, sel) {
					if !yield(rec, err) || err != nil || !yield(rec.NewSlice(0, 1), nil) {
						return
					}
				}
			}
		}},
		{"lazy", "reads at once", atOnce},
		{"lazy", "starts at once", func(ctx context.Context, sel stores.Selection, rows readFunc) records {
			lingers(ctx)
			return rows(ctx, sel)
		}},
		{"break", "leaves a goroutine", func(ctx context.Context, sel stores.Selection, rows readFunc) records {
			return func(yield func(arrow.Record, error) bool) {
				lingers(ctx)
				rows(ctx, sel)(yield)
			}
		}},
		{"twice", "only once", func(ctx context.Context, sel stores.Selection, rows readFunc) records {
			done := false
			return func(yield func(arrow.Record, error) bool) {
				if !done {
					rows(ctx, sel)(yield)
				}
				done = true
			}
		}},
		{"cancel", "ends as if complete", func(ctx context.Context, sel stores.Selection, rows readFunc) records {
			return func(yield func(arrow.Record, error) bool) {
				for rec, err := range rows(ctx, sel) {
					if err != nil || !yield(rec, nil) {
						return
					}
				}
			}
		}},
		{"cancel", "does not look", func(ctx context.Context, sel stores.Selection, rows readFunc) records {
			return rows(context.WithoutCancel(ctx), sel)
		}},
		{"cancel", "says something else", func(ctx context.Context, sel stores.Selection, rows readFunc) records {
			return func(yield func(arrow.Record, error) bool) {
				for rec, err := range rows(ctx, sel) {
					if err != nil {
						err = errors.New("interrupted")
					}
					if !yield(rec, err) {
						return
					}
				}
			}
		}},
		{"concurrent", "one at a time", exclusive(new(sync.Mutex))},
		{"types", "a null lost", mapped(withoutLast)},
		{"clocks", "zones lost", mapped(retyped(withoutZones))},
		{"names", "another name", mapped(retyped(renamed))},
		{"all null", "a row lost", mapped(withoutLast)},
		{"nothing", "another name", mapped(retyped(renamed))},
	}
}

var tableFaults = []fault{
	{check: "cancel", what: "goes on after the error", breaks: scanned(func(ctx context.Context, sel stores.Selection, rows readFunc) records {
		return func(yield func(arrow.Record, error) bool) {
			for rec, err := range rows(ctx, sel) {
				if !yield(rec, err) || err != nil && !yield(nil, err) {
					return
				}
			}
		}
	})},
	{check: "concurrent", what: "schema one at a time", breaks: func(s *memstore.Store) stores.OfflineStore {
		var mu sync.Mutex
		return &broken{Store: s, schema: func(schema *arrow.Schema) *arrow.Schema {
			if !mu.TryLock() {
				return renamed(schema)
			}
			defer mu.Unlock()
			time.Sleep(time.Millisecond) // long enough to be met
			return schema
		}}
	}},
	{check: "parts", what: "a row lost", breaks: inTable(brokenTable{read: mapped(withoutLast)})},
	{check: "parts", what: "miscounted", breaks: inTable(brokenTable{parts: func(parts []joins.Part) []joins.Part {
		parts[0].Rows++
		return parts
	}})},
	{check: "parts", what: "without a name", breaks: inTable(brokenTable{parts: func(parts []joins.Part) []joins.Part {
		parts[0].Name = ""
		return parts
	}})},
	{check: "parts", what: "one too few", breaks: inTable(brokenTable{parts: func(parts []joins.Part) []joins.Part { return parts[1:] }})},
	{check: "parts at once", what: "one read at a time", breaks: inTable(brokenTable{read: exclusive(new(sync.Mutex))})},
	{check: "parts lazy", what: "reads at once", breaks: inTable(brokenTable{read: atOnce})},
	{check: "parts lazy", what: "starts at once", breaks: inTable(brokenTable{read: func(ctx context.Context, sel stores.Selection, rows readFunc) records {
		lingers(ctx)
		return rows(ctx, sel)
	}})},
	{check: "idle", what: "a goroutine for each table", breaks: func(s *memstore.Store) stores.OfflineStore {
		ctx, cancel := context.WithCancel(context.Background())
		return &broken{Store: s, closed: cancel, table: func(table joins.Table) joins.Table { lingers(ctx); return table }}
	}},
	{check: "rows", what: "one too many", breaks: func(s *memstore.Store) stores.OfflineStore {
		return &broken{Store: s, table: func(table joins.Table) joins.Table { return brokenRows{brokenTable{Gatherer: table.(joins.Gatherer)}} }}
	}},
	{check: "give", what: "used again", breaks: func(s *memstore.Store) stores.OfflineStore {
		return &broken{Store: s, table: func(table joins.Table) joins.Table { return brokenGive{brokenTable{Gatherer: table.(joins.Gatherer)}} }}
	}},
	{check: "gather", what: "backwards", breaks: inTable(brokenTable{gather: gathering(func(rows []int64) []int64 { slices.Reverse(rows); return rows })})},
	{check: "gather", what: "one too few", breaks: inTable(brokenTable{gather: gathering(func(rows []int64) []int64 { return rows[min(1, len(rows)):] })})},
	{check: "gather", what: "in the order of the table", breaks: inTable(brokenTable{
		gather: func(ctx context.Context, rows []int64, columns []string, gather gatherFunc) (arrow.Record, error) {
			return gather(ctx, rows, slices.Sorted(slices.Values(columns)))
		},
	})},
	{check: "gather cancel", what: "does not look", breaks: inTable(brokenTable{
		gather: func(ctx context.Context, rows []int64, columns []string, gather gatherFunc) (arrow.Record, error) {
			return gather(context.WithoutCancel(ctx), rows, columns)
		},
	})},
	{check: "bounds", what: "too tight", breaks: inTable(brokenTable{bounds: &[2]int64{1, 2}})},
	{check: "bounds", what: "says there is no value", breaks: inTable(brokenTable{bounds: &[2]int64{1, 0}})},
	{check: "identity", what: "one for all", breaks: inTable(brokenTable{identity: func(int) string { return "a part" }})},
	{check: "identity", what: "of another part", breaks: func(s *memstore.Store) stores.OfflineStore {
		return &broken{Store: s, table: func(table joins.Table) joins.Table {
			return brokenTable{Gatherer: table.(joins.Gatherer), identity: func(part int) string { return fmt.Sprint(len(table.Parts()) - part) }}
		}}
	}},
	{check: "snapshot", what: "grows", breaks: func(s *memstore.Store) stores.OfflineStore {
		return &broken{Store: s, table: func(joins.Table) joins.Table { return live{s} }}
	}},
}

func gathering(change func([]int64) []int64) func(context.Context, []int64, []string, gatherFunc) (arrow.Record, error) {
	return func(ctx context.Context, rows []int64, columns []string, gather gatherFunc) (arrow.Record, error) {
		return gather(ctx, change(rows), columns)
	}
}

// live is a table that is opened anew for each call.
type live struct{ *memstore.Store }

func (l live) now() joins.Table {
	table, err := l.Table(context.Background(), memstore.Source("stats"))
	if err != nil {
		panic(err)
	}
	return table
}

func (l live) Schema() *arrow.Schema { return l.now().Schema() }
func (l live) Parts() []joins.Part   { return l.now().Parts() }
func (l live) Read(ctx context.Context, part int, sel joins.Selection) records {
	return l.now().Read(ctx, part, sel)
}

func planned(change plan) func(*memstore.Store) stores.OfflineStore {
	return func(s *memstore.Store) stores.OfflineStore { return planning(s, change) }
}

var planFaults = []fault{
	{check: "plan", what: "another schema", breaks: planned(plan{schema: renamed})},
	{check: "plan", what: "starts at once", breaks: planned(plan{planned: lingers})},
	{check: "plan", what: "leaves a goroutine", breaks: planned(plan{records: func(ctx context.Context, sel stores.Selection, rows readFunc) records {
		lingers(ctx)
		return rows(ctx, sel)
	}})},
	{check: "plan", what: "ends as if complete", breaks: planned(plan{records: func(ctx context.Context, sel stores.Selection, rows readFunc) records {
		return func(yield func(arrow.Record, error) bool) {
			for rec, err := range rows(ctx, sel) {
				if err != nil || !yield(rec, nil) {
					return
				}
			}
		}
	}})},
}

func whole(s *memstore.Store) stores.OfflineStore { return s }
