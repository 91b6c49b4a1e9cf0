package rowfile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/flightd/flightd/internal/ipcguard"
	"github.com/flightd/flightd/internal/parquetio"
)

// Rows is an open file. Its records are read once, from front to back.
type Rows struct {
	Schema  *arrow.Schema
	Len     int64 // -1: not known before the end
	Records iter.Seq2[arrow.Record, error]
	close   func() error
}

// Close closes the file.
func (r *Rows) Close() error { return r.close() }

// Open opens a file to read. Columns says of which types the columns of a CSV file are; it is not asked for other files,
// which know.
func Open(ctx context.Context, path string, columns func() (Columns, error)) (*Rows, error) {
	format, err := FormatOf(path)
	if err != nil {
		return nil, err
	}
	if path == Standard {
		return openIPC(ctx, os.Stdin, "standard input", func() error { return nil })
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, reason(path, err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() && format != ArrowStream {
		err = errors.New("is not a regular file; only an Arrow IPC stream (.arrows, or - for standard input) can be read from a pipe")
	}
	var rows *Rows
	switch {
	case err != nil:
		err = reason(path, err)
	case format == Parquet:
		rows, err = openParquet(ctx, f, info.Size(), path)
	case format == CSV:
		rows, err = openCSV(ctx, f, path, columns)
	default:
		rows, err = openIPC(ctx, f, path, f.Close)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return rows, nil
}

// reason names the file and says what is wrong with it, without the system call.
func reason(path string, err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	return fmt.Errorf("%s: %w", path, err)
}

func openParquet(ctx context.Context, f *os.File, size int64, path string) (*Rows, error) {
	file, err := parquetio.Open(f, size, path)
	if err != nil {
		return nil, err
	}
	all := make([]int, len(file.Schema().Fields()))
	for i := range all {
		all[i] = i
	}
	records := func(yield func(arrow.Record, error) bool) {
		for rg := range file.RowGroups() {
			for rec, err := range file.Read(ctx, rg, all) {
				if !yield(rec, err) {
					return
				}
			}
		}
	}
	return &Rows{Schema: file.Schema(), Len: file.NumRows(), Records: records, close: f.Close}, nil
}

func openIPC(ctx context.Context, f *os.File, name string, shut func() error) (*Rows, error) {
	source, err := ipcguard.Open(f)
	var r *ipcguard.Reader
	if err == nil {
		r, err = ipcguard.NewReader(ctx, source, ipcguard.Limits{})
	}
	if errors.Is(err, io.EOF) {
		err = errors.New("it is empty; an Arrow IPC stream is wanted")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	records := func(yield func(arrow.Record, error) bool) {
		for rec, err := range r.Records() {
			if err != nil {
				yield(nil, fmt.Errorf("%s: %w", name, err))
				return
			}
			if !yield(rec, nil) {
				return
			}
		}
	}
	return &Rows{Schema: r.Schema(), Len: -1, Records: records, close: shut}, nil
}
