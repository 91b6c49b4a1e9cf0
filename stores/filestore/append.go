package filestore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"time"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/flightd/flightd/internal/fault"
	"github.com/flightd/flightd/internal/files"
	"github.com/flightd/flightd/internal/rowdigest"
	"github.com/flightd/flightd/stores"
)

// WriteSchema implements stores.TargetStore.
func (s *Store) WriteSchema(ctx context.Context, dst stores.DataSource) (*arrow.Schema, error) {
	t, err := s.target(ctx, dst)
	if err != nil {
		return nil, err
	}
	return t.schema, nil
}

// Append implements stores.WritableStore. A write to a folder is one new file in it; a write to a file makes the file
// anew. Both are there at once and as a whole, and only after they are durable: rows are staged in a file that no reader
// looks at, synced, read back and compared before they get a name. What fails, or is cut off by the end of the process or
// of the power, leaves at most such a file.
func (s *Store) Append(ctx context.Context, dst stores.DataSource, id string, rows stores.Rows) (stores.Written, error) {
	t, err := s.target(ctx, dst)
	if err == nil && t.schema != nil && sameColumns(t.schema, rows.Schema) != nil {
		s.targets.Delete(t.path) // perhaps they are the columns of a second ago
		t, err = s.target(ctx, dst)
	}
	if err == nil && t.schema != nil {
		err = sameColumns(t.schema, rows.Schema)
	}
	if err != nil {
		return stores.Written{}, err
	}
	fsys, err := s.files()
	if err != nil {
		return stores.Written{}, err
	}
	defer fsys.Close() // holds nothing that could be lost
	if t.folder {
		return s.appendPart(ctx, fsys, t, id, rows, stillFits)
	}
	return s.appendToFile(ctx, fsys, t, id, rows)
}

// files is the root for a write.
func (s *Store) files() (files.FS, error) {
	root, err := s.openRoot()
	if err != nil {
		return nil, err
	}
	fsys := files.Root(root)
	if s.wrap != nil {
		fsys = s.wrap(fsys)
	}
	return fsys, nil
}

// key is the name of a write. The id, which a client chose, never becomes part of a path.
type key [16]byte

func (k key) String() string { return hex.EncodeToString(k[:]) }

// keyOf is the key of an id, or of the rows themselves if there is none.
func keyOf(id string, content rowdigest.Digest) key {
	text := "id\x00" + id
	if id == "" {
		text = "rows\x00" + content.String()
	}
	sum := sha256.Sum256([]byte(text))
	return key(sum[:16])
}

// sameColumns compares names, order and types; what is nullable and metadata do not matter.
func sameColumns(want, have *arrow.Schema) error {
	if len(have.Fields()) != len(want.Fields()) {
		return fault.New(fault.Invalid, "%d columns where the source has %d", len(have.Fields()), len(want.Fields()))
	}
	for i, f := range have.Fields() {
		if w := want.Field(i); f.Name != w.Name || !arrow.TypeEqual(f.Type, w.Type) {
			return fault.New(fault.Invalid, "column %d is %q (%s) where the source has %q (%s)", i, f.Name, f.Type, w.Name, w.Type)
		}
	}
	return nil
}

// now is the time of a write, later than that of every other write of this store and of the parts that are there: of two
// rows that tie in everything else, the one written later wins, whatever the clock did (semantics P12).
func (s *Store) now(parts int64) int64 {
	for {
		last := s.written.Load()
		at := max(time.Now().UnixNano(), last+1)
		if parts >= at && parts+1 > parts {
			at = parts + 1
		}
		if s.written.CompareAndSwap(last, at) {
			return at
		}
	}
}
