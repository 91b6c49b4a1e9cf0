package filestore

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"time"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/flightd/flightd/internal/fault"
	"github.com/flightd/flightd/internal/files"
	"github.com/flightd/flightd/internal/nearest"
	"github.com/flightd/flightd/internal/parquetio"
	"github.com/flightd/flightd/internal/rowdigest"
	"github.com/flightd/flightd/stores"
)

// appendPart writes rows to a new file in a folder, whose name comes from the id: the file is the record that the write
// has been done. If the folder had no parts, the check is asked once more before it gets its first, when nobody else can
// give it one.
func (s *Store) appendPart(ctx context.Context, fsys files.FS, t *target, id string, rows stores.Rows, check firstCheck) (stores.Written, error) {
	if t.schema == nil {
		if err := newColumns(rows.Schema); err != nil {
			return stores.Written{}, err
		}
	}
	dir, err := existing(fsys, t.path)
	if err != nil {
		return stores.Written{}, err
	}
	s.sweep(fsys, dir)
	s.tidy(ctx, fsys, t)
	if id != "" {
		k := keyOf(id, rowdigest.Digest{})
		if known, err := s.known(ctx, fsys, path.Join(t.path, partName(k))); err != nil {
			return stores.Written{}, err
		} else if known != nil {
			defer known.Close() // reading only
			return s.repeatPart(ctx, rows, func(content rowdigest.Digest) (stores.Written, error) {
				return s.answerKnown(fsys, t.path, known, content)
			})
		}
		if before, ok := t.wrote(k); ok {
			return s.repeatPart(ctx, rows, func(content rowdigest.Digest) (stores.Written, error) {
				return s.answerMerged(fsys, t.path, before, content)
			})
		}
	}
	var k key
	leave := func() {}
	defer func() { leave() }()
	st, err := s.stage(ctx, fsys, filling{
		dir: dir, name: "part", durable: true,
		begin: func(w io.Writer) (*parquetio.Writer, error) {
			return parquetio.NewWriter(w, nullable(rows.Schema), parquetio.WriterOptions{})
		},
		finish: func(w *parquetio.Writer, st *staged) error {
			k = keyOf(id, st.content)
			if t.schema != nil { // the folder has parts, which somebody may merge
				turn, err := share(ctx, fsys, t.path)
				if err != nil {
					return err
				}
				leave = turn
				if t, err = s.target(ctx, source{path: t.path}); err != nil { // as it is now
					return err
				}
			}
			stamp(w, k, st, s.now(t.newest))
			return nil
		},
	}, rows)
	if err != nil {
		return stores.Written{}, err
	}
	defer st.discard()
	if before, ok := t.wrote(k); ok {
		return s.answerMerged(fsys, t.path, before, st.content)
	}
	return s.publish(ctx, fsys, t, path.Join(t.path, partName(k)), st, check)
}

func partName(k key) string { return "part-" + k.String() + ".parquet" }

// newColumns checks the columns of a source that the first write makes.
func newColumns(schema *arrow.Schema) error {
	if len(schema.Fields()) == 0 {
		return fault.New(fault.Invalid, "rows without columns cannot be written")
	}
	seen := make(map[string]bool)
	for _, f := range schema.Fields() {
		if seen[f.Name] {
			return fault.New(fault.Invalid, "two columns are called %s", nearest.Quote(f.Name))
		}
		seen[f.Name] = true
	}
	return nil
}

// nullable is a schema as sources have them: every column may be null, and nothing is said about the schema as a whole.
func nullable(schema *arrow.Schema) *arrow.Schema {
	fields := make([]arrow.Field, len(schema.Fields()))
	for i, f := range schema.Fields() {
		f.Nullable = true
		fields[i] = f
	}
	return arrow.NewSchema(fields, nil)
}

// existing is a folder, or the nearest one above it that is there.
func existing(fsys files.FS, dir string) (string, error) {
	for {
		info, err := fsys.Stat(dir)
		switch {
		case err == nil && info.IsDir():
			return dir, nil
		case err == nil:
			return "", fault.New(fault.Precondition, "%q is not a folder", dir)
		case !isMissing(err) || dir == ".":
			return "", pathError(dir, err)
		}
		dir = path.Dir(dir)
	}
}

// known opens the part of an earlier write with a key, if there is one.
func (s *Store) known(ctx context.Context, fsys files.FS, name string) (files.File, error) {
	f, err := fsys.Open(name)
	if isMissing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, pathError(name, err)
	}
	// Who has published it holds the lock until its name is durable, or is gone again.
	if err := wait(ctx, f, false); err != nil {
		f.Close() // reading only
		return nil, err
	}
	have, err := f.Stat()
	if err == nil {
		var now fs.FileInfo
		if now, err = fsys.Stat(name); err == nil && os.SameFile(have, now) {
			return f, nil
		}
	}
	f.Close() // reading only
	if err == nil || isMissing(err) {
		return nil, nil
	}
	return nil, pathError(name, err)
}

