package filestore_test

import (
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/flightd/flightd/stores"
)

// col is a column of a test's file: its values as JSON.
type col struct {
	name   string
	typ    arrow.DataType
	values string
}

// rec makes a record of columns.
func rec(t *testing.T, columns ...col) arrow.Record {
	t.Helper()
	fields, arrays := make([]arrow.Field, len(columns)), make([]arrow.Array, len(columns))
	for i, c := range columns {
		a, _, err := array.FromJSON(memory.DefaultAllocator, c.typ, strings.NewReader(c.values), array.WithUseNumber())
		if err != nil {
			t.Fatalf("column %s: %v", c.name, err)
		}
		fields[i], arrays[i] = arrow.Field{Name: c.name, Type: c.typ, Nullable: true}, a
	}
	return array.NewRecord(arrow.NewSchema(fields, nil), arrays, int64(arrays[0].Len()))
}

func emptyRecord(schema *arrow.Schema) arrow.Record {
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	return b.NewRecord()
}

// write is writeFile of one record.
func write(t *testing.T, path string, r arrow.Record) {
	t.Helper()
	writeFile(t, path, r.Schema(), nil, r)
}

// schemaText is a schema in one line: name:type, name:type.
func schemaText(schema *arrow.Schema) string {
	var fields []string
	for _, f := range schema.Fields() {
		fields = append(fields, f.Name+":"+f.Type.String())
	}
	return strings.Join(fields, ", ")
}

// scanText reads a source: its schema, and its rows as text, the cells separated by spaces.
func scanText(t *testing.T, s stores.OfflineStore, text string) (schema string, rows []string, err error) {
	t.Helper()
	src, err := s.Source(text)
	if err != nil {
		return "", nil, err
	}
	sc, err := s.Schema(t.Context(), src)
	if err != nil {
		return "", nil, err
	}
	sel := stores.Selection{}
	for _, f := range sc.Fields() {
		sel.Columns = append(sel.Columns, f.Name)
	}
	for r, err := range s.Scan(t.Context(), src, sel) {
		if err != nil {
			return schemaText(sc), rows, err
		}
		for i := range int(r.NumRows()) {
			var cells []string
			for _, c := range r.Columns() {
				cells = append(cells, c.ValueStr(i))
			}
			rows = append(rows, strings.Join(cells, " "))
		}
	}
	return schemaText(sc), rows, nil
}
