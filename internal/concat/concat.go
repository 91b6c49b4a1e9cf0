// Package concat puts records of one schema together, as far as v15 does that well and at a cost that has a bound.
package concat

import (
	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
)

// Fit reports whether two records of one schema can be put together. Dictionary columns can if they share their
// dictionary. v15 has no unions, and merges dictionaries that differ, or are nested, at a cost that nothing bounds.
func Fit(a, b arrow.Record) bool {
	for i, col := range a.Columns() {
		if col.DataType().ID() == arrow.DICTIONARY {
			if col.Data().Dictionary() != b.Column(i).Data().Dictionary() {
				return false
			}
		} else if !plain(col.DataType()) {
			return false
		}
	}
	return true
}

func plain(t arrow.DataType) bool {
	switch t.ID() {
	case arrow.DICTIONARY, arrow.SPARSE_UNION, arrow.DENSE_UNION, arrow.EXTENSION, arrow.RUN_END_ENCODED:
		return false
	}
	if nested, ok := t.(arrow.NestedType); ok {
		for _, f := range nested.Fields() {
			if !plain(f.Type) {
				return false
			}
		}
	}
	return true
}

// Records puts records together of which each fits the first. The result is the caller's, to be released.
func Records(records []arrow.Record) (arrow.Record, error) {
	schema := records[0].Schema()
	columns := make([]arrow.Array, len(schema.Fields()))
	var rows int64
	for _, rec := range records {
		rows += rec.NumRows()
	}
	for i := range columns {
		col, err := column(records, i)
		if err != nil {
			return nil, err
		}
		defer col.Release()
		columns[i] = col
	}
	return array.NewRecord(schema, columns, rows), nil
}

func column(records []arrow.Record, i int) (arrow.Array, error) {
	pieces := make([]arrow.Array, len(records))
	for j, rec := range records {
		pieces[j] = rec.Column(i)
	}
	first, ok := pieces[0].(*array.Dictionary)
	if !ok {
		return array.Concatenate(pieces, memory.DefaultAllocator)
	}
	for j, p := range pieces {
		pieces[j] = p.(*array.Dictionary).Indices()
	}
	indices, err := array.Concatenate(pieces, memory.DefaultAllocator)
	if err != nil {
		return nil, err
	}
	defer indices.Release()
	return array.NewDictionaryArray(first.DataType(), indices, first.Dictionary()), nil
}
