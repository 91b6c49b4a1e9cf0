package filestore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"

	"github.com/flightd/flightd/internal/files"
	"github.com/flightd/flightd/internal/parquetio"
	"github.com/flightd/flightd/stores"
)

// Replace implements stores.ReplacingStore: a file is exchanged for another one, and an empty folder gets its first part.
// Readers see the old rows or the new ones, and those who have begun with the old ones go on with them.
func (s *Store) Replace(ctx context.Context, dst stores.DataSource, rows stores.Rows) (stores.Written, error) {
	t, err := s.target(ctx, dst)
	if err != nil {
		return stores.Written{}, err
	}
	if t.folder && t.schema != nil {
		return stores.Written{}, unwritable(fmt.Sprintf("the files of folder %q cannot be replaced all at once; name a Parquet file or an empty folder, "+
			"or remove the folder first", t.path))
	}
	fsys, err := s.files()
	if err != nil {
		return stores.Written{}, err
	}
	defer fsys.Close() // holds nothing that could be lost
	if t.folder {
		return s.appendPart(ctx, fsys, t, "", rows)
	}
	return s.overwrite(ctx, fsys, t, rows)
}

// overwrite puts a file of these rows in the place of what has its name.
func (s *Store) overwrite(ctx context.Context, fsys files.FS, t *target, rows stores.Rows) (stores.Written, error) {
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
	return stores.Written{Rows: st.rows}, s.putInPlace(fsys, r, st)
}

// putInPlace gives a durable staged file the name of a file, whose lock is held.
func (s *Store) putInPlace(fsys files.FS, r *replacement, st *staged) error {
	if r.info == nil {
		if err := fsys.Publish(st.path, r.name); errors.Is(err, fs.ErrExist) {
			return r.changed()
		} else if err != nil {
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
