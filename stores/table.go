package stores

import (
	"context"
	"fmt"
	"iter"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/flightd/flightd/internal/fault"
	"github.com/flightd/flightd/joins"
)

// openTable opens one snapshot of a source, through Scan if the store has no tables of its own.
func openTable(ctx context.Context, s OfflineStore, src DataSource) (joins.Table, error) {
	if ts, ok := s.(TableStore); ok {
		t, err := ts.Table(ctx, src)
		return t, sourceError("open", src, err)
	}
	schema, err := s.Schema(ctx, src)
	if err != nil {
		return nil, sourceError("schema", src, err)
	}
	return &scanTable{store: s, src: src, schema: schema}, nil
}

// emptyTable is the table of a source that holds nothing yet.
type emptyTable struct{ schema *arrow.Schema }

func (t emptyTable) Schema() *arrow.Schema { return t.schema }

func (emptyTable) Parts() []joins.Part { return nil }

func (emptyTable) Read(context.Context, int, Selection) iter.Seq2[arrow.Record, error] {
	return func(func(arrow.Record, error) bool) {}
}

// scanTable is the table of a store that can only scan: one part of unknown length.
type scanTable struct {
	store  OfflineStore
	src    DataSource
	schema *arrow.Schema
}

func (t *scanTable) Schema() *arrow.Schema { return t.schema }

func (t *scanTable) Parts() []joins.Part { return []joins.Part{{Rows: -1, Name: t.src.String()}} }

// Read checks each record against the schema, so that a store which breaks its promise is an error with a name and not
// a wrong answer.
func (t *scanTable) Read(ctx context.Context, _ int, sel Selection) iter.Seq2[arrow.Record, error] {
	return func(yield func(arrow.Record, error) bool) {
		want, err := t.project(sel.Columns)
		if err != nil {
			yield(nil, err)
			return
		}
		for rec, err := range t.store.Scan(ctx, t.src, sel) {
			if err == nil {
				err = matches(rec.Schema(), want)
			}
			if err != nil {
				yield(nil, sourceError("scan", t.src, err))
				return
			}
			if !yield(rec, nil) {
				return
			}
		}
	}
}

func (t *scanTable) project(columns []string) ([]arrow.Field, error) {
	fields := make([]arrow.Field, len(columns))
	for i, name := range columns {
		found, ok := t.schema.FieldsByName(name)
		if !ok {
			return nil, sourceError("scan", t.src, fault.New(fault.Precondition, "no column %q", name))
		}
		fields[i] = found[0]
	}
	return fields, nil
}

func matches(have *arrow.Schema, want []arrow.Field) error {
	if len(have.Fields()) != len(want) {
		return fmt.Errorf("the store gave %d columns where %d were selected", len(have.Fields()), len(want))
	}
	for i, f := range have.Fields() {
		if f.Name != want[i].Name || !arrow.TypeEqual(f.Type, want[i].Type) {
			return fmt.Errorf("the store gave column %d as %s %s where its schema says %s %s", i, f.Name, f.Type, want[i].Name, want[i].Type)
		}
	}
	return nil
}
