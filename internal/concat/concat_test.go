package concat

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
)

// samples are columns of every kind that can be put together, as JSON of one value and of another.
var samples = []struct {
	typ    arrow.DataType
	values []string
}{
	{arrow.Null, []string{"null"}},
	{arrow.FixedWidthTypes.Boolean, []string{"true", "false"}},
	{arrow.PrimitiveTypes.Int8, []string{"1", "-2"}},
	{arrow.PrimitiveTypes.Uint64, []string{"1", "18446744073709551615"}},
	{arrow.PrimitiveTypes.Float64, []string{"1.5", "-2.5"}},
	{arrow.BinaryTypes.String, []string{`""`, `"größer"`, `"a"`}},
	{arrow.BinaryTypes.LargeString, []string{`""`, `"größer"`, `"a"`}},
	{arrow.BinaryTypes.Binary, []string{`""`, `"YWJj"`}},
	{&arrow.FixedSizeBinaryType{ByteWidth: 3}, []string{`"YWJj"`, `"ZGVm"`}},
	{&arrow.Decimal128Type{Precision: 9, Scale: 2}, []string{`"1.50"`, `"-7.25"`}},
	{&arrow.TimestampType{Unit: arrow.Nanosecond, TimeZone: "UTC"}, []string{`"2024-01-01 00:00:00.000000001"`, `"1969-12-31 23:59:59"`}},
	{arrow.ListOf(arrow.BinaryTypes.String), []string{`[]`, `["a", null, "bcd"]`, `["x"]`}},
	{arrow.LargeListOf(arrow.PrimitiveTypes.Int32), []string{`[]`, `[1, null, 3]`}},
	{arrow.FixedSizeListOf(2, arrow.PrimitiveTypes.Int16), []string{`[1, 2]`, `[null, 4]`}},
	{arrow.StructOf(arrow.Field{Name: "a", Type: arrow.PrimitiveTypes.Int64, Nullable: true}, arrow.Field{Name: "b", Type: arrow.BinaryTypes.String, Nullable: true}),
		[]string{`{"a": 1, "b": "x"}`, `{"a": null, "b": "y"}`}},
	{arrow.MapOf(arrow.BinaryTypes.String, arrow.PrimitiveTypes.Int64), []string{`[]`, `[{"key": "a", "value": 1}, {"key": "b", "value": null}]`}},
}

func TestRecordsAreWhatTheirPiecesWere(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	for _, s := range samples {
		for range 20 {
			whole := column1(t, rnd, s.typ, s.values, 100)
			var pieces []arrow.Record
			for lo := int64(0); lo < 100; {
				hi := min(100, lo+rnd.Int64N(40))
				pieces, lo = append(pieces, whole.NewSlice(lo, hi)), hi
			}
			for _, p := range pieces {
				if !Fit(pieces[0], p) {
					t.Fatalf("%s: the pieces of a record do not fit", s.typ)
				}
			}
			got, err := Records(pieces)
			if err != nil {
				t.Fatalf("%s: %v", s.typ, err)
			}
			if g, w := fmt.Sprint(got.Column(0)), fmt.Sprint(whole.Column(0)); g != w || got.Column(0).NullN() != whole.Column(0).NullN() {
				t.Fatalf("%s:\n got %s\nwant %s", s.typ, g, w)
			}
		}
	}
}

func column1(t *testing.T, rnd *rand.Rand, typ arrow.DataType, values []string, rows int) arrow.Record {
	t.Helper()
	schema := arrow.NewSchema([]arrow.Field{{Name: "c", Type: typ, Nullable: true}}, nil)
	lines := make([]string, rows)
	for i := range lines {
		v := values[rnd.IntN(len(values))]
		if rnd.IntN(5) == 0 {
			v = "null"
		}
		lines[i] = fmt.Sprintf(`{"c": %s}`, v)
	}
	rec, _, err := array.RecordFromJSON(memory.DefaultAllocator, schema, strings.NewReader("["+strings.Join(lines, ",")+"]"))
	if err != nil {
		t.Fatalf("%s: %v", typ, err)
	}
	return rec
}

// Dictionaries fit if they are one; what v15 cannot put together does not.
func TestFit(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 1))
	dictionary := &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int8, ValueType: arrow.BinaryTypes.String}
	a := column1(t, rnd, dictionary, []string{`"a"`, `"b"`}, 10)
	b := column1(t, rnd, dictionary, []string{`"a"`, `"b"`}, 10)
	if !Fit(a, a.NewSlice(3, 7)) || Fit(a, b) {
		t.Error("a dictionary fits itself, and no other")
	}
	both, err := Records([]arrow.Record{a.NewSlice(3, 7), a})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 14 {
		from := i + 3
		if i >= 4 {
			from = i - 4
		}
		if both.Column(0).ValueStr(i) != a.Column(0).ValueStr(from) {
			t.Errorf("row %d is %s, want %s", i, both.Column(0).ValueStr(i), a.Column(0).ValueStr(from))
		}
	}
	if !Fit(both, a) {
		t.Error("what was put together has lost its dictionary")
	}
	for _, typ := range []arrow.DataType{arrow.ListOf(dictionary),
		arrow.SparseUnionOf([]arrow.Field{{Name: "i", Type: arrow.PrimitiveTypes.Int8}}, []arrow.UnionTypeCode{0})} {
		if plain(typ) {
			t.Errorf("%s cannot be put together", typ)
		}
	}
}
