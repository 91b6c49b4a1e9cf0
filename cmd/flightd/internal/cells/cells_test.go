package cells

import (
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
)

// The text of values: type, JSON as v15 reads it into the type, what is written exactly, what is written short.
func TestText(t *testing.T) {
	zoned := &arrow.TimestampType{Unit: arrow.Millisecond, TimeZone: "Asia/Tokyo"}
	for _, c := range []struct {
		name         string
		typ          arrow.DataType
		json         string
		exact, short string
	}{
		{"int8", arrow.PrimitiveTypes.Int8, `[-128]`, "-128", "-128"},
		{"uint64", arrow.PrimitiveTypes.Uint64, `[9223372036854775808]`, "9223372036854775808", "9223372036854775808"},
		{"float64", arrow.PrimitiveTypes.Float64, `[0.30000000000000004]`, "0.30000000000000004", "0.3"},
		{"float32", arrow.PrimitiveTypes.Float32, `[0.1]`, "0.1", "0.1"},
		{"price", arrow.PrimitiveTypes.Float64, `[1234567.125]`, "1.234567125e+06", "1234567.12"},
		{"zero", arrow.PrimitiveTypes.Float64, `[0]`, "0", "0"},
		{"small", arrow.PrimitiveTypes.Float64, `[0.000012345678]`, "1.2345678e-05", "1.23457e-05"},
		{"whole", arrow.PrimitiveTypes.Float64, `[300]`, "300", "300"},
		{"bool", arrow.FixedWidthTypes.Boolean, `[true]`, "true", "true"},
		{"null", arrow.PrimitiveTypes.Int8, `[null]`, "~", "~"},
		{"naive", arrow.FixedWidthTypes.Timestamp_us, `["2024-01-31 12:00:00.5"]`, "2024-01-31T12:00:00.5Z", "2024-01-31T12:00:00.5Z"},
		{"naive", &arrow.TimestampType{Unit: arrow.Nanosecond}, `["2024-01-31 12:00:00.000000001"]`, "2024-01-31T12:00:00.000000001", "2024-01-31T12:00:00.000000001"},
		{"zoned", zoned, `["2024-01-31 12:00:00"]`, "2024-01-31T21:00:00+09:00", "2024-01-31T21:00:00+09:00"},
		{"unknown zone", &arrow.TimestampType{Unit: arrow.Second, TimeZone: "Moon/Base"}, `[0]`, "1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z"},
		{"date", arrow.FixedWidthTypes.Date32, `["2024-02-29"]`, "2024-02-29", "2024-02-29"},
		{"decimal", &arrow.Decimal128Type{Precision: 10, Scale: 2}, `["12.30"]`, "12.30", "12.30"},
		{"negative decimal", &arrow.Decimal128Type{Precision: 38, Scale: 3}, `["-12345678901234567890.001"]`,
			"-12345678901234567890.001", "-12345678901234567890.001"},
		{"list", arrow.ListOf(arrow.PrimitiveTypes.Float64), `[[1, null, 2.5]]`, "[1,null,2.5]", "[1,null,2.5]"},
		{"texts", arrow.ListOf(arrow.BinaryTypes.String), `[["a", "say \"b\""]]`, `["a","say \"b\""]`, `["a","say \"b\""]`},
		{"struct", arrow.StructOf(arrow.Field{Name: "x", Type: arrow.PrimitiveTypes.Int8}, arrow.Field{Name: "y", Type: arrow.BinaryTypes.String}),
			`[{"x": 1, "y": "z"}]`, `{"x":1,"y":"z"}`, `{"x":1,"y":"z"}`},
		{"map", arrow.MapOf(arrow.BinaryTypes.String, arrow.PrimitiveTypes.Int64), `[[{"key": "a", "value": 1}, {"key": "b", "value": null}]]`,
			`{"a":1,"b":null}`, `{"a":1,"b":null}`},
	} {
		a, _, err := array.FromJSON(memory.DefaultAllocator, c.typ, strings.NewReader(c.json))
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if got := Of(a, Exact, "~")(0); got != c.exact {
			t.Errorf("%s: exactly %s, want %s", c.name, got, c.exact)
		}
		if got := Of(a, Short, "~")(0); got != c.short {
			t.Errorf("%s: short %s, want %s", c.name, got, c.short)
		}
	}
}
