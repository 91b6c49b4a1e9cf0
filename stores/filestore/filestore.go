// Package filestore is the store type `file`: Parquet files below one folder, the root. A source is a file, a folder
// (with everything in it, Hive partitions included) or a glob, written relative to the root.
//
// Rules that hold everywhere: nothing outside the root is ever opened, whatever a path or a link says; a request lists
// its files once and uses exactly these, so a file that has changed or gone since is an error and never a wrong answer;
// no descriptor stays open between reads, except of a file that a write replaces, for those who are reading it; what is
// remembered between requests (footers) is tied to the identity of the file and forgotten with it.
//
// Writes: a file never changes, and has its name only when it is complete and durable. All operations of a write go through
// internal/files, and every error of one is looked at. This store's own writers, in any number of processes, lose nothing of
// each other; a foreign program that writes to the same single file is noticed as far as the file's identity tells.
package filestore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"sync"
	"sync/atomic"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/flightd/flightd/internal/fault"
	"github.com/flightd/flightd/internal/files"
	"github.com/flightd/flightd/joins"
	"github.com/flightd/flightd/stores"
)

// Store reads and writes Parquet files below a root. Make one with Config.Open.
type Store struct {
	root    string
	footers *footers
	closed  atomic.Bool

	written   atomic.Int64 // when the last write was staged
	targets   sync.Map     // path of a folder -> *target
	listing   sync.Map     // path of a folder that some writer lists -> true
	synced    sync.Map     // path of a folder -> fs.FileInfo; the names of the folder and those above it are durable
	swept     sync.Map     // path of a folder -> time.Time at which the remains of failed writes were last looked for
	tidied    sync.Map     // path of a folder -> time.Time at which merged parts were last removed
	queues    queues       // writes to single files
	residents *residents
	kept      kept // files that were replaced while somebody may be reading them
	// Between finding a file and remembering it nobody replaces it, so that who does finds it and keeps it for its readers.
	exchanging sync.RWMutex
	wrap       func(files.FS) files.FS // tests: between writes and the file system
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

// Table implements stores.TableStore. The parts are row groups, or several small files, in the order of semantics P12.
func (s *Store) Table(ctx context.Context, src stores.DataSource) (joins.Table, error) {
	t, err := s.table(ctx, src)
	if err != nil {
		return nil, err // not a nil *table in an interface
	}
	return t.bundle(), nil
}

// Close implements stores.OfflineStore. Tables that were opened before fail from now on.
func (s *Store) Close() error {
	s.closed.Store(true)
	s.footers.clear()
	s.residents.forget(s)
	s.kept.release()
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
	// A file that is replaced while its footer is read is found under its name again: nobody has seen a row of it yet.
	for attempt := 1; ; attempt++ {
		t, err := s.list(ctx, from)
		if err == nil || attempt == listAttempts || !errors.Is(err, errChanged) {
			return t, err
		}
	}
}

// listAttempts is how often a source is listed that changes while it is.
const listAttempts = 5

func (s *Store) list(ctx context.Context, from source) (*table, error) {
	all, err := s.find(ctx, from)
	if err != nil {
		return nil, err
	}
	seen, gone := withoutReplaced(all)
	t, err := newTable(seen)
	if err == nil {
		t.gone = gone
	}
	return t, err
}

// find lists the files of a source, with their footers, also those that were replaced by others.
func (s *Store) find(ctx context.Context, from source) ([]openFile, error) {
	root, err := s.openRoot()
	if err != nil {
		return nil, err
	}
	if info, err := root.Stat(from.path); err == nil && info.Mode().IsRegular() {
		s.exchanging.RLock()
		defer s.exchanging.RUnlock()
	}
	found, err := listFiles(ctx, root, from)
	root.Close()
	if err != nil {
		return nil, err
	}
	return s.open(ctx, found)
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