// wait takes a lock as soon as nobody else has it.
func wait(ctx context.Context, f files.File, exclusive bool) error {
	for pause := time.Millisecond; ; pause = min(2*pause, 20*time.Millisecond) {
		ok, err := f.Lock(exclusive)
		if ok || errors.Is(err, errors.ErrUnsupported) {
			return nil
		}
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

// repeatPart compares rows with those of an earlier write with their id. Nothing is written.
func (s *Store) repeatPart(ctx context.Context, rows stores.Rows, answer func(rowdigest.Digest) (stores.Written, error)) (stores.Written, error) {
	digest, err := rowdigest.New(rows.Schema)
	if err != nil {
		return stores.Written{}, fault.New(fault.Invalid, "%w", err)
	}
	for rec, err := range rows.Records {
		if err == nil {
			err = ctx.Err()
		}
		if err == nil {
			err = sameColumns(rows.Schema, rec.Schema())
		}
		if err == nil {
			err = digest.Add(rec)
		}
		if err != nil {
			return stores.Written{}, err
		}
	}
	return answer(digest.Sum())
}

// answerMerged is answerKnown for a write whose part was merged with others.
func (s *Store) answerMerged(fsys files.FS, dir string, before entry, content rowdigest.Digest) (stores.Written, error) {
	if !before.has(content) {
		return stores.Written{}, errOtherRows
	}
	if err := s.syncFolder(fsys, dir); err != nil {
		return stores.Written{}, err
	}
	return stores.Written{Rows: before.rows, Duplicate: true}, nil
}

var errOtherRows = fault.New(fault.AlreadyExists, "the request id was used with other rows before; use a new one for new rows")

// answerKnown is the answer to a write whose id has been used before.
func (s *Store) answerKnown(fsys files.FS, dir string, known files.File, content rowdigest.Digest) (stores.Written, error) {
	info, err := known.Stat()
	if err != nil {
		return stores.Written{}, writeError(dir, err)
	}
	f, err := parquetio.Open(known, info.Size(), path.Join(dir, info.Name()))
	if err != nil {
		return stores.Written{}, err
	}
	text, _ := f.Metadata(contentKey)
	if have, ok := rowdigest.Parse(text); !ok || have != content {
		return stores.Written{}, errOtherRows
	}
	if err := s.syncFolder(fsys, dir); err != nil { // the process that wrote it may have stopped before it did
		return stores.Written{}, err
	}
	return stores.Written{Rows: f.NumRows(), Duplicate: true}, nil
}

// publish gives a staged file its name, for good. It answers only when the name is durable; if it cannot be made so, the
// name is taken back.
func (s *Store) publish(ctx context.Context, fsys files.FS, t *target, name string, st *staged, check firstCheck) (stores.Written, error) {
	dir := path.Dir(name)
	if err := makeFolders(fsys, dir); err != nil {
		return stores.Written{}, err
	}
	if t.schema == nil {
		first, err := s.firstWrite(ctx, fsys, t, st, check)
		if err != nil {
			return stores.Written{}, err
		}
		defer first.Close() // holds nothing but the lock
	}
	for {
		if err := ctx.Err(); err != nil {
			return stores.Written{}, err
		}
		err := fsys.Publish(st.path, name)
		if err == nil { // from here on the write is finished, whoever still waits for it
			break
		}
		if !errors.Is(err, fs.ErrExist) {
			return stores.Written{}, writeError(name, err)
		}
		known, err := s.known(ctx, fsys, name)
		if err != nil {
			return stores.Written{}, err
		}
		if known != nil {
			defer known.Close() // reading only
			return s.answerKnown(fsys, dir, known, st.content)
		}
	}
	if err := s.syncFolder(fsys, dir); err != nil {
		_ = fsys.Remove(name) // who waits for the lock looks again; if this fails too, the next attempt settles it
		return stores.Written{}, err
	}
	return stores.Written{Rows: st.rows}, nil
}

// firstCheck says whether staged rows may go to a folder as it is now, though it was empty when they were staged.
type firstCheck func(now *target, st *staged) error

// firstWrite waits until nobody else makes the first part of a folder, and then checks the folder again. The file that is
// returned holds the lock.
func (s *Store) firstWrite(ctx context.Context, fsys files.FS, t *target, st *staged, check firstCheck) (files.File, error) {
	stage := path.Join(t.path, stageFolder)
	if err := fsys.Mkdir(stage); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, writeError(stage, err)
	}
	lock, err := fsys.OpenLock(path.Join(stage, "first.lock"))
	if err != nil {
		return nil, writeError(stage, err)
	}
	err = wait(ctx, lock, true)
	var now *target
	if err == nil {
		now, err = s.target(ctx, source{path: t.path})
	}
	if err == nil {
		err = check(now, st)
	}
	if err != nil {
		lock.Close() // holds nothing but the lock
		return nil, err
	}
	return lock, nil
}

// stillFits is the firstCheck of rows that are added to what is there.
func stillFits(now *target, st *staged) error {
	if now.schema == nil {
		return nil
	}
	f, err := st.open()
	if err != nil {
		return st.notAsWritten(err)
	}
	return sameColumns(now.schema, f.Schema())
}

// makeFolders makes a folder and those above it.
func makeFolders(fsys files.FS, dir string) error {
	if dir == "." {
		return nil
	}
	info, err := fsys.Stat(dir)
	if err == nil && info.IsDir() {
		return nil
	}
	if err := makeFolders(fsys, path.Dir(dir)); err != nil {
		return err
	}
	if err := fsys.Mkdir(dir); err != nil && !errors.Is(err, fs.ErrExist) {
		return writeError(dir, err)
	}
	return nil
}

// syncFolder makes the names in a folder durable and, once for each folder, those of the folder and of all above it, which
// somebody may have made just now.
func (s *Store) syncFolder(fsys files.FS, dir string) error {
	if err := fsys.Sync(dir); err != nil {
		return writeError(dir, err)
	}
	info, err := fsys.Stat(dir)
	if err != nil {
		return writeError(dir, err)
	}
	if before, ok := s.synced.Load(dir); ok && os.SameFile(before.(fs.FileInfo), info) {
		return nil
	}
	for above := dir; above != "."; {
		above = path.Dir(above)
		if err := fsys.Sync(above); err != nil {
			return writeError(above, err)
		}
	}
	s.synced.Store(dir, info)
	return nil
}
