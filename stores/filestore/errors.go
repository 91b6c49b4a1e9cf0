package filestore

import (
	"errors"
	"io/fs"
	"os"
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

// unwritable is an errors.ErrUnsupported with a text of its own.
type unwritable string

func (e unwritable) Error() string { return string(e) }

// Is makes it an errors.ErrUnsupported.
func (unwritable) Is(target error) bool { return target == errors.ErrUnsupported }

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
	return leadsOut(name)
}

func leadsOut(name string) error {
	return fault.New(fault.Forbidden, "%s leads out of the store's root", nearest.Quote(name))
}

// reason is an error of the file system without the path in it.
func reason(err error) error {
	var path *fs.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &path):
		return path.Err
	case errors.As(err, &link):
		return link.Err
	}
	return err
}

// writeError says what is wrong with a write to something below the root.
func writeError(name string, err error) error {
	var known *fault.Error
	var system syscall.Errno
	kind := fault.Unknown
	switch {
	case err == nil, errors.As(err, &known), fault.IsContext(err):
		return err
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, syscall.EFBIG):
		kind = fault.Exhausted
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE), errors.Is(err, syscall.ENOMEM), errors.Is(err, syscall.EAGAIN),
		errors.Is(err, syscall.EINTR):
		kind = fault.Busy
	case errors.Is(err, fs.ErrPermission), errors.As(err, &system):
		kind = fault.Precondition
	}
	return fault.New(kind, "the write to %s failed and was not done: %w", nearest.Quote(name), reason(err))
}
