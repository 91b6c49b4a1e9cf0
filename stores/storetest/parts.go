package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"github.com/flightd/flightd/joins"
	"github.com/flightd/flightd/stores"
)

var tableChecks = []check{
	{"parts", "The parts of a table in their order are the rows of a scan.", checkParts},
	{"parts at once", "Parts may be read by several goroutines at once.", checkPartsAtOnce},
	{"gather", "Gather returns the rows of a part by number, in order.", checkGather},
	{"bounds", "Bounds on a column hold for every value of the part.", checkBounds},
}

// openTable makes a store with a table and opens it.
func (h Harness) openTable(t *testing.T, table Table) (*one, joins.Table, error) {
	s, err := h.open(t, table)
	if err != nil {
		return nil, nil, err
	}
	ts, ok := s.OfflineStore.(stores.TableStore)
	if !ok {
		return nil, nil, errUnable
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

func checkParts(t *testing.T, h Harness) error {
	s, table, err := h.openTable(t, history(4, 100))
	if err != nil {
		return err
	}
	rows := []string{}
	for part := range table.Parts() {
		some, err := s.readPart(t.Context(), table, part)
		if err != nil {
			return err
		}
		rows = append(rows, some...)
	}
	if err := h.same(rows, s.table.textRows()); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for rec, err := range table.Read(ctx, 0, s.everything()) {
		if !errors.Is(err, context.Canceled) {
			return fmt.Errorf("reading a part after cancelling gave %v, %v", rec, err)
		}
	}
	return nil
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
				return h.same(have, want[part])
			})
		}
	}
	return g.Wait()
}

func checkGather(t *testing.T, h Harness) error {
	for _, fixture := range []Table{history(3, 100), columnTable(matrix)} {
		if err := gathers(t, h, fixture); err != nil {
			return err
		}
	}
	return nil
}

func gathers(t *testing.T, h Harness, fixture Table) error {
	s, table, err := h.openTable(t, fixture)
	if err != nil {
		return err
	}
	g, ok := table.(joins.Gatherer)
	if !ok {
		return errUnable
	}
	columns := s.table.names()
	slices.Reverse(columns)
	for part := range table.Parts() {
		all, err := read(table.Read(t.Context(), part, stores.Selection{Columns: columns}), s.fields(columns...))
		if err != nil {
			return err
		}
		for _, rows := range rowChoices(int64(len(all))) {
			rec, err := g.Gather(t.Context(), part, rows, columns)
			if err != nil {
				return fmt.Errorf("part %d, rows %v: %w", part, rows, err)
			}
			have, err := readOne(rec, s.fields(columns...))
			if err != nil {
				return fmt.Errorf("part %d, rows %v: %w", part, rows, err)
			}
			want := []string{}
			for _, row := range rows {
				want = append(want, all[row])
			}
			if err := (Harness{}).same(have, want); err != nil {
				return fmt.Errorf("part %d, rows %v: %w", part, rows, err)
			}
		}
	}
	return nil
}

// rowChoices are ways to choose among n rows.
func rowChoices(n int64) [][]int64 {
	choices := [][]int64{{}}
	if n == 0 {
		return choices
	}
	choices = append(choices, []int64{0}, []int64{n - 1})
	for _, every := range []int64{1, 2, 7} {
		var rows []int64
		for row := every / 2; row < n; row += every {
			rows = append(rows, row)
		}
		choices = append(choices, rows)
	}
	return choices
}

func readOne(rec arrow.Record, fields []arrow.Field) ([]string, error) {
	defer rec.Release()
	if err := matches(rec, fields); err != nil {
		return nil, err
	}
	return textRows(rec), nil
}

func checkBounds(t *testing.T, h Harness) error {
	for _, fixture := range []Table{history(3, 100), columnTable(matrix), columnTable(clocks()), allNull()} {
		s, table, err := h.openTable(t, fixture)
		if err != nil {
			return err
		}
		r, ok := table.(joins.Ranger)
		if !ok {
			return errUnable
		}
		for part := range table.Parts() {
			for rec, err := range table.Read(t.Context(), part, s.everything()) {
				if err != nil {
					return err
				}
				if err := bounded(r, part, rec); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// bounded compares the values of a record with the bounds that the table claims for the part.
func bounded(r joins.Ranger, part int, rec arrow.Record) error {
	for i, col := range rec.Columns() {
		lo, hi, ok := r.Range(part, rec.ColumnName(i))
		if !ok {
			continue
		}
		for row := range col.Len() {
			v, integral := integer(col, row)
			if integral && (v < lo || v > hi) {
				return fmt.Errorf("part %d, column %q has %d, outside [%d, %d]", part, rec.ColumnName(i), v, lo, hi)
			}
		}
	}
	return nil
}

// integer is the value of an integer, date or timestamp column in the column's own unit.
func integer(col arrow.Array, row int) (int64, bool) {
	if col.IsNull(row) {
		return 0, false
	}
	switch col := col.(type) {
	case *array.Int8:
		return int64(col.Value(row)), true
	case *array.Int16:
		return int64(col.Value(row)), true
	case *array.Int32:
		return int64(col.Value(row)), true
	case *array.Int64:
		return col.Value(row), true
	case *array.Uint8:
		return int64(col.Value(row)), true
	case *array.Uint16:
		return int64(col.Value(row)), true
	case *array.Uint32:
		return int64(col.Value(row)), true
	case *array.Timestamp:
		return int64(col.Value(row)), true
	case *array.Date32:
		return int64(col.Value(row)), true
	}
	return 0, false
}
