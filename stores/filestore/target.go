package filestore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"time"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/flightd/flightd/internal/fault"
	"github.com/flightd/flightd/internal/nearest"
	"github.com/flightd/flightd/stores"
)

// target is what a write goes to.
type target struct {
	path   string        // below the root
	folder bool          // rows go to a new file in it; else the path is a file
	schema *arrow.Schema // nil: there are no columns yet, the first write decides them
	newest int64         // when the newest of a folder's parts was written
	merged []*merged     // of a folder's parts that were made of others
	gone   []replaced    // files of a folder that others stand for
	info   fs.FileInfo   // of the folder; nil: nothing has the path yet
	listed time.Time
}

// targetAge is how long what is known of a folder is believed without listing it again: a folder of ten thousand parts takes
// longer to list than a part takes to write. While one writer lists it, others believe it for a little longer.
const (
	targetAge     = time.Second
	targetAgeMost = 3 * time.Second
)

// target finds out what a write to a source goes to. It is exact, except that the columns of a folder may be those of up to
// three seconds ago if rows with these columns have been written since.
func (s *Store) target(ctx context.Context, dst stores.DataSource) (*target, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	to, ok := dst.(source)
	if !ok {
		return nil, fault.New(fault.Invalid, "%s is not a source of a file store", dst)
	}
	root, err := s.openRoot()
	if err != nil {
		return nil, err
	}
	info, err := root.Stat(to.path)
	root.Close()
	switch {
	case isMissing(err):
		return s.newTarget(to)
	case err != nil:
		return nil, pathError(to.path, err)
	case info.Mode().IsRegular():
		t, err := s.table(ctx, to)
		if err != nil {
			return nil, err
		}
		return &target{path: to.path, schema: t.schema}, nil
	case !info.IsDir():
		return nil, fault.New(fault.Precondition, "%q is neither a file nor a folder", to.path)
	}
	if known, ok := s.targets.Load(to.path); ok && sameFolder(known.(*target).info, info) {
		t := known.(*target)
		age := time.Since(t.listed)
		if age < targetAge {
			return t, nil
		}
		if _, busy := s.listing.LoadOrStore(to.path, true); busy && age < targetAgeMost {
			return t, nil
		} else if !busy {
			defer s.listing.Delete(to.path)
		}
	}
	return s.listTarget(ctx, to, info)
}

// wrote finds an earlier write among those whose parts were merged.
func (t *target) wrote(k key) (entry, bool) {
	for _, m := range t.merged {
		if e, ok := m.find(k); ok {
			return e, true
		}
	}
	return entry{}, false
}

// sameFolder says whether a path is still the folder that it was.
func sameFolder(a, b fs.FileInfo) bool {
	return a != nil && b != nil && os.SameFile(a, b)
}

// listTarget reads the columns of a folder from the files in it.
func (s *Store) listTarget(ctx context.Context, to source, info fs.FileInfo) (*target, error) {
	t := &target{path: to.path, folder: true, info: info, listed: time.Now()}
	all, err := s.table(ctx, to)
	var none noParquet
	if errors.As(err, &none) {
		return t, nil
	}
	if err != nil {
		return nil, err
	}
	if len(all.folders) > 0 {
		return nil, unwritable(fmt.Sprintf("rows cannot be added to %q, whose files are in Hive partitions (folders called %s=...); "+
			"one of these folders, or any other folder or Parquet file, can be written to", to.path, all.folders[0].name))
	}
	t.schema = all.schema
	t.newest = all.files[len(all.files)-1].written // they are ordered by it
	for _, f := range all.files {
		if f.merged != nil && path.Dir(f.path) == to.path {
			t.merged = append(t.merged, f.merged)
		}
	}
	t.gone = all.gone
	s.targets.Store(to.path, t)
	return t, nil
}

// newTarget is a target where nothing is yet. Its name says whether it is to be a file.
func (s *Store) newTarget(to source) (*target, error) {
	if to.glob {
		return nil, unwritable("rows cannot be added to the glob " + nearest.Quote(to.path) + "; a folder, or a Parquet file, can be written to")
	}
	return &target{path: to.path, folder: !isParquet(path.Base(to.path))}, nil
}
