//go:build unix

package files

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

const nonblock = syscall.O_NONBLOCK // a pipe in a file's place must not block

// Lock implements File with flock, which belongs to the open file: two descriptors of one process exclude each other too.
func (f osFile) Lock(exclusive bool) (ok bool, err error) {
	how := syscall.LOCK_SH | syscall.LOCK_NB
	if exclusive {
		how = syscall.LOCK_EX | syscall.LOCK_NB
	}
	conn, err := f.SyscallConn()
	if err != nil {
		return false, err
	}
	var locked error
	err = conn.Control(func(fd uintptr) {
		for locked = syscall.EINTR; locked == syscall.EINTR; {
			locked = syscall.Flock(int(fd), how)
		}
	})
	switch {
	case err != nil:
		return false, err
	case locked == nil:
		return true, nil
	case errors.Is(locked, syscall.EWOULDBLOCK):
		return false, nil
	case errors.Is(locked, syscall.ENOSYS), errors.Is(locked, syscall.ENOTSUP), errors.Is(locked, syscall.EOPNOTSUPP),
		errors.Is(locked, syscall.ENOLCK), errors.Is(locked, syscall.EINVAL):
		return false, fmt.Errorf("%w: %w", errors.ErrUnsupported, locked)
	}
	return false, locked
}

// Imitate implements File. Who is not the superuser cannot give files away; the permissions are what matters then.
func (f osFile) Imitate(other fs.FileInfo) error {
	own, err := f.Stat()
	if err != nil {
		return err
	}
	have, ok := own.Sys().(*syscall.Stat_t)
	want, also := other.Sys().(*syscall.Stat_t)
	if ok && also && (have.Uid != want.Uid || have.Gid != want.Gid) {
		if err := f.Chown(int(want.Uid), int(want.Gid)); err != nil && !errors.Is(err, fs.ErrPermission) {
			return err
		}
	}
	return f.Chmod(other.Mode().Perm())
}

// linksForbidden says whether an error of Link means that the file system has no links, or not for us.
func linksForbidden(err error) bool {
	return errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOTSUP) || errors.Is(err, syscall.EOPNOTSUPP) ||
		errors.Is(err, syscall.ENOSYS) || errors.Is(err, syscall.EMLINK)
}

// errNoRenameNew says that renameNew is not there.
var errNoRenameNew = errors.New("renaming without replacing is not supported")

func renamed(err error, from, to string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.ENOSYS), errors.Is(err, syscall.EINVAL), errors.Is(err, syscall.ENOTSUP):
		return errNoRenameNew
	}
	return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
}
