package parquetio_test

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/flightd/flightd/internal/parquetio"
)

// A time comes back as what it was: naive, in UTC, or in a zone. Parquet has no seconds, so they come back as milliseconds.
func TestTimesKeepTheirZone(t *testing.T) {
	ts := func(unit arrow.TimeUnit, zone string) arrow.DataType {
		return &arrow.TimestampType{Unit: unit, TimeZone: zone}
	}
	for _, c := range []struct{ typ, want arrow.DataType }{
		{ts(arrow.Second, ""), ts(arrow.Millisecond, "")},
		{ts(arrow.Millisecond, ""), nil},
		{ts(arrow.Microsecond, ""), nil},
		{ts(arrow.Nanosecond, ""), nil},
		{ts(arrow.Nanosecond, "UTC"), nil},
		{ts(arrow.Microsecond, "Europe/Paris"), nil},
	} {
		if c.want == nil {
			c.want = c.typ
		}
		const text = `["2024-01-31 12:00:00", null, "1969-12-31 23:59:59"]`
		in := fromJSON(t, c.typ, text)
		out := throughFile(t, in)
		if want := fromJSON(t, c.want, text); !arrow.TypeEqual(out.DataType(), c.want) || !array.Equal(out, want) {
			t.Errorf("%s: came back as %s %s", c.typ, out.DataType(), out)
		}
	}
}

func TestTimesInsideOthers(t *testing.T) {
	naive := &arrow.TimestampType{Unit: arrow.Microsecond}
	pair := arrow.StructOf(arrow.Field{Name: "at", Type: naive, Nullable: true}, arrow.Field{Name: "n", Type: arrow.PrimitiveTypes.Int64, Nullable: true})
	for _, c := range []struct {
		typ  arrow.DataType
		text string
	}{
		{arrow.ListOf(naive), `[["2024-01-31 12:00:00", null], null, []]`},
		{pair, `[{"at": "2024-01-31 12:00:00", "n": 1}, null, {"at": null, "n": 2}]`},
		{arrow.MapOf(arrow.BinaryTypes.String, naive), `[[{"key": "a", "value": "2024-01-31 12:00:00"}], []]`},
	} {
		in := fromJSON(t, c.typ, c.text)
		if out := throughFile(t, in); !array.Equal(in, out) {
			t.Errorf("%s: came back as %s %s", in, out.DataType(), out)
		}
	}
}

func fromJSON(t *testing.T, typ arrow.DataType, text string) arrow.Array {
	t.Helper()
	a, _, err := array.FromJSON(memory.DefaultAllocator, typ, strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// throughFile writes one column, twice to have more than one batch, and reads the first copy back.
func throughFile(t *testing.T, in arrow.Array) arrow.Array {
	t.Helper()
	schema := arrow.NewSchema([]arrow.Field{{Name: "c", Type: in.DataType(), Nullable: true}}, nil)
	rec := array.NewRecord(schema, []arrow.Array{in}, int64(in.Len()))
	var file bytes.Buffer
	w, err := parquetio.NewWriter(&file, schema, parquetio.WriterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := w.Write(rec); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := parquetio.Open(bytes.NewReader(file.Bytes()), int64(file.Len()), "test.parquet")
	if err != nil {
		t.Fatal(err)
	}
	if f.NumRows() != 2*int64(in.Len()) {
		t.Fatalf("%d rows came back of %d", f.NumRows(), 2*in.Len())
	}
	for rec, err := range f.Read(context.Background(), 0, []int{0}) {
		if err != nil {
			t.Fatal(err)
		}
		data := rec.Column(0)
		return array.NewSlice(data, 0, int64(in.Len()))
	}
	t.Fatal("no rows came back")
	return nil
}
