package rowdigest_test

import (
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/flightd/flightd/internal/rowdigest"
)

// column is a name, a type and values as JSON.
type column struct {
	name   string
	typ    arrow.DataType
	values string
}

func record(t *testing.T, columns ...column) arrow.Record {
	t.Helper()
	fields, arrays := make([]arrow.Field, len(columns)), make([]arrow.Array, len(columns))
	for i, c := range columns {
		a, _, err := array.FromJSON(memory.DefaultAllocator, c.typ, strings.NewReader(c.values), array.WithUseNumber())
		if err != nil {
			t.Fatalf("%s: %v", c.typ, err)
		}
		fields[i], arrays[i] = arrow.Field{Name: c.name, Type: c.typ, Nullable: true}, a
	}
	return array.NewRecord(arrow.NewSchema(fields, nil), arrays, int64(arrays[0].Len()))
}

func sum(t *testing.T, records ...arrow.Record) rowdigest.Digest {
	t.Helper()
	h, err := rowdigest.New(records[0].Schema())
	if err != nil {
		t.Fatal(err)
	}
	for _, rec := range records {
		if err := h.Add(rec); err != nil {
			t.Fatal(err)
		}
	}
	return h.Sum()
}

var (
	i32, i64, u64 = arrow.PrimitiveTypes.Int32, arrow.PrimitiveTypes.Int64, arrow.PrimitiveTypes.Uint64
	f32, f64      = arrow.PrimitiveTypes.Float32, arrow.PrimitiveTypes.Float64
	text, large   = arrow.BinaryTypes.String, arrow.BinaryTypes.LargeString
	binary        = arrow.BinaryTypes.Binary
)

func clock(unit arrow.TimeUnit, zone string) arrow.DataType {
	return &arrow.TimestampType{Unit: unit, TimeZone: zone}
}

// Groups of columns with equal digests; those of different groups are different.
var groups = [][]column{
	{{"n", i64, `[1, null, 3]`}, {"n", i32, `[1, null, 3]`}, {"n", arrow.PrimitiveTypes.Uint8, `[1, null, 3]`}},
	{{"n", i64, `[1, 0, 3]`}},
	{{"n", i64, `[1, 3, null]`}},
	{{"n", i64, `[1, null]`}},
	{{"m", i64, `[1, null, 3]`}},
	{{"n", u64, `[1, null, 3]`}},
	{{"n", f64, `[1, null, 3]`}, {"n", f32, `[1, null, 3]`}, {"n", arrow.FixedWidthTypes.Float16, `[1, null, 3]`}},
	{{"n", f64, `[-0.0]`}},
	{{"n", f64, `[0]`}},
	{{"n", f64, `["NaN"]`}, {"n", f32, `["NaN"]`}},
	{{"n", text, `["ab", "c", null]`}, {"n", large, `["ab", "c", null]`},
		{"n", &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int8, ValueType: text}, `["ab", "c", null]`}},
	{{"n", text, `["a", "bc", null]`}},
	{{"n", text, `["ab", "c", ""]`}},
	{{"n", binary, `["YWI=", "Yw==", null]`}, {"n", arrow.BinaryTypes.LargeBinary, `["YWI=", "Yw==", null]`}},
	{{"n", clock(arrow.Second, ""), `[-1, null]`}, {"n", clock(arrow.Millisecond, "UTC"), `[-1000, null]`},
		{"n", clock(arrow.Nanosecond, "Europe/Paris"), `[-1000000000, null]`}},
	{{"n", clock(arrow.Nanosecond, ""), `[-999999999, null]`}},
	{{"n", arrow.FixedWidthTypes.Date32, `["2024-01-01"]`}, {"n", arrow.FixedWidthTypes.Date64, `["2024-01-01"]`}},
	{{"n", arrow.FixedWidthTypes.Time32s, `["12:00:00"]`}, {"n", arrow.FixedWidthTypes.Time64ns, `["12:00:00"]`}},
	{{"n", arrow.FixedWidthTypes.Duration_s, `[43200]`}, {"n", arrow.FixedWidthTypes.Duration_us, `[43200000000]`}},
	{{"n", &arrow.Decimal128Type{Precision: 9, Scale: 2}, `["-1.25"]`}, {"n", &arrow.Decimal256Type{Precision: 50, Scale: 2}, `["-1.25"]`}},
	{{"n", &arrow.Decimal128Type{Precision: 9, Scale: 3}, `["-1.25"]`}},
	{{"n", arrow.FixedWidthTypes.Boolean, `[true, false]`}},
	{{"n", arrow.FixedWidthTypes.Boolean, `[false, true]`}},
	{{"n", arrow.Null, `[null, null]`}},
	{{"n", arrow.ListOf(i64), `[[1, 2], [], null]`}, {"n", arrow.LargeListOf(i32), `[[1, 2], [], null]`}},
	{{"n", arrow.ListOf(i64), `[[1], [2], null]`}},
	{{"n", arrow.ListOf(i64), `[[1, 2], null, []]`}},
	{{"n", arrow.ListOf(i64), `[[1, 2]]`}, {"n", arrow.FixedSizeListOf(2, i64), `[[1, 2]]`}},
	{{"n", arrow.StructOf(arrow.Field{Name: "a", Type: i64, Nullable: true}), `[{"a": 1}, {"a": null}, null]`}},
	{{"n", arrow.StructOf(arrow.Field{Name: "b", Type: i64, Nullable: true}), `[{"b": 1}, {"b": null}, null]`}},
	{{"n", arrow.MapOf(text, i64), `[[{"key": "a", "value": 1}], [], null]`}},
}

