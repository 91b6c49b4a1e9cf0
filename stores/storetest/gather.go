package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"github.com/flightd/flightd/joins"
	"github.com/flightd/flightd/stores"
)

var gatherChecks = []check{
	{"gather", "Gather returns the rows of a part by number, in order.", needsGather, checkGather},
	{"gather cancel", "Gather fails when its context has ended.", needsGather, checkGatherCancel},
	{"give", "Records of Give stay as they are when later ones are read.", needsGive, checkGive},
	{"rows", "ReadRows returns the rows between two numbers, in order.", needsSlice, checkRows},
	{"bounds", "Bounds on a column hold for every value of the part.", needsRange, checkBounds},
}

// fixtures are tables to read by number: the history, one with a column that is all null, and those columns of others
// that the store holds.
func (h Harness) fixtures(others ...Table) []Table {
	tables := []Table{history(3, 100), allNull()}
	for _, other := range others {
		if other = h.held(other); len(other.Schema.Fields()) > 0 {
			tables = append(tables, other)
		}
	}
	return tables
}

func checkGather(t *testing.T, h Harness) error {
	for _, fixture := range h.fixtures(columnTable(matrix)) {
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
	g := table.(joins.Gatherer)
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

func checkGive(t *testing.T, h Harness) error {
	for _, fixture := range h.fixtures(columnTable(matrix)) {
		s, table, err := h.openTable(t, fixture)
		if err != nil {
			return err
		}
		columns := s.table.names()
		sel, fields := stores.Selection{Columns: columns}, s.fields(columns...)
		for part := range table.Parts() {
			want, err := read(table.Read(t.Context(), part, sel), fields)
			if err != nil {
				return err
			}
			var given []arrow.Record
			for rec, err := range table.(joins.Giver).Give(t.Context(), part, sel) {
				if err != nil {
					return err
				}
				rec.Retain()
				given = append(given, rec)
			}
			have := []string{}
			for _, rec := range given {
				rows, err := readOne(rec, fields)
				if err != nil {
					return err
				}
				have = append(have, rows...)
			}
			if err := (Harness{}).same(have, want); err != nil {
				return fmt.Errorf("part %d: %w", part, err)
			}
		}
	}
	return nil
}

func checkRows(t *testing.T, h Harness) error {
	for _, fixture := range h.fixtures(columnTable(matrix)) {
		s, table, err := h.openTable(t, fixture)
		if err != nil {
			return err
		}
		columns := s.table.names()
		slices.Reverse(columns)
		sel, fields := stores.Selection{Columns: columns}, s.fields(columns...)
		for part := range table.Parts() {
			all, err := read(table.Read(t.Context(), part, sel), fields)
			if err != nil {
				return err
			}
			n := int64(len(all))
			for _, cut := range [][2]int64{{0, n}, {0, 1}, {n - 1, n}, {1, n}, {n / 3, n - n/3}, {n / 2, n/2 + 1}} {
				lo, hi := cut[0], cut[1]
				if lo >= hi {
					continue
				}
				have, err := read(table.(joins.Slicer).ReadRows(t.Context(), part, lo, hi, sel), fields)
				if err == nil {
					err = (Harness{}).same(have, all[lo:hi])
				}
				if err != nil {
					return fmt.Errorf("part %d, rows %d to %d: %w", part, lo, hi, err)
				}
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

func checkGatherCancel(t *testing.T, h Harness) error {
	s, table, err := h.openTable(t, history(2, 20))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	rec, err := table.(joins.Gatherer).Gather(ctx, 0, []int64{0}, s.table.names())
	if !errors.Is(err, context.Canceled) {
		return fmt.Errorf("got %s, %v", brief(rec), err)
	}
	return nil
}

func checkBounds(t *testing.T, h Harness) error {
	for _, fixture := range h.fixtures(columnTable(matrix), columnTable(clocks())) {
		s, table, err := h.openTable(t, fixture)
		if err != nil {
			return err
		}
		r := table.(joins.Ranger)
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
	case *array.Date64:
		return int64(col.Value(row)), true
	}
	return 0, false
}
