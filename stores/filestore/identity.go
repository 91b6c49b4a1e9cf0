package filestore

import (
	"strconv"
	"strings"
	"time"

	"github.com/flightd/flightd/internal/files"
)

// settled is how old the last change of a file has to be. Times of a file system go in steps, of a few milliseconds or of
// seconds: a file that was just written to may be written to again without another time to tell.
// Tests change it.
var settled = 3 * time.Second

// isSettled says whether a file that is changed from now on will have another time.
func (f *file) isSettled() bool {
	since := time.Now().Add(-settled)
	inode, ok := files.InodeOf(f.info)
	return ok && !f.info.ModTime().After(since) && !inode.Changed.After(since)
}

// Identity implements joins.Identified: the file as far as its folder tells, with the time of the last change of its inode,
// which nobody can set back, the folders that give it columns, and the row group.
func (t *table) Identity(index int) string {
	p := t.parts[index]
	f := t.files[p.file]
	inode, ok := files.InodeOf(f.listed)
	if !ok {
		return ""
	}
	modified := f.listed.ModTime()
	if since := time.Now().Add(-settled); modified.After(since) || inode.Changed.After(since) {
		return ""
	}
	var sb strings.Builder
	for _, n := range []int64{
		inode.Device, inode.Number, inode.Changed.UnixNano(), modified.UnixNano(), f.listed.Size(), int64(p.rowGroup),
	} {
		sb.WriteString(strconv.FormatInt(n, 36))
		sb.WriteByte(' ')
	}
	sb.WriteString(f.path)
	for _, folder := range f.partitions {
		sb.WriteByte(0)
		sb.WriteString(folder.key)
	}
	return sb.String()
}
