package filestore

import (
	"io/fs"
	"sync"
	"weak"
)

// keptMost is how many replaced files a store keeps open.
const keptMost = 4

// kept are files that were replaced by this store. Who has listed one before goes on reading it: the system keeps what is
// open. Files that nobody reads any more are collected, which closes them; so that fast writers do not fill the disk with
// files that have no name, only the last few are kept.
type kept struct {
	mu    sync.Mutex
	files []weak.Pointer[file]
}

// keep opens a file that is about to be replaced, for as long as somebody refers to it.
func (k *kept) keep(f *file) {
	if f.pin() != nil { // it has been replaced already: its readers will be told
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.files = append(k.files, weak.Make(f))
	for len(k.files) > keptMost {
		k.drop()
	}
}

// drop closes the oldest.
func (k *kept) drop() {
	if f := k.files[0].Value(); f != nil {
		f.unpin()
	}
	k.files = k.files[1:]
}

// release closes all.
func (k *kept) release() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for len(k.files) > 0 {
		k.drop()
	}
}

// forget gives up the file that a path was last read as, and returns it if it is still that one.
func (c *footers) forget(path string, info fs.FileInfo) *file {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.byPath[path]
	if e == nil {
		return nil
	}
	f := e.Value.(*file)
	c.remove(e)
	if !sameFile(f.info, info) {
		return nil
	}
	return f
}
