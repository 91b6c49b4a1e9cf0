package memstore

import (
	"fmt"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"github.com/flightd/flightd/internal/fault"
	"github.com/flightd/flightd/joins"
)

// Arrays are made by joins.Take only: what it returns is fresh, has its dictionaries decoded and its nulls counted, so
// any number of readers can share it.

// decoded is a schema without dictionaries and metadata; it refuses types that cannot be features.
func decoded(schema *arrow.Schema) (*arrow.Schema, error) {
	fields := make([]arrow.Field, len(schema.Fields()))
	for i, f := range schema.Fields() {
		empty, err := joins.Take(f.Type, nil, nil)
		if err != nil {
			return nil, fault.New(fault.Invalid, "column %q: %w", f.Name, err)
		}
		defer empty.Release()
		fields[i] = arrow.Field{Name: f.Name, Type: empty.DataType(), Nullable: true}
	}
	return arrow.NewSchema(fields, nil), nil
}

// merge copies the rows of records into one record of a decoded schema.
func merge(schema *arrow.Schema, records ...arrow.Record) (arrow.Record, error) {
	var refs []joins.Ref
	for i, rec := range records {
		for row := range rec.NumRows() {
			refs = append(refs, joins.Ref{Chunk: int32(i), Row: int32(row)})
		}
	}
	columns := make([]arrow.Array, len(schema.Fields()))
	for i, f := range schema.Fields() {
		chunks, typ := make([]arrow.Array, len(records)), f.Type
		for j, rec := range records {
			chunks[j] = rec.Column(i)
			typ = chunks[j].DataType() // possibly a dictionary
		}
		var err error
		if columns[i], err = joins.Take(typ, chunks, refs); err != nil {
			return nil, fmt.Errorf("column %q: %w", f.Name, err)
		}
		defer columns[i].Release()
	}
	return array.NewRecord(schema, columns, int64(len(refs))), nil
}

// take copies rows of some columns of a record.
func take(schema *arrow.Schema, rec arrow.Record, indices []int, rows []int64) (arrow.Record, error) {
	refs := make([]joins.Ref, len(rows))
	for i, row := range rows {
		refs[i] = joins.Ref{Row: int32(row)}
	}
	columns := make([]arrow.Array, len(indices))
	for i, index := range indices {
		var err error
		if columns[i], err = joins.Take(schema.Field(i).Type, []arrow.Array{rec.Column(index)}, refs); err != nil {
			return nil, fmt.Errorf("column %q: %w", schema.Field(i).Name, err)
		}
		defer columns[i].Release()
	}
	return array.NewRecord(schema, columns, int64(len(rows))), nil
}
