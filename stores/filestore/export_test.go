package filestore

import "time"

// Settled has files count as settled when they are so old, until undo is called.
func Settled(after time.Duration) (undo func()) {
	before := settled
	settled = after
	return func() { settled = before }
}
