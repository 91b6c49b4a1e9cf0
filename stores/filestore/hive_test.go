package filestore_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/flightd/flightd/joins"
)

// Folders called key=value are columns after the file's own (semantics P86). Every file has the row n=1.
func TestHivePartitions(t *testing.T) {
	for _, c := range []struct {
		name, source string
		files        []string
		schema       string
		rows         []string
	}{
		{"integers", "f", []string{"year=2024/month=01", "year=2024/month=12", "year=-5/month=0"},
			"n:int64, year:int64, month:int64", []string{"1 -5 0", "1 2024 1", "1 2024 12"}},
		{"null", "f", []string{"year=2024", "year=__HIVE_DEFAULT_PARTITION__"}, "n:int64, year:int64", []string{"1 2024", "1 (null)"}},
		{"only null", "f", []string{"k=__HIVE_DEFAULT_PARTITION__"}, "n:int64, k:utf8", []string{"1 (null)"}},
		{"dates", "f", []string{"day=2024-02-29", "day=1969-12-31"}, "n:int64, day:date32", []string{"1 1969-12-31", "1 2024-02-29"}},
		{"not all dates", "f", []string{"day=2024-02-29", "day=2023-02-29"}, "n:int64, day:utf8", []string{"1 2023-02-29", "1 2024-02-29"}},
		{"dates and integers", "f", []string{"day=2024-02-29", "day=7"}, "n:int64, day:utf8", []string{"1 2024-02-29", "1 7"}},
		{"too large", "f", []string{"k=9223372036854775807", "k=9223372036854775808"},
			"n:int64, k:utf8", []string{"1 9223372036854775807", "1 9223372036854775808"}},
		{"not integers", "f", []string{"k=1", "k=1.0", "k=+1", "k="}, "n:int64, k:utf8", []string{"1 ", "1 +1", "1 1", "1 1.0"}},
		{"encoded", "f", []string{"a%20b=x%2Fy%3D%C3%A9", "a%20b=100%", "a%20b=1+1"},
			"n:int64, a b:utf8", []string{"1 1+1", "1 100%", "1 x/y=é"}},
		{"some folders", "f", []string{"k=1/j=2", "k=3", "other"}, "n:int64, k:int64, j:int64", []string{"1 1 2", "1 3 (null)", "1 (null) (null)"}},
		{"the file's column wins", "f", []string{"n=7/k=1"}, "n:int64, k:int64", []string{"1 1"}},
		{"hidden", "f", []string{"k=1", "_k=2", ".k=3"}, "n:int64, k:int64", []string{"1 1"}},
		{"no key", "f", []string{"=1"}, "n:int64", []string{"1"}},
		{"inside the source only", "f/k=1", []string{"k=1/j=2", "k=2/j=3"}, "n:int64, j:int64", []string{"1 2"}},
		{"glob", "f/k=*/*.parquet", []string{"k=1", "k=2", "j=3"}, "n:int64, k:int64", []string{"1 1", "1 2"}},
		{"glob below", "f/k=1/j=*/*", []string{"k=1/j=2", "k=2/j=3"}, "n:int64, j:int64", []string{"1 2"}},
		{"one file", "f/k=1/a.parquet", []string{"k=1"}, "n:int64", []string{"1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			root := t.TempDir()
			for _, folder := range c.files {
				write(t, filepath.Join(root, "f", folder, "a.parquet"), rec(t, col{"n", i64, `[1]`}))
			}
			schema, rows, err := scanText(t, open(t, root), c.source)
			slices.Sort(rows)
			slices.Sort(c.rows)
			if err != nil || schema != c.schema || !slices.Equal(rows, c.rows) {
				t.Errorf("%v\n  got  %s: %q\n  want %s: %q", err, schema, rows, c.schema, c.rows)
			}
		})
	}
}

// A part's bounds on a partition column are its value, so whole folders can be left out unopened.
func TestPartitionBounds(t *testing.T) {
	root := t.TempDir()
	for _, folder := range []string{"day=2024-01-02/k=7/s=a", "day=__HIVE_DEFAULT_PARTITION__/k=8/s=b"} {
		write(t, filepath.Join(root, "f", folder, "a.parquet"), rec(t, col{"n", i64, `[1, 2]`}))
	}
	table := openTable(t, open(t, root), "f")
	for _, c := range []struct {
		part   int
		column string
		lo, hi int64
		ok     bool
	}{
		{0, "day", 19724, 19724, true}, {0, "k", 7, 7, true}, {0, "s", 0, 0, false}, {0, "n", 1, 2, true}, {0, "no such", 0, 0, false},
		{1, "day", 1, 0, true}, {1, "k", 8, 8, true},
	} {
		lo, hi, ok := table.(joins.Ranger).Range(c.part, c.column)
		if ok != c.ok || ok && (lo != c.lo || hi != c.hi) {
			t.Errorf("part %d, %s: [%d, %d] %v, want [%d, %d] %v", c.part, c.column, lo, hi, ok, c.lo, c.hi, c.ok)
		}
	}
}

// Columns that no file holds are read, and gathered, without a column of a file beside them.
func TestPartitionColumnsAlone(t *testing.T) {
	root := t.TempDir()
	const rows = 150_000 // more than one record
	write(t, filepath.Join(root, "f", "k=7", "a.parquet"), rec(t, col{"n", i64, "[1" + strings.Repeat(",1", rows-1) + "]"}))
	write(t, filepath.Join(root, "f", "k=8", "b.parquet"), rec(t, col{"n", i64, "[1]"}, col{"m", text, `["x"]`}))
	table := openTable(t, open(t, root), "f")
	for _, columns := range [][]string{{"k"}, {"m", "k"}, {"k", "k"}, {}} {
		var n int64
		for r, err := range table.Read(t.Context(), 0, joins.Selection{Columns: columns}) {
			if err != nil {
				t.Fatal(err)
			}
			if n += r.NumRows(); int(r.NumCols()) != len(columns) {
				t.Errorf("%d columns, want %q", r.NumCols(), columns)
			}
		}
		if n != rows {
			t.Errorf("%q: %d rows", columns, n)
		}
		r, err := table.(joins.Gatherer).Gather(t.Context(), 0, []int64{5, 9}, columns)
		if err != nil || r.NumRows() != 2 {
			t.Errorf("gather %q: %v, %v", columns, r, err)
		}
	}
}
