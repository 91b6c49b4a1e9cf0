package anyarray_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/flightd/flightd/internal/anyarray"
)

// own is an extension type that does no more than it must.
type own struct{ arrow.ExtensionBase }

func (own) ArrayType() reflect.Type { return reflect.TypeOf(ownArray{}) }
func (own) ExtensionName() string   { return "own" }
func (own) Serialize() string       { return "" }
func (o *own) ExtensionEquals(other arrow.ExtensionType) bool {
	return arrow.TypeEqual(o.Storage, other.StorageType())
}
func (own) Deserialize(storage arrow.DataType, _ string) (arrow.ExtensionType, error) {
	return &own{arrow.ExtensionBase{Storage: storage}}, nil
}

type ownArray struct{ array.ExtensionArrayBase }

// types are those that clients and files may have, and what can be made of them.
func types() (all []arrow.DataType) {
	i64, text := arrow.PrimitiveTypes.Int64, arrow.BinaryTypes.String
	flat := []arrow.DataType{
		arrow.Null, arrow.FixedWidthTypes.Boolean, i64, arrow.PrimitiveTypes.Uint8, arrow.FixedWidthTypes.Float16, arrow.PrimitiveTypes.Float64,
		text, arrow.BinaryTypes.LargeString, arrow.BinaryTypes.Binary, arrow.BinaryTypes.LargeBinary, &arrow.FixedSizeBinaryType{ByteWidth: 3},
		&arrow.Decimal128Type{Precision: 4}, &arrow.Decimal256Type{Precision: 40}, arrow.FixedWidthTypes.Date32, arrow.FixedWidthTypes.Date64,
		arrow.FixedWidthTypes.Time32s, arrow.FixedWidthTypes.Time64ns, arrow.FixedWidthTypes.Duration_ns, arrow.FixedWidthTypes.Timestamp_us,
		arrow.FixedWidthTypes.MonthInterval, arrow.FixedWidthTypes.DayTimeInterval, arrow.FixedWidthTypes.MonthDayNanoInterval,
	}
	within := func(inner []arrow.DataType) (all []arrow.DataType) {
		for _, t := range inner {
			fields := []arrow.Field{{Name: "a", Type: t, Nullable: true}, {Name: "b", Type: i64, Nullable: true}}
			all = append(all, &own{arrow.ExtensionBase{Storage: t}}, &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int8, ValueType: t}, arrow.ListOf(t), arrow.LargeListOf(t),
				arrow.FixedSizeListOf(2, t), arrow.StructOf(fields...), arrow.MapOf(text, t),
				arrow.SparseUnionOf(fields, []arrow.UnionTypeCode{0, 1}), arrow.DenseUnionOf(fields, []arrow.UnionTypeCode{0, 1}))
		}
		return all
	}
	nested := within(flat)
	return append(append(flat, nested...), within(nested)...)
}

func TestText(t *testing.T) {
	from := func(typ arrow.DataType, json string) arrow.Array {
		a, _, err := array.FromJSON(memory.DefaultAllocator, typ, strings.NewReader(json))
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	f64, text := arrow.PrimitiveTypes.Float64, arrow.BinaryTypes.String
	odd := `["NaN", "Inf", "-Inf"]`
	lists := from(arrow.ListOf(f64), "["+odd+"]")
	for _, c := range []struct {
		a    arrow.Array
		want string
	}{
		{from(f64, odd), "NaN"}, {from(text, `["x"]`), "x"}, {from(text, `[null]`), "(null)"}, {from(arrow.Null, `[null]`), "(null)"},
		{lists, "a value in a list"}, {from(arrow.LargeListOf(f64), "["+odd+"]"), "a value in a large_list"},
		{from(arrow.FixedSizeListOf(3, f64), "["+odd+"]"), "a value in a fixed_size_list"},
		{from(arrow.StructOf(arrow.Field{Name: "a", Type: f64}), `[{"a": "Inf"}]`), "a value in a struct"},
		{from(arrow.MapOf(text, f64), `[[{"key": "k", "value": "NaN"}]]`), "a value in a map"}, {from(arrow.ListOf(f64), `[null]`), "(null)"},
		{array.NewDictionaryArray(&arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int8, ValueType: lists.DataType()},
			from(arrow.PrimitiveTypes.Int8, `[0]`), lists), "a value in a list"},
		{array.NewExtensionArrayWithStorage(&own{arrow.ExtensionBase{Storage: text}}, from(text, `["x"]`)), "x"},
		{array.NewExtensionArrayWithStorage(&own{arrow.ExtensionBase{Storage: lists.DataType()}}, lists), "a value in a list"},
		{from(&arrow.TimestampType{Unit: arrow.Second, TimeZone: "Mars/Olympus"}, `[60]`), "1970-01-01 00:01:00Z"},
	} {
		if got := anyarray.Text(c.a, 0); got != c.want {
			t.Errorf("%s: %q, want %q", c.a.DataType(), got, c.want)
		}
	}
}

func TestEmpty(t *testing.T) {
	for _, typ := range types() {
		schema := arrow.NewSchema([]arrow.Field{{Name: "a", Type: typ}}, nil)
		rec := anyarray.EmptyRecord(schema)
		if a := rec.Column(0); a.Len() != 0 || a.NullN() != 0 || !arrow.TypeEqual(a.DataType(), typ) {
			t.Errorf("%s became %s", typ, a)
		}
		rec.Release()
	}
}
