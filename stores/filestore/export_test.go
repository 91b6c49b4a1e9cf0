package filestore

import "time"

// Settled has files count as settled when they are so old, until undo is called.
func Settled(after time.Duration) (undo func()) {
	before := settled
	settled = after
	return func() { settled = before }
}

// Bundled has any number of small files put together, so many at a time, until undo is called.
func Bundled(files int) (undo func()) {
	before := bundling
	bundling.from, bundling.files = 1, files
	return func() { bundling = before }
}
