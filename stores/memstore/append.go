package memstore

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"slices"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"github.com/flightd/flightd/internal/fault"
	"github.com/flightd/flightd/internal/nearest"
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

// Replace implements stores.ReplacingStore. Whether the table is there is asked under the lock under which it is made.
func (s *Store) Replace(ctx context.Context, dst stores.DataSource, overwrite bool, rows stores.Rows) (stores.Written, error) {
	name, ok := dst.(Source)
	if !ok {
		return stores.Written{}, fault.New(fault.Invalid, "%s is not a source of a memory store", dst)
	}
	records, err := read(ctx, rows)
	defer release(records)
	if err != nil {
		return stores.Written{}, err
	}
	t, err := newTable(string(name), rows.Schema, records)
	if err != nil {
		return stores.Written{}, err
	}
	var written stores.Written
	for _, rec := range records {
		written.Rows += rec.NumRows()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch _, there := s.tables[t.name]; {
	case s.closed:
		return stores.Written{}, fs.ErrClosed
	case there && !overwrite:
		return stores.Written{}, fault.New(fault.AlreadyExists, "table %s is not to be overwritten: %w", nearest.Quote(t.name), fs.ErrExist)
	}
	s.tables[t.name] = t
	return written, nil
}

// collect reads all rows into one record, or none.
func collect(ctx context.Context, schema *arrow.Schema, rows stores.Rows) (arrow.Record, error) {
	if err := sameColumns(schema, rows.Schema); err != nil {
		return nil, err
	}
	records, err := read(ctx, rows)
	defer release(records)
	if err != nil {
		return nil, err
	}
	return merge(schema, records...)
}

// read retains all records of an input, or those that came before an error.
func read(ctx context.Context, rows stores.Rows) (records []arrow.Record, err error) {
	for rec, err := range rows.Records {
		if err == nil {
			err = ctx.Err()
		}
		if err == nil {
			err = sameColumns(rows.Schema, rec.Schema())
		}
		if err != nil {
			return records, err
		}
		rec.Retain()
		records = append(records, rec)
	}
	return records, nil
}

func release(records []arrow.Record) {
	for _, rec := range records {
		rec.Release()
	}
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
