package files

import "time"

// Inode is what a file system tells of a file beside its size and the time of its last write.
type Inode struct {
	Device, Number int64
	Changed        time.Time // the last change of content, name or permissions, which no program can set back
}
