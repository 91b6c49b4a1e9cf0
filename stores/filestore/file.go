package filestore

import (
	"errors"
	"io/fs"
	"os"
	"sync"
	"syscall"

	"github.com/apache/arrow/go/v15/arrow"
	"golang.org/x/sys/unix"

	"github.com/flightd/flightd/internal/fault"
	"github.com/flightd/flightd/internal/nearest"
	"github.com/flightd/flightd/internal/parquetio"
)

// file is a Parquet file as a listing found it, with its footer. It is shared by the requests that find the same file,
// and outlives them; its descriptor does not: it is open only while somebody reads (pin), so a folder of thousands of
// files needs as many descriptors as there are readers.
type file struct {
	store  *Store
	path   string
	info   fs.FileInfo // identity: another inode, size or time is another file
	footer *parquetio.File
	schema *arrow.Schema // of the footer; files that were read one after the other and have the same columns share it

	written int64   // when flightd wrote it; 0 for files from elsewhere
	merged  *merged // nil: the file was not made of others

	mu   sync.Mutex
	pins int
	open *os.File // while pins > 0
}

// errChanged ends a read of a file that is not the one of the listing any more.
var errChanged = errors.New("the file has changed")

func sameFile(a, b fs.FileInfo) bool {
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// pin opens the file for reading until unpin, and fails if it is not the one of the listing any more.
func (f *file) pin() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.pins == 0 {
		opened, err := f.store.openFile(f.path, f.info)
		if err != nil {
			return err
		}
		f.open = opened
	}
	f.pins++
	return nil
}

func (f *file) unpin() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.pins--; f.pins == 0 {
		f.open.Close()
		f.open = nil
	}
}

// ReadAt implements io.ReaderAt for who has pinned the file. What it returns was read from the file of the listing: one
// that somebody writes to is noticed after each read.
func (f *file) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.open.ReadAt(p, off)
	if f.unchanged() != nil {
		return 0, errChanged
	}
	return n, err
}

// Map implements parquetio.Mapper for who has pinned the file. Who has read what is mapped asks unchanged.
func (f *file) Map(off int64, n int) (data []byte, release func(), err error) {
	before := int(off % int64(os.Getpagesize()))
	all, err := unix.Mmap(int(f.open.Fd()), off-int64(before), before+n, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, nil, err
	}
	return all[before:], func() { _ = unix.Munmap(all) }, nil
}

// unchanged fails if the file is not the one of the listing any more.
func (f *file) unchanged() error {
	if now, err := f.open.Stat(); err != nil || !sameFile(now, f.info) {
		return changed(f.path)
	}
	return nil
}

// openFile opens a file below the root if it is still the one of the listing.
func (s *Store) openFile(name string, want fs.FileInfo) (*os.File, error) {
	root, err := s.openRoot()
	if err != nil {
		return nil, err
	}
	defer root.Close()
	opened, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe in its place must not block
	if isMissing(err) {
		return nil, changed(name)
	}
	if err != nil {
		return nil, pathError(name, err)
	}
	if now, err := opened.Stat(); err != nil || !sameFile(now, want) {
		opened.Close()
		return nil, changed(name)
	}
	return opened, nil
}

// changed is the error of a file that is not the one of the listing any more.
func changed(name string) error { return fault.New(fault.Precondition, "%w", changedFile(name)) }

type changedFile string

func (name changedFile) Error() string {
	return nearest.Quote(string(name)) + " changed or disappeared after it was listed; retry"
}

// Is makes it errChanged.
func (changedFile) Is(target error) bool { return target == errChanged }

// explain turns an error of reading into the right one: a file under change can look broken and is not.
func (f *file) explain(err error) error {
	if fault.IsContext(err) {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if errors.Is(err, errChanged) {
		return changed(f.path)
	}
	if f.open != nil {
		if now, statErr := f.open.Stat(); statErr != nil || !sameFile(now, f.info) {
			return changed(f.path)
		}
	}
	return err
}
