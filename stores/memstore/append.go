package memstore

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"github.com/flightd/flightd/internal/fault"
	"github.com/flightd/flightd/internal/rowdigest"
	"github.com/flightd/flightd/stores"
)

// Append implements stores.WritableStore. The rows are collected first; then, under the lock, they become the last part
// of the table, all at once. What an id wrote is remembered for as long as the table is not replaced.
func (s *Store) Append(
	ctx context.Context, dst stores.DataSource, id string, rows stores.Rows,
) (stores.Written, error) {
	before, err := s.table(dst)
	if err != nil {
		return stores.Written{}, err
	}
	rec, err := collect(ctx, before.schema, rows)
	if err != nil {
		return stores.Written{}, err
	}
	if id = "id " + id; id == "id " {
		digest, err := rowdigest.New(rec.Schema())
		if err == nil {
			err = digest.Add(rec)
		}
		if err != nil {
			return stores.Written{}, err
		}
		id = "rows " + digest.Sum().String()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t, err := s.locked(dst)
	if err != nil {
		return stores.Written{}, err
	}
	if known, ok := t.appends[id]; ok {
		return t.repeat(id, known, rec)
	}
	next, err := t.with(id, rec)
	if err != nil {
		return stores.Written{}, err
	}
	s.tables[t.name] = next
	return stores.Written{Rows: rec.NumRows()}, nil
}

// collect reads all rows into one record, or none.
func collect(ctx context.Context, schema *arrow.Schema, rows stores.Rows) (arrow.Record, error) {
	if err := sameColumns(schema, rows.Schema); err != nil {
		return nil, err
	}
	var records []arrow.Record
	for rec, err := range rows.Records {
		if err == nil {
			err = ctx.Err()
		}
		if err == nil {
			err = sameColumns(schema, rec.Schema())
		}
		if err != nil {
			return nil, err
		}
		rec.Retain()
		defer rec.Release()
		records = append(records, rec)
	}
	return merge(schema, records...)
}

// repeat answers an id that is known: the same rows are a duplicate, whatever batches they came in.
func (t *table) repeat(id string, known appended, rec arrow.Record) (stores.Written, error) {
	same := known.rows == rec.NumRows()
	if same && known.part >= 0 {
		same = array.RecordApproxEqual(t.records[known.part], rec, array.WithNaNsEqual(true), array.WithAbsTolerance(0))
	}
	if !same {
		return stores.Written{}, fault.New(fault.AlreadyExists, "%q has written other rows to %s", id, t.name)
	}
	return stores.Written{Rows: known.rows, Duplicate: true}, nil
}

// with is the table with one more part. The old one stays as it is, for those who read it.
func (t *table) with(id string, rec arrow.Record) (*table, error) {
	if err := sameColumns(t.schema, rec.Schema()); err != nil {
		return nil, fmt.Errorf("the table was replaced during the append: %w", err)
	}
	next := &table{name: t.name, schema: t.schema, records: t.records, appends: maps.Clone(t.appends)}
	next.appends[id] = appended{part: -1}
	if rec.NumRows() > 0 {
		next.appends[id] = appended{part: len(t.records), rows: rec.NumRows()}
		next.records = append(slices.Clip(t.records), rec)
	}
	return next, nil
}