func TestDigest(t *testing.T) {
	seen := make(map[rowdigest.Digest]int)
	for i, group := range groups {
		for _, c := range group {
			rec := record(t, c)
			d := sum(t, rec)
			if before, known := seen[d]; known && before != i {
				t.Errorf("%s %s has the digest of group %d", c.typ, c.values, before)
			} else if !known && c.typ != group[0].typ {
				t.Errorf("%s %s differs from %s %s", c.typ, c.values, group[0].typ, group[0].values)
			}
			seen[d] = i
			var rows []arrow.Record
			for r := range rec.NumRows() {
				rows = append(rows, rec.NewSlice(r, r+1), rec.NewSlice(r, r))
			}
			if sum(t, rows...) != d {
				t.Errorf("%s %s: the digest depends on the batches", c.typ, c.values)
			}
		}
	}
}

func TestColumnOrder(t *testing.T) {
	a, b := column{"a", i64, `[1, 2]`}, column{"b", text, `["x", "y"]`}
	if sum(t, record(t, a, b)) != sum(t, record(t, b, a)) {
		t.Error("the digest depends on the order of the columns")
	}
	if sum(t, record(t, a, b)) == sum(t, record(t, column{"b", i64, `[1, 2]`}, column{"a", text, `["x", "y"]`})) {
		t.Error("the digest does not depend on which column has which values")
	}
}

// What is hashed in pieces is the same as what is hashed at once.
func TestLong(t *testing.T) {
	rec := record(t, column{"n", text, `["` + strings.Repeat("x", 100_000) + `", "y"]`})
	many := make([]arrow.Record, 1000)
	for i := range many {
		many[i] = rec.NewSlice(1, 2)
	}
	if sum(t, rec, rec) != sum(t, rec.NewSlice(0, 1), rec.NewSlice(1, 2), rec.NewSlice(0, 1), rec.NewSlice(1, 2)) || sum(t, many...) == sum(t, many[1:]...) {
		t.Error("pieces")
	}
}

func TestParse(t *testing.T) {
	d := sum(t, record(t, column{"n", i64, `[1]`}))
	if parsed, ok := rowdigest.Parse(d.String()); !ok || parsed != d {
		t.Errorf("%v came back as %v", d, parsed)
	}
	for _, bad := range []string{"", "00", d.String() + "00", strings.Repeat("x", 64)} {
		if _, ok := rowdigest.Parse(bad); ok {
			t.Errorf("%q was read", bad)
		}
	}
}

func TestRefused(t *testing.T) {
	schema := arrow.NewSchema([]arrow.Field{{Name: "odd", Type: arrow.BinaryTypes.StringView}}, nil)
	if _, err := rowdigest.New(schema); err == nil || !strings.Contains(err.Error(), `"odd"`) {
		t.Errorf("%v", err)
	}
}
