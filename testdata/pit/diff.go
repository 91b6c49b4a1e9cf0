package pit

import (
	"fmt"
	"slices"
	"strings"

	"github.com/apache/arrow/go/v15/arrow"
)

// Diff compares an answer with what was wanted: column names, order and types, number and order of rows, values and
// nulls. How rows are cut into records, metadata, and which columns are declared nullable do not matter; that each record
// of got agrees with its own schema does. It returns "" if there is no difference, else a message of a few lines.
func Diff(want, got Table, unordered bool) string {
	if d := diffSchemas(want.Schema, got.Schema); d != "" {
		return d
	}
	for i, rec := range got.Records {
		if d := diffRecord(got.Schema, rec); d != "" {
			return fmt.Sprintf("record %d: %s", i, d)
		}
	}
	w, g := want.lines(), got.lines()
	if unordered {
		slices.Sort(w)
		slices.Sort(g)
	}
	for i := range min(len(w), len(g)) {
		if w[i] != g[i] {
			return fmt.Sprintf("row %d:\n  want %s\n  got  %s\n%s", i+1, w[i], g[i], counts(w, g))
		}
	}
	if len(w) != len(g) {
		return counts(w, g)
	}
	return ""
}

func counts(w, g []string) string {
	switch {
	case len(w) < len(g):
		return fmt.Sprintf("%d rows, got %d; the first one too many: %s", len(w), len(g), g[len(w)])
	case len(w) > len(g):
		return fmt.Sprintf("%d rows, got %d; the first one missing: %s", len(w), len(g), w[len(g)])
	}
	return fmt.Sprintf("%d rows each", len(w))
}

func diffSchemas(want, got *arrow.Schema) string {
	w, g := header(want), header(got)
	if slices.Equal(w, g) {
		return ""
	}
	return fmt.Sprintf("columns:\n  want %s\n  got  %s", strings.Join(w, ", "), strings.Join(g, ", "))
}

func diffRecord(schema *arrow.Schema, rec arrow.Record) string {
	if d := diffSchemas(schema, rec.Schema()); d != "" {
		return d
	}
	for i, col := range rec.Columns() {
		if f := schema.Field(i); !arrow.TypeEqual(f.Type, col.DataType()) {
			return fmt.Sprintf("column %q holds %s where its schema says %s", f.Name, col.DataType(), f.Type)
		}
		if int64(col.Len()) != rec.NumRows() {
			return fmt.Sprintf("column %q has %d values in a record of %d rows", schema.Field(i).Name, col.Len(), rec.NumRows())
		}
	}
	return ""
}

// header names the columns with their types. Fingerprints are not used: v15 has none for some types.
func header(schema *arrow.Schema) []string {
	fields := make([]string, len(schema.Fields()))
	for i, f := range schema.Fields() {
		fields[i] = fmt.Sprintf("%s:%s", f.Name, f.Type)
	}
	return fields
}

// lines are the rows as text, in the form of the files.
func (t Table) lines() []string {
	var lines []string
	for _, rec := range t.Records {
		for i := range int(rec.NumRows()) {
			cells := make([]string, rec.NumCols())
			for j, col := range rec.Columns() {
				cells[j] = formatCell(col, i)
			}
			lines = append(lines, strings.Join(cells, ", "))
		}
	}
	return lines
}
