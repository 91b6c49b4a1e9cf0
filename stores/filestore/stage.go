package filestore

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/zeebo/xxh3"

	"github.com/flightd/flightd/internal/fault"
	"github.com/flightd/flightd/internal/files"
	"github.com/flightd/flightd/internal/parquetio"
	"github.com/flightd/flightd/internal/rowdigest"
	"github.com/flightd/flightd/stores"
)

// stageFolder is where files are written before they have their name. Readers of every kind skip what begins with a dot,
// and the names in it do not end like a file of rows.
const (
	stageFolder = ".stage"
	stageSuffix = ".tmp"
)

// Keys of the footer of a part.
const (
	formatKey  = "flightd.format"  // 1
	idKey      = "flightd.id"      // the key of the write
	contentKey = "flightd.content" // the content digest of its rows
	rowsKey    = "flightd.rows"
)

// staged is a complete file without a name of its own yet.
type staged struct {
	fsys    files.FS
	path    string
	lock    files.File // locked for as long as the file is somebody's, open for reading
	size    int64
	sum     uint64 // of the bytes that were to be written
	rows    int64
	content rowdigest.Digest
}

// stagedName is a name that nobody else comes upon.
func stagedName(dir, name string) string {
	return path.Join(dir, stageFolder, name+"."+rand.Text()+stageSuffix)
}

// newStaged makes a file to stage rows in. The first descriptor is for writing.
func newStaged(fsys files.FS, dir, name string) (files.File, *staged, error) {
	st := &staged{fsys: fsys, path: stagedName(dir, name)}
	f, err := fsys.Create(st.path)
	if isMissing(err) {
		stage := path.Dir(st.path)
		if err := fsys.Mkdir(stage); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, nil, writeError(stage, err)
		}
		f, err = fsys.Create(st.path)
	}
	if err != nil {
		return nil, nil, writeError(st.path, err)
	}
	st.lock, err = fsys.Open(st.path)
	if err == nil {
		// Nobody else knows the name, except who looks for the remains of failed writes and finds it very young.
		_, err = st.lock.Lock(true)
	}
	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		f.Close() // nothing is in it
		st.discard()
		return nil, nil, writeError(st.path, err)
	}
	return f, st, nil
}

// discard removes the file. One that cannot be removed is found later by sweep.
func (st *staged) discard() {
	_ = st.fsys.Remove(st.path)
	st.release()
}

// release closes the file, under whatever name it is by now. It was open for reading only.
func (st *staged) release() {
	if st.lock != nil {
		_ = st.lock.Close()
	}
}

// filling is how rows become a staged file.
type filling struct {
	dir, name string
	begin     func(w io.Writer) (*parquetio.Writer, error)
	finish    func(w *parquetio.Writer, st *staged) error // sets what the footer says
	durable   bool
}

// stage writes rows to a file, makes it durable if it is to be, reads it back and compares.
func (s *Store) stage(ctx context.Context, fsys files.FS, how filling, rows stores.Rows) (_ *staged, err error) {
	f, st, err := newStaged(fsys, how.dir, how.name)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			st.discard()
		}
	}()
	err = fill(ctx, f, st, how, rows)
	if err == nil && how.durable {
		err = writeError(st.path, f.Sync())
	}
	if closeErr := f.Close(); err == nil {
		err = writeError(st.path, closeErr)
	}
	if err != nil {
		return nil, err
	}
	return st, st.verify(ctx)
}

