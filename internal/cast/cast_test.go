package cast_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/flightd/flightd/internal/cast"
)

var (
	i8, i32, i64  = arrow.PrimitiveTypes.Int8, arrow.PrimitiveTypes.Int32, arrow.PrimitiveTypes.Int64
	u8, u64       = arrow.PrimitiveTypes.Uint8, arrow.PrimitiveTypes.Uint64
	f16, f32, f64 = arrow.FixedWidthTypes.Float16, arrow.PrimitiveTypes.Float32, arrow.PrimitiveTypes.Float64
	text, large   = arrow.BinaryTypes.String, arrow.BinaryTypes.LargeString
	binary        = arrow.BinaryTypes.Binary
	boolean       = arrow.FixedWidthTypes.Boolean
	date          = arrow.FixedWidthTypes.Date32
)

func clock(unit arrow.TimeUnit, zone string) arrow.DataType {
	return &arrow.TimestampType{Unit: unit, TimeZone: zone}
}

func decimal(precision, scale int32) arrow.DataType {
	return &arrow.Decimal128Type{Precision: precision, Scale: scale}
}

func values(t *testing.T, typ arrow.DataType, json string) arrow.Array {
	t.Helper()
	a, _, err := array.FromJSON(memory.DefaultAllocator, typ, strings.NewReader(json), array.WithUseNumber())
	if err != nil {
		t.Fatalf("%s %s: %v", typ, json, err)
	}
	return a
}

func list(of arrow.DataType) arrow.DataType { return arrow.ListOf(of) }

func thing(names ...string) arrow.DataType {
	fields := make([]arrow.Field, len(names))
	for i, n := range names {
		name, typ, _ := strings.Cut(n, ":")
		fields[i] = arrow.Field{Name: name, Type: map[string]arrow.DataType{"i32": i32, "i64": i64, "f64": f64}[typ], Nullable: true}
	}
	return arrow.StructOf(fields...)
}

// Values that keep their value, as JSON of either type.
func TestCast(t *testing.T) {
	dictionary := &arrow.DictionaryType{IndexType: i8, ValueType: text}
	for _, c := range []struct {
		from   arrow.DataType
		values string
		to     arrow.DataType
		want   string // "": the same
	}{
		{i64, `[-128, null, 127]`, i8, ""}, {u8, `[0, 255, null]`, i64, ""}, {u64, `[18446744073709551615]`, u64, ""},
		{i64, `[9223372036854775807]`, u64, ""}, {f64, `[3, null, -4]`, i32, ""}, {f64, `[18446744073709549568]`, u64, ""},
		{i64, `[9007199254740992, -9223372036854775808]`, f64, ""}, {i32, `[16777216]`, f32, ""}, {f64, `[0.5, "NaN", "-Inf", null]`, f32, ""},
		{f32, `[0.5]`, f16, ""}, {f16, `[0.5]`, f64, ""},
		{clock(arrow.Nanosecond, ""), `[-1000, null, 5000]`, clock(arrow.Microsecond, "UTC"), `[-1, null, 5]`},
		{clock(arrow.Second, "Europe/Paris"), `[-1]`, clock(arrow.Nanosecond, ""), `[-1000000000]`},
		{clock(arrow.Nanosecond, ""), `[-86400000000000]`, date, `["1969-12-31"]`}, {date, `["1970-01-02"]`, clock(arrow.Millisecond, ""), `[86400000]`},
		{arrow.FixedWidthTypes.Date64, `["2024-02-29"]`, date, ""}, {arrow.FixedWidthTypes.Time64ns, `["12:00:00"]`, arrow.FixedWidthTypes.Time32s, ""},
		{arrow.FixedWidthTypes.Duration_ns, `[3000]`, arrow.FixedWidthTypes.Duration_us, `[3]`},
		{text, `["", "é", null]`, large, ""}, {large, `["x", null]`, text, ""}, {dictionary, `["a", null, "b", "a"]`, text, ""}, {dictionary, `["a"]`, large, ""},
		{binary, `["AAE=", null]`, arrow.BinaryTypes.LargeBinary, ""}, {binary, `["AAE="]`, &arrow.FixedSizeBinaryType{ByteWidth: 2}, ""},
		{decimal(9, 2), `["-1.50", null]`, decimal(9, 1), `["-1.5", null]`}, {decimal(9, 2), `["3.00"]`, i64, `[3]`}, {i64, `[-3, null]`, decimal(9, 2), `["-3", null]`},
		{arrow.Null, `[null, null]`, f64, ""}, {arrow.Null, `[null]`, list(i64), ""},
		{list(i64), `[[1, null], null, []]`, list(i32), ""}, {arrow.LargeListOf(f64), `[[1], null]`, list(f32), ""},
		{arrow.FixedSizeListOf(2, f64), `[[1, 2], [3, 4]]`, list(f64), ""}, {list(i64), `[[1]]`, arrow.ListOfNonNullable(i64), ""},
		{thing("b:i64", "a:f64"), `[{"a": 1, "b": 2}, null, {"a": null, "b": 3}]`, thing("a:i32", "b:i32"), ""},
		{arrow.MapOf(text, f64), `[[{"key": "k", "value": 1}], null]`, arrow.MapOf(large, i64), ""},
	} {
		a := values(t, c.from, c.values)
		if c.want == "" {
			c.want = c.values
		}
		want := values(t, c.to, c.want)
		for _, a := range []arrow.Array{a, array.NewSlice(values(t, c.from, c.values), 0, int64(a.Len()))} {
			got, err := cast.Array(a, c.to, cast.Options{})
			if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%s %s as %s: %v, %v", c.from, c.values, c.to, got, err)
			}
		}
		if !cast.Possible(c.from, c.to) {
			t.Errorf("%s as %s is said to be impossible", c.from, c.to)
		}
	}
}

