package storetest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"slices"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/flightd/flightd/joins"
	"github.com/flightd/flightd/stores"
)

var tableChecks = []check{
	{"parts", "The parts of a table in their order are the rows of a scan.", needsTables, checkParts},
	{"parts at once", "The methods of a table may be called by several goroutines at once.", needsTables, checkPartsAtOnce},
	{"parts lazy", "A part is not read before the sequence is ranged over, nor then if its context has ended.", needsTables, checkPartsLazy},
	{"idle", "An open table holds nothing that needs closing between reads.", needsTables, checkIdle},
	{"snapshot", "A table is one snapshot: later appends do not change it.", both(needsAppend, needsTables), checkSnapshot},
}

// byParts is a store whose rows are read through its tables alone. What a scan promises, the parts of a table promise too.
type byParts struct {
	stores.OfflineStore
	tables stores.TableStore
}

// Scan opens the table when it is ranged over, once.
func (b byParts) Scan(ctx context.Context, src stores.DataSource, sel stores.Selection) iter.Seq2[arrow.Record, error] {
	var parts []iter.Seq2[arrow.Record, error]
	return func(yield func(arrow.Record, error) bool) {
		if parts == nil {
			table, err := b.tables.Table(ctx, src)
			if err != nil {
				yield(nil, err)
				return
			}
			for part := range table.Parts() {
				parts = append(parts, table.Read(ctx, part, sel))
			}
		}
		for _, records := range parts {
			for rec, err := range records {
				if !yield(rec, err) || err != nil {
					return
				}
			}
		}
	}
}

func (h Harness) byParts() Harness {
	open := h.Open
	h.Open = func(t *testing.T, tables map[string]Table) stores.OfflineStore {
		s := open(t, tables)
		return byParts{s, s.(stores.TableStore)}
	}
	return h
}

// partChecks are the checks of scans and types once more, read part by part.
func partChecks() []check {
	var checks []check
	for _, c := range append(slices.Clone(scanChecks), typeChecks...) {
		if c.name == "lazy" { // opening the table is part of such a scan; parts have a check of their own
			continue
		}
		checks = append(checks, check{c.name + " of parts", c.sentence, both(needsTables, c.needs), func(t *testing.T, h Harness) error {
			return c.run(t, h.byParts())
		}})
	}
	return checks
}

// openTable makes a store with a table and opens it.
func (h Harness) openTable(t *testing.T, table Table) (*one, joins.Table, error) {
	s, err := h.open(t, table)
	if err != nil {
		return nil, nil, err
	}
	ts, ok := s.OfflineStore.(stores.TableStore)
	if !ok {
		return nil, nil, errors.New("the store is not a stores.TableStore any more")
	}
	opened, err := ts.Table(t.Context(), s.src)
	if err != nil {
		return nil, nil, err
	}
	return s, opened, sameFields(opened.Schema().Fields(), s.table.Schema.Fields())
}

// readPart reads all columns of one part and compares the count with what Parts said.
func (o *one) readPart(ctx context.Context, table joins.Table, part int) ([]string, error) {
	rows, err := read(table.Read(ctx, part, o.everything()), o.table.Schema.Fields())
	if err != nil {
		return nil, fmt.Errorf("part %d: %w", part, err)
	}
	p := table.Parts()[part]
	if p.Rows >= 0 && p.Rows != int64(len(rows)) {
		return nil, fmt.Errorf("part %d (%s) has %d rows, Parts said %d", part, p.Name, len(rows), p.Rows)
	}
	if p.Name == "" {
		return nil, fmt.Errorf("part %d has no name for messages", part)
	}
	return rows, nil
}

// readParts reads all parts in their order.
func (o *one) readParts(ctx context.Context, table joins.Table) ([]string, error) {
	rows := []string{}
	for part := range table.Parts() {
		some, err := o.readPart(ctx, table, part)
		if err != nil {
			return nil, err
		}
		rows = append(rows, some...)
	}
	return rows, nil
}

func checkParts(t *testing.T, h Harness) error {
	s, table, err := h.openTable(t, history(4, 100))
	if err != nil {
		return err
	}
	rows, err := s.readParts(t.Context(), table)
	if err != nil {
		return err
	}
	return h.same(rows, s.table.textRows())
}

func checkPartsLazy(t *testing.T, h Harness) error {
	s, table, err := h.openTable(t, history(2, 20))
	if err != nil {
		return err
	}
	defer uncollected()()
	before := held()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var reads []iter.Seq2[arrow.Record, error]
	for part := range table.Parts() {
		reads = append(reads, table.Read(ctx, part, s.everything()))
	}
	if err := before.settled(); err != nil {
		return fmt.Errorf("before ranging: %w", err)
	}
	cancel()
	for part, records := range reads {
		for rec, err := range records {
			if !errors.Is(err, context.Canceled) {
				return fmt.Errorf("reading part %d, cancelled before it was ranged over, gave %s, %v", part, brief(rec), err)
			}
		}
	}
	return nil
}

// checkIdle keeps tables, some of them read, without anything that is called to give them back: there is no such thing.
func checkIdle(t *testing.T, h Harness) error {
	s, table, err := h.openTable(t, history(2, 20)) // whatever a store keeps open, it now has
	if err != nil {
		return err
	}
	if _, err := s.readParts(t.Context(), table); err != nil {
		return err
	}
	defer uncollected()()
	before := held()
	var kept []joins.Table
	for range 20 {
		next, err := s.OfflineStore.(stores.TableStore).Table(t.Context(), s.src)
		if err != nil {
			return err
		}
		if kept = append(kept, next); len(kept)%2 == 0 {
			continue
		}
		if _, err := s.readParts(t.Context(), next); err != nil {
			return err
		}
	}
	err = before.settled()
	runtime.KeepAlive(kept)
	return err
}

func checkPartsAtOnce(t *testing.T, h Harness) error {
	s, table, err := h.openTable(t, history(4, 100))
	if err != nil {
		return err
	}
	want := make([][]string, len(table.Parts()))
	for part := range want {
		if want[part], err = s.readPart(t.Context(), table, part); err != nil {
			return err
		}
	}
	var g errgroup.Group
	for range 4 {
		for part := range want {
			g.Go(func() error {
				have, err := s.readPart(t.Context(), table, part)
				if err != nil {
					return err
				}
				if err := h.same(have, want[part]); err != nil {
					return err
				}
				return s.gathersAll(t.Context(), table, part, want[part])
			})
		}
	}
	return g.Wait()
}

// gathersAll asks for all rows of a part by number, if the table can.
func (o *one) gathersAll(ctx context.Context, table joins.Table, part int, want []string) error {
	g, ok := table.(joins.Gatherer)
	if !ok {
		return nil
	}
	rows := make([]int64, len(want))
	for i := range rows {
		rows[i] = int64(i)
	}
	rec, err := g.Gather(ctx, part, rows, o.table.names())
	if err != nil {
		return err
	}
	have, err := readOne(rec, o.table.Schema.Fields())
	if err != nil {
		return err
	}
	return (Harness{}).same(have, want)
}

func checkSnapshot(t *testing.T, h Harness) error {
	s, table, err := h.openTable(t, history(2, 20))
	if err != nil {
		return err
	}
	before := len(table.Parts())
	more, _ := h.fit(history(1, 7))
	if _, err := s.write(t, "id", rowsOf(more, nil)); err != nil {
		return err
	}
	if parts := len(table.Parts()); parts != before {
		return fmt.Errorf("%d parts, %d before the append", parts, before)
	}
	have, err := s.readParts(t.Context(), table)
	if err != nil {
		return err
	}
	return h.same(have, s.table.textRows())
}