func fill(ctx context.Context, f files.File, st *staged, how filling, rows stores.Rows) error {
	out := newSink(f)
	w, err := how.begin(out)
	if err == nil {
		err = sameColumns(w.Schema(), rows.Schema)
	}
	if err != nil {
		return out.explain(st.path, err)
	}
	digest, err := rowdigest.New(rows.Schema)
	if err != nil {
		return fault.New(fault.Invalid, "%w", err)
	}
	for rec, err := range rows.Records {
		if err == nil {
			err = ctx.Err()
		}
		if err == nil {
			err = sameColumns(rows.Schema, rec.Schema())
		}
		if err != nil {
			return err
		}
		if err := digest.Add(rec); err != nil {
			return err
		}
		if err := w.Write(rec); err != nil {
			return out.explain(st.path, err)
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	st.rows, st.content = digest.Rows(), digest.Sum()
	if how.finish != nil {
		if err := how.finish(w, st); err != nil {
			return err
		}
	}
	err = w.Close()
	st.size, st.sum = out.n, out.sum.Sum64()
	return out.explain(st.path, err)
}

// sink counts and sums what goes to a file, and remembers its error, so that it can be told from others.
type sink struct {
	files.File
	n   int64
	sum *xxh3.Hasher
	err error
}

func newSink(f files.File) *sink { return &sink{File: f, sum: xxh3.New()} }

func (s *sink) Write(p []byte) (int, error) {
	_, _ = s.sum.Write(p) // never fails
	n, err := s.File.Write(p)
	s.n += int64(n)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	s.err = errors.Join(s.err, err)
	return n, err
}

// explain gives the error of a writer its kind: of the file, if that has failed, or else of what was written.
func (s *sink) explain(name string, err error) error {
	if err != nil && s.err != nil {
		return writeError(name, s.err)
	}
	return err
}

// verify reads the file back: its size, its rows, and all of its bytes.
func (st *staged) verify(ctx context.Context) error {
	f, err := st.open()
	if err != nil {
		return st.notAsWritten(err)
	}
	digest, err := digestOf(ctx, f, 0, f.RowGroups())
	if err != nil {
		return st.notAsWritten(err)
	}
	if digest.Rows() != st.rows || digest.Sum() != st.content {
		return st.notAsWritten(fmt.Errorf("%d rows with other values", digest.Rows()))
	}
	return st.notAsWritten(st.sameBytes())
}

// sameBytes compares the file with what was to be written, also where no reader of rows would look.
func (st *staged) sameBytes() error {
	sum := xxh3.New()
	if _, err := io.CopyBuffer(sum, io.NewSectionReader(st.lock, 0, st.size), make([]byte, min(st.size, 1<<20)+1)); err != nil {
		return err
	}
	if sum.Sum64() != st.sum {
		return errors.New("some bytes are others")
	}
	return nil
}

func (st *staged) open() (*parquetio.File, error) {
	info, err := st.lock.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() != st.size {
		return nil, fmt.Errorf("it has %d bytes of %d", info.Size(), st.size)
	}
	return parquetio.Open(st.lock, st.size, path.Base(st.path))
}

// notAsWritten is the error of a file that reads differently from what was written. Nobody else has seen it.
func (st *staged) notAsWritten(err error) error {
	if err == nil || fault.IsContext(err) {
		return err
	}
	return fmt.Errorf("what was written to %s does not read back: %v", path.Dir(path.Dir(st.path)), reason(err))
}

// digestOf computes the content digest of the rows of some of a file's row groups.
func digestOf(ctx context.Context, f *parquetio.File, group, end int) (*rowdigest.Hash, error) {
	digest, err := rowdigest.New(f.Schema())
	if err != nil {
		return nil, err
	}
	for ; group < end; group++ {
		for rec, err := range f.Read(ctx, group, allColumns(f.Schema())) {
			if err == nil {
				err = digest.Add(rec)
			}
			if err != nil {
				return nil, err
			}
		}
	}
	return digest, nil
}

func allColumns(schema *arrow.Schema) []int {
	columns := make([]int, len(schema.Fields()))
	for i := range columns {
		columns[i] = i
	}
	return columns
}

// stamp writes what makes a file a part: the write that it is of, and when it was staged.
func stamp(w *parquetio.Writer, k key, st *staged, at int64) {
	w.SetMetadata(formatKey, "1")
	w.SetMetadata(idKey, k.String())
	w.SetMetadata(contentKey, st.content.String())
	w.SetMetadata(rowsKey, strconv.FormatInt(st.rows, 10))
	w.SetMetadata(writtenAt, strconv.FormatInt(at, 10))
}

// isStaged says whether a name is one that newStaged makes.
func isStaged(name string) bool {
	return strings.HasSuffix(name, stageSuffix) && strings.Count(name, ".") >= 2
}
