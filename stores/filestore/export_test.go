package filestore

import (
	"bytes"
	"testing"
	"time"

	"github.com/flightd/flightd/internal/parquetio"
)

// EndOfChunks is where the column chunks of a file end that flightd has written.
func EndOfChunks(t *testing.T, content []byte) int {
	t.Helper()
	f, err := parquetio.Open(bytes.NewReader(content), int64(len(content)), "file")
	if err != nil {
		t.Fatal(err)
	}
	end := int64(4)
	for group := range f.RowGroups() {
		for column := range f.Schema().Fields() {
			end += f.Bytes(group, column)
		}
	}
	return int(end)
}

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
