package storetest

import (
	"fmt"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/flightd/flightd/stores"
)

var typeChecks = []check{
	survives("types", "Nulls and a fixed matrix of types survive.", matrix),
	survives("clocks", "Timestamps keep unit and zone.", clocks()),
	survives("names", "Odd column names survive.", oddColumns()),
	{"nothing", "Zero rows survive.", nil, func(t *testing.T, h Harness) error { return readsBack(t, h, history(1, 1).zeroRows()) }},
	{"all null", "A column without a value survives.", nil, func(t *testing.T, h Harness) error { return readsBack(t, h, allNull()) }},
}

// survives is the check of the columns, of those that the store says it holds.
func survives(name, sentence string, columns []column) check {
	table := columnTable(columns)
	return check{name, sentence, needsAny(table), func(t *testing.T, h Harness) error { return readsBack(t, h, h.held(table)) }}
}

// readsBack loads a table and reads it: all columns, and each alone, so that a failure names the column.
func readsBack(t *testing.T, h Harness, table Table) error {
	s, err := h.open(t, table)
	if err != nil {
		return err
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

// allNull has a feature that is null in every row, and a key and times that are not.
func allNull() Table {
	return columnTable([]column{
		{"driver_id", arrow.PrimitiveTypes.Int64, `[1, 2, 3]`},
		{"event_timestamp", instant, `[0, 1, 2]`},
		{"trips", arrow.PrimitiveTypes.Float64, `[null, null, null]`},
		{"note", arrow.BinaryTypes.String, `[null, null, null]`},
	})
}