// Dictionaries of every type that has casts, though v15 has builders for a few only: what polars calls a categorical is one
// of large texts.
func TestDictionaries(t *testing.T) {
	for _, c := range []struct {
		of     arrow.DataType
		values string
		to     arrow.DataType
		want   string
	}{
		{large, `["gold", "blue"]`, text, `["blue", null, "gold", "blue"]`}, {large, `["gold", "blue"]`, large, `["blue", null, "gold", "blue"]`},
		{arrow.BinaryTypes.LargeBinary, `["AAE=", "AA=="]`, binary, `["AA==", null, "AAE=", "AA=="]`}, {boolean, `[true, false]`, boolean, `[false, null, true, false]`},
		{list(i64), `[[1], []]`, list(i32), `[[], null, [1], []]`}, {thing("a:i64"), `[{"a": 1}, {"a": 2}]`, thing("a:i32"), `[{"a": 2}, null, {"a": 1}, {"a": 2}]`},
		{i64, `[1, 2]`, i8, `[2, null, 1, 2]`},
	} {
		from := &arrow.DictionaryType{IndexType: i8, ValueType: c.of}
		if !cast.Possible(from, c.to) {
			t.Errorf("%s as %s is said to be impossible", from, c.to)
		}
		a := array.NewDictionaryArray(from, values(t, i8, `[1, null, 0, 1]`), values(t, c.of, c.values))
		got, err := cast.Array(a, c.to, cast.Options{})
		if want := values(t, c.to, c.want); err != nil || !array.Equal(got, want) {
			t.Errorf("%s as %s: %v, %v", from, c.to, got, err)
		}
		if other := clock(arrow.Second, ""); cast.Possible(from, other) {
			t.Errorf("%s as %s is said to be possible", from, other)
		}
	}
}

// Values that would change, always in the second row.
func TestWouldChange(t *testing.T) {
	for _, c := range []struct {
		from   arrow.DataType
		values string
		to     arrow.DataType
	}{
		{i64, `[1, 128]`, i8}, {i64, `[1, -1]`, u64}, {i64, `[1, -1]`, u8}, {u64, `[1, 9223372036854775808]`, i64}, {f64, `[1, 1.5]`, i64}, {f64, `[1, "NaN"]`, i64},
		{f64, `[1, 9223372036854775808]`, i64}, {i64, `[1, 9007199254740993]`, f64}, {i64, `[1, 9223372036854775807]`, f64}, {u64, `[1, 18446744073709551615]`, f64},
		{f64, `[1, 0.1]`, f32}, {f64, `[1, 1e300]`, f32}, {i32, `[1, 16777217]`, f32}, {f64, `[1, 0.1]`, f16},
		{clock(arrow.Nanosecond, ""), `[1000, 1]`, clock(arrow.Microsecond, "")}, {clock(arrow.Second, ""), `[1, 9223372036854775807]`, clock(arrow.Nanosecond, "")},
		{clock(arrow.Second, ""), `[86400, 1]`, date}, {decimal(9, 2), `["1.00", "1.05"]`, decimal(9, 1)}, {decimal(9, 0), `["1", "123"]`, decimal(2, 0)},
		{list(f64), `[[1], ["NaN"]]`, list(i64)}, {arrow.FixedSizeListOf(1, f64), `[[1], ["Inf"]]`, list(i64)},
		{thing("a:f64"), `[{"a": 1}, {"a": "-Inf"}]`, thing("a:i64")},
		{arrow.MapOf(text, f64), `[[], [{"key": "k", "value": "NaN"}]]`, arrow.MapOf(text, i64)},
		{clock(arrow.Nanosecond, "Mars/Olympus"), `[1000, 1]`, clock(arrow.Microsecond, "")}, {decimal(9, 2), `["1.00", "1.05"]`, i64}, {binary, `["AAE=", "AA=="]`, &arrow.FixedSizeBinaryType{ByteWidth: 2}}, {list(i64), `[[1], [2, 300]]`, list(i8)},
	} {
		_, err := cast.Array(values(t, c.from, c.values), c.to, cast.Options{})
		var bad *cast.Error
		if !errors.As(err, &bad) || bad.Row != 1 {
			t.Errorf("%s %s as %s: %v", c.from, c.values, c.to, err)
		}
	}
}

func TestOtherKinds(t *testing.T) {
	for _, c := range [][2]arrow.DataType{
		{i64, text}, {text, i64}, {boolean, i64}, {i64, boolean}, {clock(arrow.Second, ""), i64}, {text, binary}, {binary, text}, {list(i64), i64},
		{i64, list(i64)}, {thing("a:i64"), thing("b:i64")}, {thing("a:i64"), thing("a:i64", "b:i64")}, {f64, decimal(9, 2)}, {text, clock(arrow.Second, "")},
		{arrow.FixedWidthTypes.Time32s, clock(arrow.Second, "")}, {list(text), list(i64)}, {arrow.MapOf(text, i64), list(i64)},
	} {
		if cast.Possible(c[0], c[1]) {
			t.Errorf("%s as %s is said to be possible", c[0], c[1])
		}
	}
}

func TestRoundFloats(t *testing.T) {
	round := cast.Options{RoundFloats: true}
	got, err := cast.Array(values(t, f64, `[0.1, null]`), f32, round)
	if err != nil || got.(*array.Float32).Value(0) != float32(0.1) {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := cast.Array(values(t, f64, `[1e300]`), f32, round); err == nil {
		t.Error("a number became infinite")
	}
	if _, err := cast.Array(values(t, arrow.PrimitiveTypes.Int64, `[16777217]`), f32, round); err == nil {
		t.Error("an integer was rounded")
	}
}
