package storetest

import (
	"encoding/hex"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
)

// A row is compared as text that tells apart whatever differs: null from empty, 0 from -0, one instant from the next.

// textRows are the rows of a record.
func textRows(rec arrow.Record) []string {
	rows := make([]string, rec.NumRows())
	cells := make([]string, rec.NumCols())
	for i := range rows {
		for j, col := range rec.Columns() {
			cells[j] = textCell(col, i)
		}
		rows[i] = strings.Join(cells, " | ")
	}
	return rows
}

func textCell(col arrow.Array, i int) string {
	if col.IsNull(i) {
		return "null"
	}
	switch col := col.(type) {
	case *array.Int64:
		return strconv.FormatInt(col.Value(i), 10)
	case *array.Timestamp: // as a number: formatting wraps around at the far ends
		return strconv.FormatInt(int64(col.Value(i)), 10)
	case *array.Float64:
		return strconv.FormatFloat(col.Value(i), 'g', -1, 64)
	case *array.String:
		return strconv.Quote(col.Value(i))
	case *array.LargeString:
		return strconv.Quote(col.Value(i))
	case *array.Binary:
		return hex.EncodeToString(col.Value(i))
	}
	return col.ValueStr(i)
}

// want are the rows of the table as it was loaded, or of some of its columns.
func (table Table) textRows(columns ...string) []string {
	if columns != nil {
		table = table.columns(columns...)
	}
	rows := []string{}
	for _, rec := range table.Records {
		rows = append(rows, textRows(rec)...)
	}
	return rows
}

// read ranges over records, checks each against the selected fields, and returns the rows.
func read(records iter.Seq2[arrow.Record, error], fields []arrow.Field) ([]string, error) {
	rows := []string{}
	for rec, err := range records {
		if err != nil {
			return rows, err
		}
		if err := matches(rec, fields); err != nil {
			return rows, err
		}
		rows = append(rows, textRows(rec)...)
	}
	return rows, nil
}

// brief is a record for messages.
func brief(rec arrow.Record) string {
	if rec == nil {
		return "no record"
	}
	return fmt.Sprintf("a record of %d rows", rec.NumRows())
}

// matches compares a record with the fields it must have: names, order, types, and arrays of the length of the record.
func matches(rec arrow.Record, fields []arrow.Field) error {
	if len(rec.Schema().Fields()) != len(fields) {
		return fmt.Errorf("a record with %d columns where %d were selected", rec.NumCols(), len(fields))
	}
	for i, f := range rec.Schema().Fields() {
		want, col := fields[i], rec.Column(i)
		switch {
		case f.Name != want.Name:
			return fmt.Errorf("column %d is %q where %q was selected", i, f.Name, want.Name)
		case !arrow.TypeEqual(f.Type, want.Type):
			return fmt.Errorf("column %q is %s where the table has %s", f.Name, f.Type, want.Type)
		case !arrow.TypeEqual(col.DataType(), want.Type):
			return fmt.Errorf("column %q holds %s though the record says %s", f.Name, col.DataType(), f.Type)
		case int64(col.Len()) != rec.NumRows():
			return fmt.Errorf("column %q has %d values in a record of %d rows", f.Name, col.Len(), rec.NumRows())
		}
	}
	return nil
}

// same compares rows, as a multiset if the store does not order them.
func (h Harness) same(have, want []string) error {
	if h.Unordered {
		have, want = slices.Sorted(slices.Values(have)), slices.Sorted(slices.Values(want))
	}
	for i := range min(len(have), len(want)) {
		if have[i] != want[i] {
			return fmt.Errorf("row %d is (%s), want (%s)", i, have[i], want[i])
		}
	}
	if len(have) != len(want) {
		return fmt.Errorf("%d rows, want %d", len(have), len(want))
	}
	return nil
}

// contains checks that every row of want is among have, in the same order.
func (h Harness) contains(have, want []string) error {
	if h.Unordered {
		have, want = slices.Sorted(slices.Values(have)), slices.Sorted(slices.Values(want))
	}
	for _, row := range want {
		i := slices.Index(have, row)
		if i < 0 {
			return fmt.Errorf("the row (%s) is missing", row)
		}
		have = have[i+1:]
	}
	return nil
}
