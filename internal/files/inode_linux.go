package files

import (
	"io/fs"
	"syscall"
	"time"
)

// InodeOf is the inode of a file; false if it is not known.
func InodeOf(info fs.FileInfo) (Inode, bool) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return Inode{}, false
	}
	return Inode{Device: int64(stat.Dev), Number: int64(stat.Ino), Changed: time.Unix(stat.Ctim.Unix())}, true
}
