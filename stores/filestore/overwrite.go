package filestore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"

	"github.com/flightd/flightd/internal/fault"
	"github.com/flightd/flightd/internal/files"
	"github.com/flightd/flightd/internal/nearest"
	"github.com/flightd/flightd/internal/parquetio"
	"github.com/flightd/flightd/stores"
)

// Replace implements stores.ReplacingStore: a file is exchanged for another one, and an empty folder gets its first part.
// Readers see the old rows or the new ones, and those who have begun with the old ones go on with them. Whether something is
// there is asked before the rows are read, and once more under the lock under which they become visible.
func (s *Store) Replace(ctx context.Context, dst stores.DataSource, overwrite bool, rows stores.Rows) (stores.Written, error) {
	t, err := s.target(ctx, dst)
	if err == nil {
		err = t.replaceable(overwrite)
	}
	if err != nil {
		return stores.Written{}, err
	}
	fsys, err := s.files()
	if err != nil {
		return stores.Written{}, err
	}
	defer fsys.Close() // holds nothing that could be lost
	if t.folder {
		return s.appendPart(ctx, fsys, t, "", rows, func(now *target, _ *staged) error { return now.replaceable(overwrite) })
	}
	return s.replaceFile(ctx, fsys, t, overwrite, rows)
}

// replaceable says whether other rows may take the place of what a target has.
func (t *target) replaceable(overwrite bool) error {
	switch {
	case t.schema == nil:
		return nil
	case !overwrite:
		return taken(t.path)
	case t.folder:
		return unwritable(fmt.Sprintf("the files of folder %q cannot be replaced all at once; name a Parquet file or an empty folder, "+
			"or remove the folder first", t.path))
	}
	return nil
}

func taken(name string) error {
	return fault.New(fault.AlreadyExists, "%s is not to be overwritten: %w", nearest.Quote(name), fs.ErrExist)
}

// replaceFile puts a file of these rows in the place of what has its name.
func (s *Store) replaceFile(ctx context.Context, fsys files.FS, t *target, overwrite bool, rows stores.Rows) (stores.Written, error) {
	name, err := resolve(fsys, t.path)
	if err != nil {
		return stores.Written{}, err
	}
	dir := path.Dir(name)
	if err := makeFolders(fsys, dir); err != nil {
		return stores.Written{}, err
	}
	if err := newColumns(rows.Schema); err != nil {
		return stores.Written{}, err
	}
	st, err := s.stage(ctx, fsys, filling{dir: dir, name: "rows", durable: true, begin: func(w io.Writer) (*parquetio.Writer, error) {
		return parquetio.NewWriter(w, nullable(rows.Schema), parquetio.WriterOptions{})
	}}, rows)
	if err != nil {
		return stores.Written{}, err
	}
	defer st.discard()
	unlock, err := lockFile(ctx, fsys, name)
	if err != nil {
		return stores.Written{}, err
	}
	defer unlock()
	r := &replacement{name: name, known: []string{name, t.path}}
	if err := r.open(fsys); err != nil {
		return stores.Written{}, err
	}
	defer r.close()
	if r.info != nil && !overwrite {
		return stores.Written{}, taken(t.path)
	}
	err = s.putInPlace(fsys, r, st)
	if errors.Is(err, fs.ErrExist) { // another program has made the file
		if err = r.changed(); !overwrite {
			err = taken(t.path)
		}
	}
	return stores.Written{Rows: st.rows}, err
}

// putInPlace gives a durable staged file the name of a file, whose lock is held.
func (s *Store) putInPlace(fsys files.FS, r *replacement, st *staged) error {
	if r.info == nil {
		if err := fsys.Publish(st.path, r.name); err != nil {
			return writeError(r.name, err)
		}
		return s.syncFolder(fsys, path.Dir(r.name))
	}
	s.exchanging.Lock()
	s.keep(r)
	err := fsys.Rename(st.path, r.name)
	s.exchanging.Unlock()
	if err != nil {
		return writeError(r.name, err)
	}
	return s.syncFolder(fsys, path.Dir(r.name))
}
