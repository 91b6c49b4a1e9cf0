package storetest

import (
	"errors"
	"fmt"
	"io/fs"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"github.com/flightd/flightd/stores"
)

// one is a store with a single table under test.
type one struct {
	stores.OfflineStore
	name  string
	src   stores.DataSource
	table Table // as loaded: in the types that the store can hold
}

// open makes a store with one table, its columns as the store can hold them.
func (h Harness) open(t *testing.T, table Table) (*one, error) {
	const name = "stats"
	table, _ = h.fit(table)
	s, err := h.openAll(t, map[string]Table{name: table})
	if err != nil {
		return nil, err
	}
	src, err := s.Source(h.sourceText(name))
	if err != nil {
		return nil, fmt.Errorf("source %q: %w", h.sourceText(name), err)
	}
	return &one{OfflineStore: s, name: name, src: src, table: table}, nil
}

// openAll makes a store with tables.
func (h Harness) openAll(t *testing.T, tables map[string]Table) (stores.OfflineStore, error) {
	return closing(t, h.Open(t, tables))
}

// reopened is the store after a restart.
func (h Harness) reopened(t *testing.T, s stores.OfflineStore) (stores.OfflineStore, error) {
	return closing(t, h.Reopen(t, s))
}

// closing has a store closed when the test ends.
func closing(t *testing.T, s stores.OfflineStore) (stores.OfflineStore, error) {
	if s == nil {
		return nil, errors.New("the harness opened no store")
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil && !errors.Is(err, fs.ErrClosed) {
			t.Errorf("close: %v", err)
		}
	})
	return s, nil
}

func (h Harness) sourceText(table string) string {
	if h.Source == nil {
		return table
	}
	return h.Source(table)
}

func (h Harness) holds(f arrow.Field) bool { return h.Holds == nil || h.Holds(f) }

// held is the table without the columns that the store cannot hold.
func (h Harness) held(table Table) Table {
	var fields []arrow.Field
	var indices []int
	for i, f := range table.Schema.Fields() {
		if h.holds(f) {
			fields, indices = append(fields, f), append(indices, i)
		}
	}
	return project(table, fields, indices)
}

// columns is the table with only the named columns, in this order.
func (table Table) columns(names ...string) Table {
	fields, indices := make([]arrow.Field, len(names)), make([]int, len(names))
	for i, name := range names {
		indices[i] = table.Schema.FieldIndices(name)[0]
		fields[i] = table.Schema.Field(indices[i])
	}
	return project(table, fields, indices)
}

func project(table Table, fields []arrow.Field, indices []int) Table {
	out := Table{Schema: arrow.NewSchema(fields, nil)}
	for _, rec := range table.Records {
		columns := make([]arrow.Array, len(indices))
		for i, index := range indices {
			columns[i] = rec.Column(index)
		}
		out.Records = append(out.Records, array.NewRecord(out.Schema, columns, rec.NumRows()))
	}
	return out
}

func (table Table) names() []string {
	names := make([]string, len(table.Schema.Fields()))
	for i, f := range table.Schema.Fields() {
		names[i] = f.Name
	}
	return names
}

func (table Table) rows() int64 {
	var n int64
	for _, rec := range table.Records {
		n += rec.NumRows()
	}
	return n
}

// everything selects all columns of the table.
func (o *one) everything() stores.Selection { return stores.Selection{Columns: o.table.names()} }
