package ipcguard

import (
	"bytes"
	"context"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/ipc"
	"github.com/apache/arrow/go/v15/arrow/memory"
)

var (
	p = arrow.PrimitiveTypes
	w = arrow.FixedWidthTypes
	s = arrow.BinaryTypes
)

func nullable(name string, t arrow.DataType) arrow.Field {
	return arrow.Field{Name: name, Type: t, Nullable: true}
}

func dictOf(index, values arrow.DataType) arrow.DataType {
	return &arrow.DictionaryType{IndexType: index, ValueType: values}
}

// samples are values of every type that can be read, three or more each.
var samples = []struct {
	name string
	typ  arrow.DataType
	json string
}{
	{"null", arrow.Null, `[null, null, null]`},
	{"bool", w.Boolean, `[true, null, false, true]`},
	{"int8", p.Int8, `[-128, null, 127]`},
	{"uint8", p.Uint8, `[0, null, 255]`},
	{"int16", p.Int16, `[-32768, null, 32767]`},
	{"uint16", p.Uint16, `[0, null, 65535]`},
	{"int32", p.Int32, `[-5, 7, 8, null]`},
	{"uint32", p.Uint32, `[1, 2, 4294967295]`},
	{"int64", p.Int64, `[1, null, -9223372036854775808]`},
	{"uint64", p.Uint64, `[1, null, 3]`},
	{"float16", w.Float16, `[1.5, null, -2]`},
	{"float32", p.Float32, `[1.5, null, -2]`},
	{"float64", p.Float64, `[1.5, null, -2e300]`},
	{"decimal128", &arrow.Decimal128Type{Precision: 10, Scale: 2}, `["1.25", null, "-99999999.99"]`},
	{"decimal256", &arrow.Decimal256Type{Precision: 60, Scale: 3}, `["1.125", null, "-7"]`},
	{"string", s.String, `["", null, "grün", "x"]`},
	{"large_string", s.LargeString, `["a", "bc", null]`},
	{"binary", s.Binary, `["AAE=", null, ""]`},
	{"large_binary", s.LargeBinary, `["AAE=", null, "/w=="]`},
	{"fixed_size_binary", &arrow.FixedSizeBinaryType{ByteWidth: 3}, `["AAEC", null, "AwQF"]`},
	{"date32", w.Date32, `["2026-01-02", null, "1969-12-31"]`},
	{"date64", w.Date64, `["2026-01-02", null, "1969-12-31"]`},
	{"time32", w.Time32ms, `["10:11:12.345", null, "00:00:00"]`},
	{"time64", w.Time64us, `["10:11:12.345678", null, "00:00:00"]`},
	{"timestamp", &arrow.TimestampType{Unit: arrow.Nanosecond, TimeZone: "Europe/Paris"}, `["2026-01-02 03:04:05", null, "1969-12-31 00:00:00"]`},
	{"duration", w.Duration_ms, `["1ms", null, "2s"]`},
	{"months", w.MonthInterval, `[{"months": 3}, null, {"months": -1}]`},
	{"days", w.DayTimeInterval, `[{"days": 3, "milliseconds": 4}, null, {"days": 1, "milliseconds": 1}]`},
	{"month_day_nano", w.MonthDayNanoInterval, `[{"months": 1, "days": 2, "nanoseconds": 3}, null, {"months": 4, "days": 5, "nanoseconds": 6}]`},
	{"list", arrow.ListOf(p.Int64), `[[1, 2], null, [], [null, 3]]`},
	{"large_list", arrow.LargeListOf(s.String), `[["a", null], null, [], ["bcd"]]`},
	{"list_of_lists", arrow.ListOf(arrow.ListOf(s.String)), `[[["a"], null, []], null, [], [["b", null]]]`},
	{"list_of_bools", arrow.ListOf(w.Boolean), `[[true, false, true], null, [false], [null, true]]`},
	{"list_of_nulls", arrow.ListOf(arrow.Null), `[[null, null], null, []]`},
	{"fixed_size_list", arrow.FixedSizeListOf(2, p.Float32), `[[1, 2], null, [3, null]]`},
	{"struct", arrow.StructOf(nullable("a", p.Int32), nullable("b", s.String)), `[{"a": 1, "b": "x"}, null, {"a": null, "b": "y"}]`},
	{"map", arrow.MapOf(s.String, arrow.ListOf(p.Int16)), `[[{"key": "a", "value": [1]}], null, [], [{"key": "b", "value": null}, {"key": "c", "value": []}]]`},
	{"sparse_union", arrow.SparseUnionOf([]arrow.Field{nullable("i", p.Int32), nullable("s", s.String)}, []arrow.UnionTypeCode{5, 10}), `[[5, 1], [10, "x"], [5, null]]`},
	{"dense_union", arrow.DenseUnionOf([]arrow.Field{nullable("i", p.Int32), nullable("s", s.String)}, []arrow.UnionTypeCode{5, 10}), `[[5, 1], [10, "x"], [5, 3], [10, "yz"]]`},
	{"dictionary", dictOf(p.Int8, s.String), `["a", null, "b", "a"]`},
	{"dictionary_uint64", dictOf(p.Uint64, p.Int64), `[5, null, 6, 5]`},
	{"dictionary_of_dates", dictOf(p.Int16, w.Date32), `["2026-01-02", null, "2026-01-03"]`},
	{"list_of_dictionary", arrow.ListOf(dictOf(p.Int32, s.String)), `[["a", "b"], null, ["b", null]]`},
	{"struct_of_dictionary", arrow.StructOf(nullable("d", dictOf(p.Uint16, s.Binary)), nullable("f", arrow.FixedSizeListOf(2, p.Int8))), `[{"d": "AAE=", "f": [1, 2]}, null, {"d": null, "f": null}]`},
}

