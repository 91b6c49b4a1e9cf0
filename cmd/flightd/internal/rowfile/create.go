package rowfile

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/ipc"

	"github.com/flightd/flightd/internal/parquetio"
)

// Target is a file to be. It is written beside its place under a name of its own and moved there when it is complete, so
// a failure leaves nothing behind, and a file that was there before stays until it is replaced.
type Target struct {
	path   string
	format Format
	file   *os.File // nil before Begin
	rows   encoder
	moved  bool // the file is written under another name
}

// encoder writes records in a format. Close ends the format, not the file.
type encoder interface {
	Write(arrow.Record) error
	Close() error
}

// Create prepares a file, or standard output. It finds out now what it can: a wrong name, a folder that is not there.
func Create(path string) (*Target, error) {
	format, err := FormatOf(path)
	if err != nil {
		return nil, err
	}
	t := &Target{path: path, format: format}
	if path == Standard {
		return t, nil
	}
	if resolved, err := filepath.EvalSymlinks(path); err == nil {
		t.path = resolved // what a link points to is replaced, not the link
	}
	info, err := os.Stat(t.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		t.moved = true
		_, err = os.Stat(filepath.Dir(t.path))
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%s: there is no folder %s", path, filepath.Dir(t.path))
		}
	case err == nil && info.IsDir():
		return nil, fmt.Errorf("%s: is a folder", path)
	case err == nil:
		t.moved = info.Mode().IsRegular() // a pipe or device is written to as it is
	}
	if err != nil {
		return nil, reason(path, err)
	}
	return t, nil
}

// Begin opens the file for records of a schema.
func (t *Target) Begin(schema *arrow.Schema) (err error) {
	switch {
	case t.path == Standard:
		t.file = os.Stdout
	case t.moved:
		t.file, err = createBeside(t.path)
	default:
		t.file, err = os.OpenFile(t.path, os.O_WRONLY, 0)
	}
	if err != nil {
		return reason(t.path, err)
	}
	switch t.format {
	case Parquet:
		t.rows, err = newParquetWriter(t.file, schema)
	case CSV:
		t.rows, err = newCSVWriter(t.file, schema)
	case ArrowFile:
		t.rows, err = ipc.NewFileWriter(counter{t.file, new(int64)}, ipc.WithSchema(schema))
	case ArrowStream:
		t.rows = ipc.NewWriter(t.file, ipc.WithSchema(schema))
	}
	if err != nil {
		return fmt.Errorf("%s: %w", t.path, err)
	}
	return nil
}

func newParquetWriter(w io.Writer, schema *arrow.Schema) (encoder, error) {
	rows, err := parquetio.NewWriter(w, schema, parquetio.WriterOptions{})
	if err != nil {
		return nil, fmt.Errorf("%w; or write Arrow IPC (.arrow), which has every type", err)
	}
	return rows, nil
}

// createBeside makes a hidden file in the same folder, so that moving it is one step. Its mode is that of the file it
// will replace, or the usual one.
func createBeside(path string) (*os.File, error) {
	dir, name := filepath.Split(path)
	temporary := filepath.Join(dir, "."+name+"."+strings.ToLower(rand.Text()[:8])+".part")
	f, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return nil, err
	}
	if old, err := os.Stat(path); err == nil {
		f.Chmod(old.Mode().Perm()) //nolint:errcheck // a file system without modes
	}
	return f, nil
}

// Write appends a record.
func (t *Target) Write(rec arrow.Record) error {
	if err := t.rows.Write(rec); err != nil {
		return t.because(err)
	}
	return nil
}

// Commit completes the file and puts it into its place.
func (t *Target) Commit() error {
	err := t.rows.Close()
	if t.path == Standard {
		return t.because(err)
	}
	if err == nil && t.moved {
		err = t.file.Sync()
	}
	err = errors.Join(err, t.file.Close())
	if err == nil && t.moved {
		err = os.Rename(t.file.Name(), t.path)
	}
	if err != nil {
		return t.because(err)
	}
	t.file = nil
	return nil
}

// Abandon removes what was written, unless it was committed.
func (t *Target) Abandon() {
	if t.file == nil || t.path == Standard {
		return
	}
	t.file.Close()
	if t.moved {
		os.Remove(t.file.Name())
	}
}

// because names the file that could not be written.
func (t *Target) because(err error) error {
	if err == nil {
		return nil
	}
	name := t.path
	if name == Standard {
		name = "standard output"
	}
	return reason(name, err)
}

// counter is a pipe that can be asked for its position, which is all that the writer of Arrow files needs of a file.
type counter struct {
	w  io.Writer
	at *int64
}

func (c counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	*c.at += int64(n)
	return n, err
}

// Seek implements io.Seeker for the present position alone.
func (c counter) Seek(offset int64, whence int) (int64, error) {
	if offset != 0 || whence != io.SeekCurrent {
		return 0, errors.ErrUnsupported
	}
	return *c.at, nil
}
