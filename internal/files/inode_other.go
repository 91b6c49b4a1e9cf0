//go:build !linux && !darwin

package files

import "io/fs"

// InodeOf is the inode of a file; here it is not known.
func InodeOf(fs.FileInfo) (Inode, bool) { return Inode{}, false }
