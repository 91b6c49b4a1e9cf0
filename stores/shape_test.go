package stores_test

import (
	"bytes"
	"context"
	"iter"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/ipc"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/flightd/flightd/stores"
)

// largeType and plainType are the same columns in their large and their plain forms.
var (
	largeType = arrow.StructOf(
		arrow.Field{Name: "t", Type: arrow.BinaryTypes.LargeString, Nullable: true},
		arrow.Field{Name: "b", Type: arrow.BinaryTypes.LargeBinary, Nullable: true},
		arrow.Field{Name: "l", Type: arrow.LargeListOf(arrow.BinaryTypes.LargeString), Nullable: true},
		arrow.Field{Name: "ll", Type: arrow.ListOf(arrow.LargeListOf(arrow.PrimitiveTypes.Int32)), Nullable: true},
		arrow.Field{Name: "m", Type: arrow.MapOf(arrow.BinaryTypes.LargeString, arrow.BinaryTypes.LargeString), Nullable: true},
		arrow.Field{Name: "f", Type: arrow.FixedSizeListOf(2, arrow.BinaryTypes.LargeString), Nullable: true},
		arrow.Field{Name: "n", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
	)
	plainType = arrow.StructOf(
		arrow.Field{Name: "t", Type: arrow.BinaryTypes.String, Nullable: true},
		arrow.Field{Name: "b", Type: arrow.BinaryTypes.Binary, Nullable: true},
		arrow.Field{Name: "l", Type: arrow.ListOf(arrow.BinaryTypes.String), Nullable: true},
		arrow.Field{Name: "ll", Type: arrow.ListOf(arrow.ListOf(arrow.PrimitiveTypes.Int32)), Nullable: true},
		arrow.Field{Name: "m", Type: arrow.MapOf(arrow.BinaryTypes.String, arrow.BinaryTypes.String), Nullable: true},
		arrow.Field{Name: "f", Type: arrow.FixedSizeListOf(2, arrow.BinaryTypes.String), Nullable: true},
		arrow.Field{Name: "n", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
	)
)

// randomJSON is an array of rows of largeType.
func randomJSON(r *rand.Rand, rows int) string {
	word := func() string {
		if r.IntN(4) == 0 {
			return "null"
		}
		return `"` + strings.Repeat("é", r.IntN(4)) + `"`
	}
	list := func(n int, item func() string) string {
		items := make([]string, n)
		for i := range items {
			items[i] = item()
		}
		return "[" + strings.Join(items, ",") + "]"
	}
	orNull := func(s string) string {
		if r.IntN(5) == 0 {
			return "null"
		}
		return s
	}
	number := func() string { return orNull("7") }
	row := func() string {
		return orNull(`{"t": ` + word() + `, "b": ` + orNull(`"AAEC"`) + `, "l": ` + orNull(list(r.IntN(3), word)) +
			`, "ll": ` + orNull(list(r.IntN(3), func() string { return orNull(list(r.IntN(3), number)) })) +
			`, "m": ` + orNull(list(r.IntN(3), func() string { return `{"key": "k", "value": ` + word() + `}` })) +
			`, "f": ` + orNull(list(2, word)) + `, "n": ` + number() + `}`)
	}
	return list(rows, row)
}

func fromJSON(t *testing.T, typ arrow.DataType, text string) arrow.Array {
	t.Helper()
	a, _, err := array.FromJSON(memory.DefaultAllocator, typ, strings.NewReader(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return a
}

func jobOf(schema *arrow.Schema, records ...arrow.Record) *stores.RetrievalJob {
	return stores.NewJob(schema, func(context.Context) iter.Seq2[arrow.Record, error] {
		return func(yield func(arrow.Record, error) bool) {
			for _, rec := range records {
				if !yield(rec, nil) {
					return
				}
			}
		}
	})
}

// answer ranges over a job, and over its wire form: what cannot be written and read is no answer.
func answer(t *testing.T, j *stores.RetrievalJob) (records []arrow.Record) {
	t.Helper()
	var wire bytes.Buffer
	w := ipc.NewWriter(&wire, ipc.WithSchema(j.Schema()))
	for rec, err := range j.Records(context.Background()) {
		if err != nil {
			t.Fatal(err)
		}
		if !rec.Schema().Equal(j.Schema()) {
			t.Fatalf("a record of %v in an answer of %v", rec.Schema(), j.Schema())
		}
		if err := w.Write(rec); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := ipc.NewReader(&wire)
	if err != nil {
		t.Fatal(err)
	}
	for r.Next() {
		rec := r.Record()
		rec.Retain()
		records = append(records, rec)
	}
	if r.Err() != nil {
		t.Fatal(r.Err())
	}
	return records
}

// TestShapePlain: whatever is nested in whatever, and however it was cut, the values stay.
func TestShapePlain(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	for range 200 {
		rows := r.IntN(20)
		text := randomJSON(r, rows)
		large, want := fromJSON(t, largeType, text), fromJSON(t, plainType, text)
		lo := r.IntN(rows + 1)
		hi := lo + r.IntN(rows+1-lo)
		large, want = array.NewSlice(large, int64(lo), int64(hi)), array.NewSlice(want, int64(lo), int64(hi))
		schema := arrow.NewSchema([]arrow.Field{{Name: "x", Type: largeType, Nullable: true}}, nil)
		job, err := jobOf(schema, array.NewRecord(schema, []arrow.Array{large}, int64(hi-lo))).Shaped(stores.Shape{Plain: []string{"x"}})
		if err != nil {
			t.Fatal(err)
		}
		if !arrow.TypeEqual(job.Schema().Field(0).Type, plainType) {
			t.Fatalf("type %s", job.Schema().Field(0).Type)
		}
		got := answer(t, job)[0].Column(0)
		if !array.Equal(got, want) {
			t.Fatalf("seed %d, rows %d to %d of\n%s\n got %v\nwant %v", seed, lo, hi, text, got, want)
		}
	}
}

func TestShapeColumns(t *testing.T) {
	paris := &arrow.TimestampType{Unit: arrow.Millisecond, TimeZone: "Europe/Paris"}
	schema := arrow.NewSchema([]arrow.Field{
		{Name: "a", Type: arrow.FixedWidthTypes.Timestamp_us, Nullable: true},
		{Name: "b", Type: &arrow.TimestampType{Unit: arrow.Nanosecond}, Metadata: arrow.NewMetadata([]string{"k"}, []string{"v"})},
		{Name: "c", Type: paris}, {Name: "d", Type: paris}, {Name: "e", Type: arrow.BinaryTypes.LargeString},
	}, nil)
	at := time.Date(2026, 1, 1, 0, 0, 0, 5_000_000, time.UTC).UnixMilli()
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	for i := range 2 {
		b.Field(0).(*array.TimestampBuilder).Append(arrow.Timestamp(at * 1000))
		b.Field(1).(*array.TimestampBuilder).Append(arrow.Timestamp(at * 1000000))
		b.Field(2).(*array.TimestampBuilder).Append(arrow.Timestamp(at))
		b.Field(3).(*array.TimestampBuilder).Append(arrow.Timestamp(at))
		b.Field(4).(*array.LargeStringBuilder).Append(strings.Repeat("x", i))
	}
	rec := b.NewRecord()
	job, err := jobOf(schema, rec, rec.NewSlice(1, 2), rec.NewSlice(0, 0)).Shaped(stores.Shape{
		Columns: []string{"e", "b", "a", "d", "c"}, UTC: []string{"a", "b", "c", "e"}, Plain: []string{"a"}, Blank: "__dummy_id",
	})
	if err != nil {
		t.Fatal(err)
	}
	want := arrow.NewSchema([]arrow.Field{
		{Name: "e", Type: arrow.BinaryTypes.LargeString},
		{Name: "b", Type: &arrow.TimestampType{Unit: arrow.Nanosecond, TimeZone: "UTC"}, Metadata: arrow.NewMetadata([]string{"k"}, []string{"v"})},
		{Name: "a", Type: arrow.FixedWidthTypes.Timestamp_us, Nullable: true}, {Name: "d", Type: paris},
		{Name: "c", Type: &arrow.TimestampType{Unit: arrow.Millisecond, TimeZone: "UTC"}},
		{Name: "__dummy_id", Type: arrow.BinaryTypes.String, Nullable: true},
	}, nil)
	if !job.Schema().Equal(want) {
		t.Errorf("got %v\nwant %v", job.Schema(), want)
	}
	records := answer(t, job)
	if len(records) != 3 || records[0].NumRows() != 2 || records[1].NumRows() != 1 || records[2].NumRows() != 0 {
		t.Fatalf("records %v", records)
	}
	for i, want := range []string{`["" "x"]`, `[1767225600005000000 1767225600005000000]`, `[1767225600005000 1767225600005000]`,
		`[1767225600005 1767225600005]`, `[1767225600005 1767225600005]`, `["" ""]`} {
		got := records[0].Column(i)
		if ts, ok := got.(*array.Timestamp); ok {
			got = array.NewInt64Data(array.NewData(arrow.PrimitiveTypes.Int64, ts.Len(), ts.Data().Buffers(), nil, 0, ts.Data().Offset()))
		}
		if got.String() != want {
			t.Errorf("column %s: %v, want %s", records[0].ColumnName(i), got, want)
		}
	}
}

func TestShapeRefused(t *testing.T) {
	schema := arrow.NewSchema([]arrow.Field{{Name: "a", Type: arrow.PrimitiveTypes.Int8}, {Name: "__dummy_id", Type: arrow.BinaryTypes.String}}, nil)
	for want, shape := range map[string]stores.Shape{
		`has no column "c"`:       {Columns: []string{"a", "__dummy_id", "c"}},
		`names 1 of 2 columns`:    {Columns: []string{"a"}},
		`a column "__dummy_id"`:   {Blank: "__dummy_id"},
		`has no column "missing"`: {Columns: []string{"missing"}},
	} {
		if _, err := jobOf(schema).Shaped(shape); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %s", shape, err, want)
		}
	}
}