// sample builds a record of one column, with all metadata a schema can have.
func sample(t testing.TB, name string, typ arrow.DataType, json string) arrow.Record {
	t.Helper()
	values, _, err := array.FromJSON(memory.DefaultAllocator, typ, strings.NewReader(json))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	field := nullable(name, typ)
	field.Metadata = arrow.NewMetadata([]string{"ARROW:extension:name", "k"}, []string{"unknown", "v"})
	metadata := arrow.NewMetadata([]string{"pandas"}, []string{"{}"})
	return array.NewRecord(arrow.NewSchema([]arrow.Field{field}, &metadata), []arrow.Array{values}, int64(values.Len()))
}

// nested is a dictionary of structs that hold a dictionary, which no builder makes.
func nested(t testing.TB) arrow.Record {
	inner := sample(t, "inner", dictOf(p.Int8, s.String), `["a", null, "b"]`).Column(0)
	values, err := array.NewStructArray([]arrow.Array{inner}, []string{"inner"})
	if err != nil {
		t.Fatal(err)
	}
	indices := sample(t, "i", p.Int16, `[2, null, 0, 1, 1]`).Column(0)
	outer := array.NewDictionaryArray(dictOf(p.Int16, values.DataType()), indices, values)
	return array.NewRecord(arrow.NewSchema([]arrow.Field{nullable("outer", outer.DataType())}, nil), []arrow.Array{outer}, 5)
}

// allSamples are the samples as records, and more shapes: all columns at once, slices, zero rows, no columns.
func allSamples(t testing.TB) []arrow.Record {
	var all []arrow.Record
	var fields []arrow.Field
	var columns []arrow.Array
	for _, s := range samples {
		rec := sample(t, s.name, s.typ, s.json)
		all = append(all, rec, rec.NewSlice(1, rec.NumRows()), sample(t, s.name, s.typ, `[]`))
		fields, columns = append(fields, rec.Schema().Field(0)), append(columns, array.NewSlice(rec.Column(0), 0, 3))
	}
	slices.Reverse(fields[:5])
	slices.Reverse(columns[:5])
	all = append(all, nested(t), array.NewRecord(arrow.NewSchema(fields, nil), columns, 3))
	same := []arrow.Field{fields[0], fields[0]}
	all = append(all, array.NewRecord(arrow.NewSchema(same, nil), []arrow.Array{columns[0], columns[0]}, 3))
	return append(all, array.NewRecord(arrow.NewSchema(nil, nil), nil, 4))
}

func write(t testing.TB, recs []arrow.Record, opts ...ipc.Option) []byte {
	t.Helper()
	var buf bytes.Buffer
	out := ipc.NewWriter(&buf, append(opts, ipc.WithSchema(recs[0].Schema()))...)
	for _, rec := range recs {
		if err := out.Write(rec); err != nil {
			t.Fatalf("%v: %v", rec.Schema(), err)
		}
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func read(src Source, lim Limits) (*arrow.Schema, []arrow.Record, error) {
	r, err := NewReader(context.Background(), src, lim)
	if err != nil {
		return nil, nil, err
	}
	defer r.Release()
	var recs []arrow.Record
	for rec, err := range r.Records() {
		if err != nil {
			return r.Schema(), recs, err
		}
		recs = append(recs, rec)
	}
	return r.Schema(), recs, nil
}

// flightSource is a stream as Flight hands it over: metadata and bodies apart.
type flightSource [][2][]byte

func (f *flightSource) Next() (metadata, body []byte, err error) {
	if len(*f) == 0 {
		return nil, nil, io.EOF
	}
	m := (*f)[0]
	*f = (*f)[1:]
	return m[0], m[1], nil
}

// split takes a stream apart into its messages.
func split(t testing.TB, stream []byte) flightSource {
	t.Helper()
	var all flightSource
	src := Bytes(stream)
	for {
		metadata, body, err := src.Next()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, [2][]byte{metadata, body})
	}
}
