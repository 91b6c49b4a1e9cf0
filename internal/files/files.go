// Package files is the file operations of a write as one small interface, so that a test can count every one of them,
// fail it, or cut the power after it. Names are relative to a root and have slashes; nothing above the root is reached,
// whatever a name or a link says.
//
// What survives a power cut is what has been synced: a file's bytes by File.Sync, and its name by FS.Sync of the folder.
package files

import (
	"io"
	"io/fs"
	"os"
	"path"
)

// FS is the folder below which names are.
type FS interface {
	// Create makes a new file for writing. One that is there is fs.ErrExist.
	Create(name string) (File, error)
	// Open opens a file for reading.
	Open(name string) (File, error)
	// OpenLock opens a file to be locked, and makes it if it is not there. It stays empty.
	OpenLock(name string) (File, error)
	// Mkdir makes a folder. One that is there is fs.ErrExist.
	Mkdir(name string) error
	// Link gives a file a second name. One that is there is fs.ErrExist, and stays as it is.
	Link(from, to string) error
	// Publish gives a complete file its final name, all at once. One that is there is fs.ErrExist, and stays as it is. The
	// first name may stay too: it is removed by the caller.
	Publish(from, to string) error
	// Rename gives a file another name, all at once. One that has the name is replaced.
	Rename(from, to string) error
	// Remove removes a file's name.
	Remove(name string) error
	// Sync makes durable what names a folder holds.
	Sync(dir string) error
	// Stat describes what has a name; links are followed.
	Stat(name string) (fs.FileInfo, error)
	// Lstat is Stat without following a link that has the name itself.
	Lstat(name string) (fs.FileInfo, error)
	// Readlink is where a link leads.
	Readlink(name string) (string, error)
	// ReadDir lists a folder.
	ReadDir(dir string) ([]fs.DirEntry, error)
	// Close releases the root. Open files stay open.
	Close() error
}

// File is an open file. Reading does not depend on where writing is.
type File interface {
	io.Writer
	io.ReaderAt
	Stat() (fs.FileInfo, error)
	// Imitate gives the file the permissions of another one and, as far as that is allowed, its owner.
	Imitate(other fs.FileInfo) error
	// Sync makes durable what has been written. After it has failed once, nothing is known about the file any more.
	Sync() error
	// Lock takes an advisory lock, shared or exclusive, without waiting, and reports whether somebody else has it. It is
	// given back when the file is closed, also by the end of the process. Errors wrap errors.ErrUnsupported where files
	// cannot be locked.
	Lock(exclusive bool) (ok bool, err error)
	Close() error
}

// root is an FS of the operating system.
type root struct{ *os.Root }

// Root is the folder that r has open. Closing the FS closes r.
func Root(r *os.Root) FS { return root{r} }

// osFile is a File of the operating system.
type osFile struct{ *os.File }

func (r root) open(name string, flag int) (File, error) {
	f, err := r.OpenFile(name, flag, 0o666)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (r root) Create(name string) (File, error) {
	return r.open(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL)
}

func (r root) Open(name string) (File, error) { return r.open(name, os.O_RDONLY|nonblock) }

func (r root) OpenLock(name string) (File, error) {
	return r.open(name, os.O_RDWR|os.O_CREATE|nonblock)
}

func (r root) Mkdir(name string) error { return r.Root.Mkdir(name, 0o777) }

// Publish links, because a rename would replace. Where links are not allowed it renames in a way that does not.
func (r root) Publish(from, to string) error {
	err := r.Link(from, to)
	if !linksForbidden(err) {
		return err
	}
	source, openErr := r.Root.Open(path.Dir(from))
	if openErr != nil {
		return openErr
	}
	defer source.Close() // opened for its descriptor only
	target, openErr := r.Root.Open(path.Dir(to))
	if openErr != nil {
		return openErr
	}
	defer target.Close() // the same
	if moveErr := renameNew(source, path.Base(from), target, path.Base(to)); moveErr != errNoRenameNew {
		return moveErr
	}
	return err
}

func (r root) Sync(dir string) error {
	f, err := r.Root.Open(dir)
	if err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		f.Close() // what matters has failed
		return err
	}
	return f.Close()
}

func (r root) ReadDir(dir string) ([]fs.DirEntry, error) {
	f, err := r.Root.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close() // reading only
	return f.ReadDir(-1)
}
