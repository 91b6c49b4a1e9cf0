package filestore

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow/array"

	"github.com/flightd/flightd/joins"
	"github.com/flightd/flightd/stores"
)

// manyParts is a folder with so many parts of a few rows, none of them young.
func manyParts(t *testing.T, n int) (root string, s *Store) {
	t.Helper()
	root = before(t)
	s = tapped(t, root, &tap{quick: true})
	for i := 1; i <= n; i++ {
		if _, err := writeTo(t, s, folder, i); err != nil {
			t.Fatal(err)
		}
	}
	age(t, root)
	s = tapped(t, root, &tap{quick: true})
	s.residents = newResidents(residentBytes) // its own
	return root, s
}

// age makes the times of all files of a folder older than those that may change unseen.
func age(t *testing.T, root string) {
	t.Helper()
	old := settled
	settled = 0
	t.Cleanup(func() { settled = old })
	past := time.Now().Add(-time.Minute)
	for _, name := range filesIn(t, root) {
		if err := os.Chtimes(name, past, past); err != nil {
			t.Fatal(err)
		}
	}
}

func opened(t *testing.T, s *Store) joins.Table {
	t.Helper()
	table, err := s.Table(t.Context(), source{path: folder})
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func valuesOf(t *testing.T, table joins.Table) (all []int64) {
	t.Helper()
	for part := range table.Parts() {
		for rec, err := range table.Read(t.Context(), part, stores.Selection{Columns: []string{"n"}}) {
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, rec.Column(0).(*array.Int64).Int64Values()...)
		}
	}
	return all
}

// TestBundles reads a folder of many small parts with them put together: the same rows, few parts, and nothing of the files
// the second time. A file that has been changed is read anew.
func TestBundles(t *testing.T) {
	const n = 200
	root, s := manyParts(t, n)
	want := values(t, s)
	table := opened(t, s)
	parts := table.Parts()
	if most := (n+1)/bundling.files + 1; len(parts) > most {
		t.Errorf("%d parts, at most %d were expected", len(parts), most)
	}
	files, rows := 0, int64(0)
	for _, p := range parts {
		files, rows = files+p.Files, rows+p.Rows
	}
	if files != n+1 || rows != int64(len(want)) {
		t.Errorf("the parts have %d files and %d rows, want %d and %d", files, rows, n+1, len(want))
	}
	if have := valuesOf(t, table); !slices.Equal(have, want) {
		t.Errorf("%v\nwant %v", have, want)
	}
	if s.residents.bytes == 0 || len(s.residents.first) != len(parts) {
		t.Errorf("%d bytes of %d bundles are kept", s.residents.bytes, len(s.residents.first))
	}
	hidden := filepath.Join(root, "elsewhere")
	if err := os.Rename(filepath.Join(root, folder), hidden); err != nil { // whoever opens a file now fails
		t.Fatal(err)
	}
	if have := valuesOf(t, table); !slices.Equal(have, want) {
		t.Errorf("again: %v\nwant %v", have, want)
	}
	if err := os.Rename(hidden, filepath.Join(root, folder)); err != nil {
		t.Fatal(err)
	}

	content, err := os.ReadFile(filepath.Join(root, "file.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	changed := filesIn(t, root)[100]
	if err := os.WriteFile(changed, content, 0o644); err != nil {
		t.Fatal(err)
	}
	fresh := tapped(t, root, &tap{quick: true})
	if have, want := valuesOf(t, opened(t, s)), values(t, fresh); !slices.Equal(have, want) {
		t.Errorf("after a change: %v\nwant %v", have, want)
	}
}

// TestBundlesAreBounded: what does not fit is not kept, and read all the same; what was not used for long goes.
func TestBundlesAreBounded(t *testing.T) {
	_, s := manyParts(t, 100)
	want := values(t, s)
	s.residents.bound = 100
	table := opened(t, s)
	for range 2 {
		if have := valuesOf(t, table); !slices.Equal(have, want) {
			t.Errorf("%v\nwant %v", have, want)
		}
	}
	if len(s.residents.first) != 0 {
		t.Errorf("%d bundles are kept beyond the bound", len(s.residents.first))
	}
	s.residents.bound = residentBytes
	valuesOf(t, table)
	bundles := len(s.residents.first)
	s.residents.bound = s.residents.bytes
	if _, err := s.Append(t.Context(), source{path: "other"}, "id", inputOfWrite(1)); err != nil {
		t.Fatal(err)
	}
	defer Bundled(1)()
	other, err := s.Table(t.Context(), source{path: "other"})
	if err != nil {
		t.Fatal(err)
	}
	valuesOf(t, other)
	if len(s.residents.first) != bundles {
		t.Errorf("%d bundles are kept of %d that are in use", len(s.residents.first), bundles)
	}
	last := s.residents.recent.Back().Value.(*resident)
	last.used = last.used.Add(-2 * residentFor)
	valuesOf(t, other)
	if s.residents.bytes > s.residents.bound || s.residents.first[last.files[0]] != nil || len(s.residents.first) != bundles {
		t.Errorf("%d bytes of %d are kept, of %d bundles, with one that was not used for long", s.residents.bytes, s.residents.bound, len(s.residents.first))
	}
}

// TestGatherFromBundles compares rows by position with those of the parts one by one.
func TestGatherFromBundles(t *testing.T) {
	_, s := manyParts(t, 150)
	all := values(t, s)
	table := opened(t, s).(joins.Gatherer)
	rng := rand.New(rand.NewPCG(1, 2))
	for _, young := range []bool{false, true} {
		if young {
			settled = time.Hour
		}
		first := 0
		for part, p := range table.Parts() {
			var rows []int64
			var want []int64
			for row := range p.Rows {
				if rng.IntN(3) == 0 {
					rows, want = append(rows, row), append(want, all[first+int(row)])
				}
			}
			first += int(p.Rows)
			rec, err := table.Gather(t.Context(), part, rows, []string{"n"})
			if err != nil {
				t.Fatal(err)
			}
			if have := rec.Column(0).(*array.Int64).Int64Values(); !slices.Equal(have, want) {
				t.Errorf("young %v, part %d: %v, want %v", young, part, have, want)
			}
			rec.Release()
		}
		if _, err := table.Gather(t.Context(), 0, []int64{0}, []string{"nothing"}); err == nil {
			t.Error("a column that is not there was found")
		}
	}
}
