package filestore_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/flightd/flightd/joins"
	"github.com/flightd/flightd/stores"
)

func openTable(t *testing.T, s stores.OfflineStore, text string) joins.Table {
	t.Helper()
	src, err := s.Source(text)
	if err != nil {
		t.Fatal(err)
	}
	table, err := s.(stores.TableStore).Table(t.Context(), src)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// readTable reads the first column of all parts as text.
func readTable(t *testing.T, table joins.Table) (rows []string, err error) {
	for part := range table.Parts() {
		for r, err := range table.Read(t.Context(), part, joins.Selection{Columns: []string{table.Schema().Field(0).Name}}) {
			if err != nil {
				return rows, err
			}
			for i := range int(r.NumRows()) {
				rows = append(rows, r.Column(0).ValueStr(i))
			}
		}
	}
	return rows, nil
}

func numbers(t *testing.T, values string) arrow.Record {
	return rec(t, col{"n", arrow.PrimitiveTypes.Int64, values})
}

// Whatever happens to a file is seen by the next request, though footers are remembered.
func TestNextRequestSeesChanges(t *testing.T) {
	root := t.TempDir()
	path := filepath.Join(root, "f", "a.parquet")
	write(t, path, numbers(t, `[1]`))
	s := open(t, root)
	expect := func(what string, want ...string) {
		t.Helper()
		for range 2 { // the second time from memory
			if _, rows, err := scanText(t, s, "f"); err != nil || !slices.Equal(rows, want) {
				t.Errorf("%s: %q %v, want %q", what, rows, err, want)
			}
		}
	}
	expect("first", "1")
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}

	write(t, path+".new", numbers(t, `[2]`)) // of the same size and, below, the same time
	if err := errors.Join(os.Rename(path+".new", path), os.Chtimes(path, info.ModTime(), info.ModTime())); err != nil {
		t.Fatal(err)
	}
	expect("replaced", "2")

	write(t, path, numbers(t, `[1, 2, 3]`)) // in place
	expect("rewritten", "1", "2", "3")

	write(t, filepath.Join(root, "f", "b.parquet"), numbers(t, `[4]`))
	expect("a file more", "1", "2", "3", "4")

	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	expect("a file less", "4")

	if err := os.Truncate(filepath.Join(root, "f", "b.parquet"), 20); err != nil {
		t.Fatal(err)
	}
	if _, _, err := scanText(t, s, "f"); !errors.Is(err, stores.ErrDataLoss) || !strings.Contains(err.Error(), "f/b.parquet") {
		t.Errorf("truncated: %v", err)
	}

	if err := os.RemoveAll(filepath.Join(root, "f")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := scanText(t, s, "f"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("removed: %v", err)
	}

	other := t.TempDir()
	write(t, filepath.Join(other, "f", "a.parquet"), numbers(t, `[7]`))
	if err := errors.Join(os.Rename(root, root+".old"), os.Rename(other, root)); err != nil {
		t.Fatal(err)
	}
	expect("another root", "7")
}

// A file that changes between the listing and the reading is an error that says so, never other rows.
func TestChangedAfterListing(t *testing.T) {
	for name, change := range map[string]func(path string) error{
		"removed":   os.Remove,
		"renamed":   func(path string) error { return os.Rename(path, path+".old") },
		"truncated": func(path string) error { return os.Truncate(path, 40) },
		"grown":     func(path string) error { return appendTo(path, "more") },
		"replaced": func(path string) error {
			return errors.Join(copyFile(path, path+".new"), os.Rename(path+".new", path))
		},
		"a folder":  func(path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o755)) },
		"no folder": func(path string) error { return os.RemoveAll(filepath.Dir(path)) },
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			path := filepath.Join(root, "f", "a.parquet")
			write(t, path, numbers(t, `[1, 2, 3]`))
			table := openTable(t, open(t, root), "f")
			if err := change(path); err != nil {
				t.Fatal(err)
			}
			_, err := readTable(t, table)
			_, gatherErr := table.(joins.Gatherer).Gather(t.Context(), 0, []int64{1}, []string{"n"})
			for _, err := range []error{err, gatherErr} {
				if !errors.Is(err, stores.ErrPrecondition) || !strings.Contains(err.Error(), `"f/a.parquet"`) || !strings.Contains(err.Error(), "retry") {
					t.Errorf("got %v", err)
				}
			}
		})
	}
}

// A file that is overwritten while it is read gives its rows or an error.
func TestOverwrittenWhileReading(t *testing.T) {
	root := t.TempDir()
	path := filepath.Join(root, "a.parquet")
	one, two := numbers(t, "[1"+strings.Repeat(", 1", 200_000)+"]"), numbers(t, "[2"+strings.Repeat(", 2", 200_000)+"]")
	write(t, path, one)
	table := openTable(t, open(t, root), "a.parquet")
	var sum, n int64
	var last error
	for r, err := range table.Read(t.Context(), 0, joins.Selection{Columns: []string{"n"}}) {
		if last = err; err != nil {
			break
		}
		for i := range int(r.NumRows()) {
			if r.Column(0).ValueStr(i) != "1" {
				t.Fatalf("row %d is of the other file", n)
			}
			sum, n = sum+1, n+1
		}
		write(t, path, two)
	}
	if n < one.NumRows() && !errors.Is(last, stores.ErrPrecondition) {
		t.Errorf("%d of %d rows, then %v", n, one.NumRows(), last)
	}
}

// Thousands of files are read with a few descriptors, and none stays open.
func TestFewDescriptors(t *testing.T) {
	root := t.TempDir()
	const files = 2000
	write(t, filepath.Join(root, "first.parquet"), numbers(t, `[1]`))
	for i := range files {
		if err := copyFile(filepath.Join(root, "first.parquet"), filepath.Join(root, "f", fmt.Sprintf("%d.parquet", i))); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, root)
	before := descriptors(t)
	table := openTable(t, s, "f")
	rows, err := readTable(t, table)
	if err != nil || len(rows) != files {
		t.Errorf("%d rows, %v", len(rows), err)
	}
	if after := descriptors(t); after > before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
	n := 0
	for range table.Read(t.Context(), 0, joins.Selection{Columns: []string{"n"}}) {
		n = descriptors(t) - before
		break
	}
	if n > 1 {
		t.Errorf("%d descriptors to read one part", n)
	}
}

func descriptors(t *testing.T) int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("descriptors cannot be counted here")
	}
	return len(entries)
}

func copyFile(from, to string) error {
	bytes, err := os.ReadFile(from)
	return errors.Join(err, os.MkdirAll(filepath.Dir(to), 0o755), os.WriteFile(to, bytes, 0o600))
}

func appendTo(path, text string) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}
