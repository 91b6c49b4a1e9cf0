package filestore_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/flightd/flightd/internal/arrowsize"
	"github.com/flightd/flightd/internal/fault"
	"github.com/flightd/flightd/joins"
	"github.com/flightd/flightd/stores"
)

// Columns that a file lacks, or in which it has nothing but nulls, are made up in the types of other files: in records that are
// not larger than others, however wide a null is.
func TestMadeUpColumnsAreReadWithinTheBudget(t *testing.T) {
	const rows = 5000
	stamp := clock(arrow.Microsecond, "UTC")
	for _, absent := range []bool{true, false} {
		for _, length := range []int32{4096, 1 << 20, 1 << 24} {
			root := t.TempDir()
			wide := arrow.FixedSizeListOf(length, i64)
			if length > 1<<20 { // longer ones are lists of any length
				wide = arrow.FixedSizeListOf(16, arrow.FixedSizeListOf(length/16, i64))
			}
			x := array.MakeArrayOfNull(memory.DefaultAllocator, wide, 0)
			keys := rec(t, col{"driver", i64, `[]`}, col{"ts", stamp, `[]`})
			fields := append(keys.Schema().Fields(), arrow.Field{Name: "x", Type: wide, Nullable: true})
			write(t, filepath.Join(root, "stats", "a.parquet"), array.NewRecord(arrow.NewSchema(fields, nil), append(slices.Clone(keys.Columns()), x), 0))

			numbers := array.NewInt64Builder(memory.DefaultAllocator)
			for i := range rows {
				numbers.Append(int64(i))
			}
			driver := numbers.NewArray()
			columns := []arrow.Array{driver, array.NewTimestampData(array.NewData(stamp, rows, driver.Data().Buffers(), nil, 0, 0))}
			fields = slices.Clone(fields[:2])
			if !absent {
				fields = append(fields, arrow.Field{Name: "x", Type: arrow.Null, Nullable: true})
				columns = append(columns, array.NewNull(rows))
			}
			write(t, filepath.Join(root, "stats", "b.parquet"), array.NewRecord(arrow.NewSchema(fields, nil), columns, rows))

			s := open(t, root)
			entities := stores.Rows{Schema: arrow.NewSchema(fields[:2], nil), Len: rows, Records: func(yield func(arrow.Record, error) bool) {
				yield(array.NewRecord(arrow.NewSchema(fields[:2], nil), columns[:2], rows), nil)
			}}
			v := &stores.FeatureView{Name: "v", Keys: []string{"driver"}, Timestamp: "ts", Store: s, Source: source(t, s, "stats")}
			for name, request := range map[string]stores.Request{
				"all": &stores.All{View: v}, "latest": &stores.Latest{View: v},
				"historical": &stores.Historical{Features: []stores.ViewFeatures{{View: v}}, Entities: &entities},
			} {
				name = fmt.Sprintf("%s of lists of %d, absent %v", name, length, absent)
				budget := &purse{size: 96 << 20}
				job, err := stores.Plan(t.Context(), request, stores.Options{Budget: budget, GatherBytes: 16 << 20})
				if err != nil {
					t.Fatal(err)
				}
				row, got := int64(length)*9, int64(0)
				for rec, e := range job.Records(t.Context()) {
					if err = e; err != nil {
						break
					}
					if size := arrowsize.Record(rec); size > 17<<20+row {
						t.Fatalf("%s: %d rows of %d MiB", name, rec.NumRows(), size>>20)
					}
					if got += rec.NumRows(); length > 4096 && got >= 20 {
						break
					}
				}
				if length == 1<<24 {
					if fault.KindOf(err) != fault.Exhausted {
						t.Errorf("%s: %v, want that a row takes too much", name, err)
					}
				} else if err != nil || got < 20 || length == 4096 && got != rows {
					t.Fatalf("%s: %d rows, %v", name, got, err)
				}
				if budget.held != 0 {
					t.Errorf("%s: %d bytes are not given back", name, budget.held)
				}
			}
		}
	}
}

// The names of folders are values of every row, and may be long.
func TestLongFolderNames(t *testing.T) {
	const rows = 65536
	root := t.TempDir()
	dir := root
	for i := range 10 {
		dir = filepath.Join(dir, fmt.Sprintf("p%d=%s", i, strings.Repeat("x", 200)))
	}
	write(t, filepath.Join(dir, "a.parquet"), array.NewRecord(arrow.NewSchema([]arrow.Field{{Name: "n", Type: i64, Nullable: true}}, nil),
		[]arrow.Array{array.MakeArrayOfNull(memory.DefaultAllocator, i64, rows)}, rows))
	s := open(t, root)
	table, err := s.(stores.TableStore).Table(t.Context(), source(t, s, "."))
	if err != nil {
		t.Fatal(err)
	}
	var sel joins.Selection
	for _, f := range table.Schema().Fields() {
		sel.Columns = append(sel.Columns, f.Name)
	}
	got := int64(0)
	for rec, err := range table.Read(t.Context(), 0, sel) {
		if err != nil {
			t.Fatal(err)
		}
		if size := arrowsize.Record(rec); size > 40<<20 {
			t.Fatalf("a record of %d MiB", size>>20)
		}
		got += rec.NumRows()
	}
	if got != rows {
		t.Errorf("%d rows of %d", got, rows)
	}
}
