package filestore

import (
	"context"
	"errors"
	"fmt"
	"path"

	"github.com/flightd/flightd/internal/files"
	"github.com/flightd/flightd/internal/parquetio"
	"github.com/flightd/flightd/internal/rowdigest"
)

// extended makes the file that is to replace another one: its row groups, the staged rows, and the ledger.
func (s *Store) extended(ctx context.Context, fsys files.FS, r *replacement, news []*request) (_ *staged, err error) {
	dir, err := existing(fsys, path.Dir(r.name))
	if err != nil {
		return nil, err
	}
	f, st, err := newStaged(fsys, dir, "file")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			st.discard()
		}
	}()
	x := extension{replacement: r, news: news, keep: r.keeps(news)}
	out := newSink(f)
	err = out.explain(r.name, x.write(ctx, out))
	st.size, st.sum = out.n, out.sum.Sum64()
	if err == nil && r.info != nil {
		err = writeError(r.name, f.Imitate(r.info))
	}
	if err == nil {
		err = writeError(r.name, f.Sync())
	}
	if closeErr := f.Close(); err == nil {
		err = writeError(r.name, closeErr)
	}
	if err != nil {
		return nil, err
	}
	return st, st.notAsWritten(x.verify(ctx, st))
}

// extension is the making of a longer file.
type extension struct {
	*replacement
	news   []*request
	keep   int // row groups that are copied; the others are small, and written anew together with what is added
	pieces []piece
}

// piece is a run of rows behind those that are kept: as they were staged, or written anew.
type piece struct {
	rows   int64           // of row groups that were copied
	digest *rowdigest.Hash // of rows that were written anew; nil: copied
}

// Row groups that flightd has added are put together with newer ones while they are small, larger ones more seldom: a file
// that grows by single rows has few row groups, and each row is written anew a few times only.
const (
	mergedMost  = 128 << 10 // rows of a row group
	mergeFactor = 2
)

// keeps is how many of the file's row groups stay as they are.
func (r *replacement) keeps(news []*request) int {
	if r.info == nil {
		return 0
	}
	var rows int64
	for _, request := range news {
		rows += request.st.rows
	}
	groups := r.tail.RowGroups()
	keep := len(groups)
	for keep > r.tail.Appended() && groups[keep-1] <= mergeFactor*rows && rows+groups[keep-1] <= mergedMost {
		keep--
		rows += groups[keep]
	}
	return keep
}

func (x *extension) write(ctx context.Context, out *sink) error {
	w, err := x.tail.NewWriter(out)
	if err != nil {
		return err
	}
	if x.info != nil {
		if err := w.Keep(x.old, x.tail, x.keep); err != nil {
			return err
		}
		if err := x.rewrite(ctx, w, x.old, x.info.Size(), x.keep); err != nil {
			return err
		}
	}
	for _, request := range x.news {
		if err := x.add(ctx, w, request.st); err != nil {
			return err
		}
	}
	w.SetMetadata(ledgerKey, x.done.String())
	return w.Close()
}

// add adds staged rows: many as they are, few together with their neighbours.
func (x *extension) add(ctx context.Context, w *parquetio.Writer, st *staged) error {
	if st.rows <= mergedMost/4 {
		return x.rewrite(ctx, w, st.lock, st.size, 0)
	}
	tail, err := parquetio.ReadTail(st.lock, st.size, x.name)
	if err != nil {
		return err
	}
	x.pieces = append(x.pieces, piece{rows: st.rows})
	return w.Copy(st.lock, tail)
}

// rewrite writes the rows of a file's row groups from one on.
func (x *extension) rewrite(ctx context.Context, w *parquetio.Writer, from files.File, size int64, group int) error {
	f, err := parquetio.Open(from, size, x.name)
	if err != nil {
		return err
	}
	digest, err := x.anew(w)
	if err != nil {
		return err
	}
	for ; group < f.RowGroups(); group++ {
		for rec, err := range f.Read(ctx, group, allColumns(f.Schema())) {
			if err == nil {
				err = digest.Add(rec)
			}
			if err == nil {
				err = w.Write(rec)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// anew is the digest of the piece that is being written anew.
func (x *extension) anew(w *parquetio.Writer) (*rowdigest.Hash, error) {
	if n := len(x.pieces); n > 0 && x.pieces[n-1].digest != nil {
		return x.pieces[n-1].digest, nil
	}
	digest, err := rowdigest.New(w.Schema())
	x.pieces = append(x.pieces, piece{digest: digest})
	return digest, err
}

// verify reads back what is new in the file.
func (x *extension) verify(ctx context.Context, st *staged) error {
	f, err := st.open()
	if err != nil {
		return err
	}
	var rows int64
	if x.info != nil {
		for _, n := range x.tail.RowGroups() {
			rows += n
		}
	}
	for _, request := range x.news {
		rows += request.st.rows
	}
	if f.NumRows() != rows {
		return fmt.Errorf("it has %d rows of %d", f.NumRows(), rows)
	}
	if err := st.sameBytes(); err != nil {
		return err
	}
	return x.verifyRows(ctx, f)
}

// verifyRows compares the rows that were written anew. Those that were copied have been compared when they were staged, and
// their bytes just now.
func (x *extension) verifyRows(ctx context.Context, f *parquetio.File) error {
	group := x.keep
	for _, p := range x.pieces {
		first, rows := group, p.rows
		if p.digest != nil {
			rows = p.digest.Rows()
		}
		for ; rows > 0 && group < f.RowGroups(); group++ {
			rows -= f.RowGroupRows(group)
		}
		if p.digest == nil {
			continue
		}
		have, err := digestOf(ctx, f, first, group)
		if err != nil {
			return err
		}
		if rows != 0 || have.Sum() != p.digest.Sum() {
			return errors.New("rows with other values")
		}
	}
	return nil
}
