package filestore

import (
	"errors"
	"io/fs"
	"syscall"

	"github.com/flightd/flightd/internal/fault"
	"github.com/flightd/flightd/internal/nearest"
)

// isMissing says whether an error of the file system means that nothing has this path.
func isMissing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ENAMETOOLONG)
}

// notThere is an fs.ErrNotExist with a text of its own.
type notThere string

func (e notThere) Error() string { return string(e) }

// Is makes it an fs.ErrNotExist.
func (notThere) Is(target error) bool { return target == fs.ErrNotExist }

// pathError says what is wrong with a path below the root. An os.Root refuses a path that leads out of it with an error
// that is not the system's, without having looked at what is there; so does the message.
func pathError(name string, err error) error {
	var system syscall.Errno
	switch {
	case isMissing(err):
		return notThere("no file or folder " + nearest.Quote(name) + " below the store's root")
	case errors.Is(err, fs.ErrPermission):
		return fault.New(fault.Precondition, "the server may not read %s; it needs the permission of the file system", nearest.Quote(name))
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return fault.New(fault.Busy, "%s: %v", nearest.Quote(name), reason(err))
	case errors.As(err, &system):
		return fault.New(fault.Precondition, "%s: %v", nearest.Quote(name), reason(err))
	}
	return fault.New(fault.Forbidden, "%s leads out of the store's root", nearest.Quote(name))
}

// reason is an error of the file system without the path in it.
func reason(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}
