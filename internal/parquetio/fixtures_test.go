package parquetio_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/ipc"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/flightd/flightd/internal/parquetio"
)

const fixtures = "../../testdata/parquet"

func open(t testing.TB, path string) *parquetio.File {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := parquetio.Open(bytes.NewReader(data), int64(len(data)), filepath.Base(path))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// expected is what pyarrow reads from a fixture, one array for each column.
func expected(t *testing.T, path string) (*arrow.Schema, []arrow.Array) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	r, err := ipc.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	chunks := make([][]arrow.Array, len(r.Schema().Fields()))
	for r.Next() {
		for i, c := range r.Record().Columns() {
			c.Retain()
			chunks[i] = append(chunks[i], c)
		}
	}
	return r.Schema(), join(t, r.Schema(), chunks)
}

func join(t *testing.T, schema *arrow.Schema, chunks [][]arrow.Array) []arrow.Array {
	t.Helper()
	columns := make([]arrow.Array, len(chunks))
	for i, of := range chunks {
		if len(of) == 0 {
			columns[i] = array.NewBuilder(memory.DefaultAllocator, schema.Field(i).Type).NewArray()
			continue
		}
		var err error
		if columns[i], err = array.Concatenate(of, memory.DefaultAllocator); err != nil {
			t.Fatal(err)
		}
	}
	return columns
}

// TestFixtures reads the files of many writers, whole and row by row, and compares with what pyarrow reads.
func TestFixtures(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(fixtures, "*.parquet"))
	if err != nil || len(files) < 100 {
		t.Fatalf("%d fixtures: %v", len(files), err)
	}
	for _, path := range files {
		t.Run(filepath.Base(path), func(t *testing.T) {
			f := open(t, path)
			schema, want := expected(t, strings.TrimSuffix(path, ".parquet")+".arrows")
			if len(f.Schema().Fields()) != len(schema.Fields()) {
				t.Fatalf("%d columns, want %d", len(f.Schema().Fields()), len(schema.Fields()))
			}
			for i, w := range schema.Fields() {
				if have := f.Schema().Field(i); have.Name != w.Name || have.Type.String() != w.Type.String() {
					t.Errorf("column %d is %s %s, want %s %s", i, have.Name, have.Type, w.Name, w.Type)
				}
			}
			readsLike(t, f, want)
			gathersLike(t, f, want)
			gathersLike(t, openMapped(t, path), want)
		})
	}
}

// readsLike reads every column alone, and all of them together.
func readsLike(t *testing.T, f *parquetio.File, want []arrow.Array) {
	t.Helper()
	all := make([]int, len(want))
	for c := range want {
		all[c] = c
		readColumns(t, f, want, []int{c})
	}
	readColumns(t, f, want, all)
}

func readColumns(t *testing.T, f *parquetio.File, want []arrow.Array, columns []int) {
	t.Helper()
	at := int64(0)
	for rg := range f.RowGroups() {
		for rec, err := range f.Read(t.Context(), rg, columns) {
			if err != nil {
				t.Fatal(err)
			}
			for i, c := range columns {
				same(t, f.Schema().Field(c).Name, rec.Column(i), array.NewSlice(want[c], at, at+rec.NumRows()))
			}
			at += rec.NumRows()
		}
	}
	first := int64(0)
	for rg := range f.RowGroups() {
		n := f.RowGroupRows(rg)
		for _, cut := range [][2]int64{{0, n / 2}, {1, n}, {n / 3, n - n/3}, {n - 1, n}} {
			if cut[0] >= cut[1] || cut[0] < 0 {
				continue
			}
			row := cut[0]
			for rec, err := range f.ReadRows(t.Context(), rg, row, cut[1], columns) {
				if err != nil {
					t.Fatal(err)
				}
				for i, c := range columns {
					same(t, fmt.Sprintf("%s from row %d", f.Schema().Field(c).Name, cut[0]), rec.Column(i),
						array.NewSlice(want[c], first+row, first+row+rec.NumRows()))
				}
				row += rec.NumRows()
			}
			if row != cut[1] {
				t.Errorf("columns %v: rows from %d to %d end at %d", columns, cut[0], cut[1], row)
			}
		}
		first += n
	}
	if at != f.NumRows() || len(columns) > 0 && at != int64(want[columns[0]].Len()) {
		t.Errorf("columns %v: %d rows of %d", columns, at, f.NumRows())
	}
}

func gathersLike(t *testing.T, f *parquetio.File, want []arrow.Array) {
	rng := rand.New(rand.NewPCG(1, 2))
	for c := range want {
		first := int64(0)
		for rg := range f.RowGroups() {
			for _, share := range []int{2, 40, 40, 1000, 1000} {
				var rows []int64
				for row := range f.RowGroupRows(rg) {
					if rng.IntN(1+rng.IntN(share)) == 0 {
						rows = append(rows, row)
					}
				}
				rec, err := f.Gather(t.Context(), rg, rows, []int{c})
				if err != nil {
					t.Fatal(err)
				}
				for i, row := range rows {
					got := array.NewSlice(rec.Column(0), int64(i), int64(i)+1)
					same(t, f.Schema().Field(c).Name+" gathered", got, array.NewSlice(want[c], first+row, first+row+1))
				}
			}
			first += f.RowGroupRows(rg)
		}
	}
}

// same compares types, nulls and values; dictionaries do not come.
func same(t *testing.T, name string, got, want arrow.Array) {
	t.Helper()
	if got.NullN() != want.NullN() || got.Len() != want.Len() {
		t.Fatalf("%s: %d rows with %d nulls, want %d with %d", name, got.Len(), got.NullN(), want.Len(), want.NullN())
	}
	for i := range want.Len() {
		if got.ValueStr(i) != want.ValueStr(i) || got.IsNull(i) != want.IsNull(i) {
			t.Fatalf("%s: row %d is %s, want %s", name, i, got.ValueStr(i), want.ValueStr(i))
		}
	}
	if want.DataType().ID() != arrow.FLOAT16 && !array.ApproxEqual(got, want, array.WithNaNsEqual(true), array.WithAbsTolerance(0)) { // v15 has no equal NaN of 16 bits
		t.Fatalf("%s: %s, want %s", name, got, want)
	}
}
