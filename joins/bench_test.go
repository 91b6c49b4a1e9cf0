package joins_test

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/flightd/flightd/joins"
)

// perRow reports what one of the rows costs that each round works on.
func perRow(b *testing.B, rows int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(rows), "ns/row")
}

// streamedTable lends slices of its rows, as many at a time as a reader of files does.
type streamedTable struct{ gatherTable }

func (t streamedTable) Read(ctx context.Context, part int, sel joins.Selection) iter.Seq2[arrow.Record, error] {
	return t.ReadRows(ctx, part, 0, t.parts[part].NumRows(), sel)
}

func (t streamedTable) ReadRows(_ context.Context, part int, lo, hi int64, sel joins.Selection) iter.Seq2[arrow.Record, error] {
	return func(yield func(arrow.Record, error) bool) {
		all := t.project(part, sel.Columns)
		const batch = 8 << 10
		for ; lo < hi; lo += batch {
			rec := all.NewSlice(lo, min(lo+batch, hi))
			more := yield(rec, nil)
			rec.Release()
			if !more {
				return
			}
		}
	}
}

// keyForms are the forms of keys that the engine has code of its own for: columns, and how they are made of a number.
var keyForms = []struct {
	name    string
	columns []arrow.DataType
	add     func(columns []array.Builder, key int64)
}{
	{"int", []arrow.DataType{arrow.PrimitiveTypes.Int64}, func(c []array.Builder, key int64) { c[0].(*array.Int64Builder).Append(key) }},
	{"twoInts", []arrow.DataType{arrow.PrimitiveTypes.Int64, arrow.PrimitiveTypes.Int64}, func(c []array.Builder, key int64) {
		c[0].(*array.Int64Builder).Append(key / 1000)
		c[1].(*array.Int64Builder).Append(key % 1000)
	}},
	{"text", []arrow.DataType{arrow.BinaryTypes.String}, func(c []array.Builder, key int64) { c[0].(*array.StringBuilder).Append(fmt.Sprintf("user_%08d", key)) }},
}

// BenchmarkMatch streams a million feature rows past an index of entity rows that are few, or enough to be cut into partitions.
// Both have 100,000 keys and the times of a month in no order. Building the index is included, features are not.
func BenchmarkMatch(b *testing.B) {
	const keys, history, month = 100_000, 1 << 20, 30 * 86_400_000_000
	instant := &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}
	for _, form := range keyForms {
		var fields []arrow.Field
		var names []joins.Key
		for i, t := range form.columns {
			name := fmt.Sprint("key", i)
			fields = append(fields, arrow.Field{Name: name, Type: t, Nullable: true})
			names = append(names, joins.Key{Entity: name, Source: name})
		}
		rows := func(n int, times ...string) arrow.Record {
			rng := rand.New(rand.NewPCG(1, uint64(n)))
			fields := fields
			for _, name := range times {
				fields = append(fields[:len(fields):len(fields)], arrow.Field{Name: name, Type: instant, Nullable: true})
			}
			rb := array.NewRecordBuilder(memory.DefaultAllocator, arrow.NewSchema(fields, nil))
			for range n {
				form.add(rb.Fields(), rng.Int64N(keys))
				for i := range times {
					rb.Field(len(form.columns) + i).(*array.TimestampBuilder).Append(arrow.Timestamp(rng.Int64N(month)))
				}
			}
			return rb.NewRecord()
		}
		features := rows(history, "event_timestamp", "created")
		table := streamedTable{gatherTable{&partsTable{schema: features.Schema(), parts: []arrow.Record{features}}}}
		for _, index := range []struct {
			name string
			rows int
		}{{"whole", 1000}, {"partitioned", 1 << 16}} {
			entities := rows(index.rows, "event_timestamp")
			for kind, created := range map[string]string{"": "", "Created": "created"} {
				b.Run(form.name+kind+"/"+index.name, func(b *testing.B) {
					b.ReportAllocs()
					view := joins.View{Name: "v", Keys: names, EventTime: "event_timestamp", Created: created, Table: table}
					e := joins.Entities{Schema: entities.Schema(), Records: []arrow.Record{entities}, Time: "event_timestamp"}
					var trace joins.Trace
					for b.Loop() {
						trace = joins.Trace{}
						for _, err := range joins.PointInTime(b.Context(), e, []joins.View{view}, joins.Options{Threads: 1, Trace: &trace}) {
							if err != nil {
								b.Fatal(err)
							}
						}
					}
					if whole := strings.Contains(trace.Plan[0], " 1 partition,"); whole != (index.name == "whole") || trace.RowsRead != history {
						b.Fatalf("this is not what it is called: %s", trace.Plan)
					}
					perRow(b, history)
				})
			}
		}
	}
}

// BenchmarkTake puts rows of an answer together: of eight arrays, in no order, a tenth of them nulls where there are some.
func BenchmarkTake(b *testing.B) {
	const chunks, length, rows = 8, 16 << 10, 64 << 10
	i64 := arrow.PrimitiveTypes.Int64
	dictionary := &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int32, ValueType: arrow.BinaryTypes.String}
	rng := rand.New(rand.NewPCG(1, 2))
	refs := make([]joins.Ref, rows)
	for i := range refs {
		refs[i] = joins.Ref{Chunk: rng.Int32N(chunks), Row: rng.Int32N(length)}
	}
	for _, c := range []struct {
		name  string
		typ   arrow.DataType
		value func(i int) string // in JSON
		nulls bool
	}{
		{"double", arrow.PrimitiveTypes.Float64, func(i int) string { return fmt.Sprint(float64(i) / 7) }, false},
		{"doubleNulls", arrow.PrimitiveTypes.Float64, func(i int) string { return fmt.Sprint(float64(i) / 7) }, true},
		{"int32", arrow.PrimitiveTypes.Int32, func(i int) string { return fmt.Sprint(i) }, false},
		{"bool", arrow.FixedWidthTypes.Boolean, func(i int) string { return fmt.Sprint(i%3 == 0) }, false},
		{"text", arrow.BinaryTypes.String, func(i int) string { return fmt.Sprintf(`"user_%08d"`, i) }, false},
		{"dictionary", dictionary, func(i int) string { return fmt.Sprintf(`"user_%08d"`, i%1000) }, false},
		{"list", arrow.ListOf(i64), func(i int) string { return [...]string{"[]", "[1]", "[2, 3, 4]"}[i%3] }, false},
		{"embedding", arrow.FixedSizeListOf(16, arrow.PrimitiveTypes.Float32), func(int) string { return "[0" + strings.Repeat(", 1", 15) + "]" }, false},
	} {
		arrays := make([]arrow.Array, chunks)
		for i := range arrays {
			values := make([]string, length)
			for j := range values {
				if values[j] = c.value(rng.IntN(length)); c.nulls && rng.IntN(10) == 0 {
					values[j] = "null"
				}
			}
			var err error
			if arrays[i], _, err = array.FromJSON(memory.DefaultAllocator, c.typ, strings.NewReader("["+strings.Join(values, ",")+"]")); err != nil {
				b.Fatal(err)
			}
		}
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				taken, err := joins.Take(c.typ, arrays, refs)
				if err != nil {
					b.Fatal(err)
				}
				taken.Release()
			}
			perRow(b, rows)
		})
	}
}
