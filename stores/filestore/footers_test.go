package filestore

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/flightd/flightd/internal/parquetio"
)

// emptyFiles writes n empty files and opens a store on them.
func emptyFiles(t *testing.T, n int) *Store {
	t.Helper()
	root := t.TempDir()
	var buf bytes.Buffer
	schema := arrow.NewSchema([]arrow.Field{{Name: "n", Type: arrow.PrimitiveTypes.Int64}}, nil)
	w, err := parquetio.NewWriter(&buf, schema, parquetio.WriterOptions{})
	if err == nil {
		err = w.Close()
	}
	for i := range n {
		err = errors.Join(err, os.WriteFile(filepath.Join(root, fmt.Sprintf("%03d.parquet", i)), buf.Bytes(), 0o600))
	}
	if err != nil {
		t.Fatal(err)
	}
	s, err := (&Config{Root: root}).Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s.(*Store)
}

func listed(t *testing.T, s *Store) []openFile {
	t.Helper()
	table, err := s.table(t.Context(), source{path: "."})
	if err != nil {
		t.Fatal(err)
	}
	return table.files
}

// A footer is read once for as long as its file is the same.
func TestFootersAreRemembered(t *testing.T) {
	s := emptyFiles(t, 3)
	first, second := listed(t, s), listed(t, s)
	for i := range first {
		if first[i].file != second[i].file {
			t.Errorf("%s was read twice", first[i].path)
		}
	}
	later := time.Now().Add(time.Hour)
	if err := os.Chtimes(filepath.Join(s.root, "001.parquet"), later, later); err != nil {
		t.Fatal(err)
	}
	for i, f := range listed(t, s) {
		if same := f.file == first[i].file; same == (i == 1) {
			t.Errorf("%s: remembered %v", f.path, same)
		}
	}
}

// What is remembered stays within its bound, and what was used last stays longest.
func TestFootersAreBounded(t *testing.T) {
	s := emptyFiles(t, 10)
	s.footers.bound = 4 * listed(t, s)[0].cost()
	s.footers.clear()
	all := listed(t, s)
	if n := s.footers.recent.Len(); n != 4 || len(s.footers.byPath) != 4 || s.footers.bytes > s.footers.bound {
		t.Errorf("%d files, %d paths, %d bytes", n, len(s.footers.byPath), s.footers.bytes)
	}
	if len(all) != 10 {
		t.Errorf("%d files", len(all))
	}
	s.footers.clear()
	for _, f := range all[:4] {
		s.footers.put(f.file)
	}
	s.footers.get(found{path: all[0].path, info: all[0].info})
	s.footers.put(all[4].file)
	for i, f := range all[:5] {
		if known := s.footers.get(found{path: f.path, info: f.info}) != nil; known == (i == 1) {
			t.Errorf("%s: remembered %v", f.path, known)
		}
	}
	s.footers.bound = 1
	s.footers.put(all[5].file)
	if s.footers.recent.Len() != 0 || s.footers.bytes != 0 {
		t.Errorf("%d bytes are held over a bound of one", s.footers.bytes)
	}
}
