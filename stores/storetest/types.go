package storetest

import (
	"fmt"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/flightd/flightd/stores"
)

var typeChecks = []check{
	{"types", "Nulls and a fixed matrix of types survive.", survives(func() Table { return columnTable(matrix) })},
	{"clocks", "Timestamps keep unit and zone.", survives(func() Table { return columnTable(clocks()) })},
	{"names", "Odd column names survive.", survives(func() Table { return columnTable(oddColumns()) })},
	{"nothing", "Zero rows survive.", survives(func() Table { return history(1, 1).zeroRows() })},
	{"all null", "A column without a value survives.", survives(allNull)},
}

// survives loads a table and reads it back: all columns, and each alone, so that a failure names the column.
func survives(table func() Table) func(*testing.T, Harness) error {
	return func(t *testing.T, h Harness) error {
		s, err := h.open(t, table())
		if err != nil {
			return err
		}
		if len(s.table.Schema.Fields()) == 0 {
			return fmt.Errorf("%w: it holds none of these columns", errUnable)
		}
		if err := s.checkSchema(t.Context()); err != nil {
			return err
		}
		selections := [][]string{s.table.names()}
		for _, name := range s.table.names() {
			selections = append(selections, []string{name})
		}
		for _, columns := range selections {
			have, err := s.scan(t.Context(), stores.Selection{Columns: columns})
			if err != nil {
				return fmt.Errorf("columns %q: %w", columns, err)
			}
			if err := h.same(have, s.table.textRows(columns...)); err != nil {
				return fmt.Errorf("columns %q: %w", columns, err)
			}
		}
		return nil
	}
}

// allNull has a feature that is null in every row, and a key and times that are not.
func allNull() Table {
	return columnTable([]column{
		{"driver_id", arrow.PrimitiveTypes.Int64, `[1, 2, 3]`},
		{"event_timestamp", instant, `[0, 1, 2]`},
		{"trips", arrow.PrimitiveTypes.Float64, `[null, null, null]`},
		{"note", arrow.BinaryTypes.String, `[null, null, null]`},
	})
}
