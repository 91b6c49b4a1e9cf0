// Package filestore is the store type `file`: Parquet files below one folder, the root. A source is a file, a folder
// (with everything in it, Hive partitions included) or a glob, written relative to the root.
//
// Rules that hold everywhere: nothing outside the root is ever opened, whatever a path or a link says; a request lists
// its files once and uses exactly these, so a file that has changed or gone since is an error and never a wrong answer;
// no descriptor stays open between reads; what is remembered between requests (footers) is tied to the identity of the
// file and forgotten with it.
package filestore

import (
	"context"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"sync/atomic"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/flightd/flightd/internal/fault"
	"github.com/flightd/flightd/joins"
	"github.com/flightd/flightd/stores"
)

// Store reads Parquet files below a root. Make one with Config.Open.
type Store struct {
	root    string
	footers *footers
	closed  atomic.Bool
}

// Schema implements stores.OfflineStore.
func (s *Store) Schema(ctx context.Context, src stores.DataSource) (*arrow.Schema, error) {
	t, err := s.table(ctx, src)
	if err != nil {
		return nil, err
	}
	return t.schema, nil
}

// Scan implements stores.OfflineStore: part after part, without those that lie outside of the selection's range.
func (s *Store) Scan(ctx context.Context, src stores.DataSource, sel stores.Selection) iter.Seq2[arrow.Record, error] {
	return func(yield func(arrow.Record, error) bool) {
		t, err := s.table(ctx, src)
		if err != nil {
			yield(nil, err)
			return
		}
		for part := range t.parts {
			if t.outside(part, sel) {
				continue
			}
			for rec, err := range t.Read(ctx, part, sel) {
				if !yield(rec, err) || err != nil {
					return
				}
			}
		}
	}
}

// Table implements stores.TableStore. The parts are row groups, in the order of semantics P12.
func (s *Store) Table(ctx context.Context, src stores.DataSource) (joins.Table, error) {
	t, err := s.table(ctx, src)
	if err != nil {
		return nil, err // not a nil *table in an interface
	}
	return t, nil
}

// Close implements stores.OfflineStore. Tables that were opened before fail from now on.
func (s *Store) Close() error {
	s.closed.Store(true)
	s.footers.clear()
	return nil
}

// table lists the files of a source and reads the footers that are not known yet.
func (s *Store) table(ctx context.Context, src stores.DataSource) (*table, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	from, ok := src.(source)
	if !ok {
		return nil, fault.New(fault.Invalid, "%s is not a source of a file store", src)
	}
	root, err := s.openRoot()
	if err != nil {
		return nil, err
	}
	found, err := listFiles(ctx, root, from)
	root.Close()
	if err != nil {
		return nil, err
	}
	files, err := s.open(ctx, found)
	if err != nil {
		return nil, err
	}
	return newTable(files)
}

// openRoot opens the root anew for each use: a root that has been replaced by another folder is noticed that way.
func (s *Store) openRoot() (*os.Root, error) {
	if s.closed.Load() {
		return nil, fs.ErrClosed
	}
	root, err := os.OpenRoot(s.root)
	if err != nil {
		return nil, fmt.Errorf("the root folder of the store: %w", reason(err)) // its path is not for clients
	}
	return root, nil
}
