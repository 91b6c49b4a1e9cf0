// Package memstore is the store type `memory`: tables of Arrow records that live in the process. Tests fill it with Put,
// a program that embeds flightd may too, and it is the shortest complete example of a store with every ability that does
// not need an engine: parts, rows by position, appends, and replacing a table.
//
// Rules that hold everywhere: records are copied on the way in, their dictionaries decoded, and never changed after
// that, so readers need no lock; a table is replaced as a whole, so a snapshot is a pointer.
package memstore

import (
	"context"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"slices"
	"sync"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/flightd/flightd/internal/fault"
	"github.com/flightd/flightd/internal/nearest"
	"github.com/flightd/flightd/joins"
	"github.com/flightd/flightd/stores"
)

func init() { stores.Register("memory", func() stores.Config { return new(Config) }) }

// Config is the configuration of the type `memory`. It has no keys: a memory store starts empty and is filled in Go.
type Config struct{}

// Validate accepts everything there is to say, which is nothing.
func (*Config) Validate() error { return nil }

// Open makes an empty store.
func (*Config) Open(context.Context) (stores.OfflineStore, error) { return New(), nil }

// Source is the name of a table.
type Source string

func (s Source) String() string { return string(s) }

// Store holds tables by name. Make one with New.
type Store struct {
	mu     sync.RWMutex
	tables map[string]*table
	closed bool
}

// New makes an empty store.
func New() *Store { return &Store{tables: make(map[string]*table)} }

// Put makes or replaces the table called name. Each record is copied and becomes one part of it, in this order; it must
// have the columns of schema.
func (s *Store) Put(name string, schema *arrow.Schema, records ...arrow.Record) error {
	t, err := newTable(name, schema, records)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return fs.ErrClosed
	}
	s.tables[name] = t
	return nil
}

// Source implements stores.OfflineStore: any text but the empty one may name a table.
func (s *Store) Source(text string) (stores.DataSource, error) {
	if text == "" {
		return nil, fault.New(fault.Invalid, "a source of a memory store is the name of a table, not empty")
	}
	return Source(text), nil
}

// Schema implements stores.OfflineStore.
func (s *Store) Schema(_ context.Context, src stores.DataSource) (*arrow.Schema, error) {
	t, err := s.table(src)
	if err != nil {
		return nil, err
	}
	return t.schema, nil
}

// Scan implements stores.OfflineStore: the parts one after the other. The time range of sel is not made use of.
func (s *Store) Scan(ctx context.Context, src stores.DataSource, sel stores.Selection) iter.Seq2[arrow.Record, error] {
	return func(yield func(arrow.Record, error) bool) {
		t, err := s.table(src)
		if err != nil {
			yield(nil, err)
			return
		}
		for part := range t.records {
			for rec, err := range t.Read(ctx, part, sel) {
				if !yield(rec, err) || err != nil {
					return
				}
			}
		}
	}
}

// Table implements stores.TableStore.
func (s *Store) Table(_ context.Context, src stores.DataSource) (joins.Table, error) {
	t, err := s.table(src)
	if err != nil {
		return nil, err // not a nil *table in an interface
	}
	return t, nil
}

// Close implements stores.OfflineStore. Tables that were opened before stay readable.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed, s.tables = true, nil
	return nil
}

// table is the present state of a table: later writes make another one.
func (s *Store) table(src stores.DataSource) (*table, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.locked(src)
}

// locked is table for a caller that holds the lock.
func (s *Store) locked(src stores.DataSource) (*table, error) {
	if s.closed {
		return nil, fs.ErrClosed
	}
	t, ok := s.tables[src.String()]
	if !ok {
		known := slices.Collect(maps.Keys(s.tables))
		return nil, notThere(fmt.Sprintf("no table %s in memory; %s", nearest.Quote(src.String()), nearest.Hint(src.String(), known)))
	}
	return t, nil
}

// notThere is an fs.ErrNotExist with a text of its own.
type notThere string

func (e notThere) Error() string { return string(e) }

// Is makes it an fs.ErrNotExist.
func (notThere) Is(target error) bool { return target == fs.ErrNotExist }
