package filestore

import (
	"context"
	"errors"
	"io"

	"github.com/flightd/flightd/internal/parquetio"
	"github.com/flightd/flightd/stores"
)

// Scrub implements stores.ScrubbingStore: the chunks that flightd has written are compared with the digests in the footer, the
// rows of others are read.
func (s *Store) Scrub(ctx context.Context, src stores.DataSource) (files int, err error) {
	t, err := s.table(ctx, src)
	if err != nil {
		return 0, err
	}
	var broken []error
	for _, f := range t.files {
		if err := f.scrub(ctx); ctx.Err() != nil {
			return files, ctx.Err()
		} else if err != nil {
			broken = append(broken, err)
		}
		files++
	}
	return files, errors.Join(broken...)
}

func (f *file) scrub(ctx context.Context) error {
	if err := f.pin(); err != nil {
		return err
	}
	defer f.unpin()
	tail, err := parquetio.ReadTail(f, f.info.Size(), f.path)
	if err == nil {
		err = tail.CheckDigests(interruptible{ctx, f})
	}
	for group := 0; err == nil && group < min(tail.Appended(), f.footer.RowGroups()); group++ {
		for _, readErr := range f.footer.Read(ctx, group, allColumns(f.footer.Schema())) {
			err = errors.Join(err, readErr)
		}
	}
	if err != nil {
		return f.explain(err)
	}
	return nil
}

// interruptible is a reader that fails when a context has ended.
type interruptible struct {
	ctx context.Context
	io.ReaderAt
}

func (r interruptible) ReadAt(p []byte, off int64) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.ReaderAt.ReadAt(p, off)
}
