package memstore

import (
	"context"
	"fmt"
	"iter"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"github.com/flightd/flightd/internal/fault"
	"github.com/flightd/flightd/joins"
)

// table is one state of a table. Nothing in it changes once it is made; it implements joins.Gatherer, joins.Giver and
// joins.Slicer.
type table struct {
	name    string
	schema  *arrow.Schema
	records []arrow.Record      // one for each part
	appends map[string]appended // by id
}

// appended remembers what an id wrote.
type appended struct {
	part int // -1: no rows
	rows int64
}

func newTable(name string, schema *arrow.Schema, records []arrow.Record) (*table, error) {
	plain, err := decoded(schema)
	if err != nil {
		return nil, fmt.Errorf("table %q: %w", name, err)
	}
	t := &table{name: name, schema: plain, appends: make(map[string]appended)}
	for i, rec := range records {
		if err := sameColumns(schema, rec.Schema()); err != nil {
			return nil, fmt.Errorf("table %q, record %d: %w", name, i, err)
		}
		part, err := merge(plain, rec)
		if err != nil {
			return nil, fmt.Errorf("table %q, record %d: %w", name, i, err)
		}
		t.records = append(t.records, part)
	}
	return t, nil
}

// Schema implements joins.Table.
func (t *table) Schema() *arrow.Schema { return t.schema }

// Parts implements joins.Table: one part for each record.
func (t *table) Parts() []joins.Part {
	parts := make([]joins.Part, len(t.records))
	for i, rec := range t.records {
		parts[i] = joins.Part{Rows: rec.NumRows(), Name: fmt.Sprintf("%s#%d", t.name, i)}
	}
	return parts
}

// Give implements joins.Giver: what is read is never written again.
func (t *table) Give(ctx context.Context, part int, sel joins.Selection) iter.Seq2[arrow.Record, error] {
	return t.Read(ctx, part, sel)
}

// Read implements joins.Table: a part is one record, its columns are shared with the table.
func (t *table) Read(ctx context.Context, part int, sel joins.Selection) iter.Seq2[arrow.Record, error] {
	return func(yield func(arrow.Record, error) bool) {
		if err := ctx.Err(); err != nil {
			yield(nil, err)
			return
		}
		schema, indices, err := t.project(sel.Columns)
		if err != nil {
			yield(nil, err)
			return
		}
		rec := t.records[part]
		columns := make([]arrow.Array, len(indices))
		for i, index := range indices {
			columns[i] = rec.Column(index)
		}
		out := array.NewRecord(schema, columns, rec.NumRows())
		defer out.Release()
		yield(out, nil)
	}
}

// ReadRows implements joins.Slicer.
func (t *table) ReadRows(ctx context.Context, part int, lo, hi int64, sel joins.Selection) iter.Seq2[arrow.Record, error] {
	return func(yield func(arrow.Record, error) bool) {
		for rec, err := range t.Read(ctx, part, sel) {
			if err != nil {
				yield(nil, err)
				return
			}
			rows := rec.NewSlice(lo, hi) // a part is one record
			defer rows.Release()
			yield(rows, nil)
		}
	}
}

// Gather implements joins.Gatherer.
func (t *table) Gather(ctx context.Context, part int, rows []int64, columns []string) (arrow.Record, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	schema, indices, err := t.project(columns)
	if err != nil {
		return nil, err
	}
	return take(schema, t.records[part], indices, rows)
}

// project finds the named columns.
func (t *table) project(columns []string) (*arrow.Schema, []int, error) {
	fields, indices := make([]arrow.Field, len(columns)), make([]int, len(columns))
	for i, name := range columns {
		found := t.schema.FieldIndices(name)
		if len(found) == 0 {
			return nil, nil, fault.New(fault.Precondition, "table %q has no column %q", t.name, name)
		}
		fields[i], indices[i] = t.schema.Field(found[0]), found[0]
	}
	return arrow.NewSchema(fields, nil), indices, nil
}

// sameColumns compares names, order and types; what is nullable and metadata do not matter.
func sameColumns(want, have *arrow.Schema) error {
	if len(have.Fields()) != len(want.Fields()) {
		return fault.New(fault.Invalid, "%d columns where the schema has %d", len(have.Fields()), len(want.Fields()))
	}
	for i, f := range have.Fields() {
		if w := want.Field(i); f.Name != w.Name || !arrow.TypeEqual(f.Type, w.Type) {
			return fault.New(fault.Invalid, "column %d is %q (%s) where the schema has %q (%s)", i, f.Name, f.Type, w.Name, w.Type)
		}
	}
	return nil
}
