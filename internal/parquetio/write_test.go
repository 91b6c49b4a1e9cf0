package parquetio_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/flightd/flightd/internal/cast"
	"github.com/flightd/flightd/internal/fault"
	"github.com/flightd/flightd/internal/parquetio"
)

// written are columns of every type that can be written: values as JSON, and the type that they come back with if it is
// another one.
var written = []struct {
	typ    arrow.DataType
	values string
	back   arrow.DataType
}{
	{arrow.Null, `[null, null, null, null]`, nil},
	{arrow.FixedWidthTypes.Boolean, `[true, null, false, true]`, nil},
	{arrow.PrimitiveTypes.Int8, `[-128, null, 0, 127]`, nil},
	{arrow.PrimitiveTypes.Int16, `[-32768, null, 0, 32767]`, nil},
	{arrow.PrimitiveTypes.Int32, `[-2147483648, null, 0, 2147483647]`, nil},
	{arrow.PrimitiveTypes.Int64, `[-9223372036854775808, null, 0, 9223372036854775807]`, nil},
	{arrow.PrimitiveTypes.Uint8, `[0, null, 1, 255]`, nil},
	{arrow.PrimitiveTypes.Uint16, `[0, null, 1, 65535]`, nil},
	{arrow.PrimitiveTypes.Uint32, `[0, null, 1, 4294967295]`, nil},
	{arrow.PrimitiveTypes.Uint64, `[0, null, 1, 18446744073709551615]`, nil},
	{arrow.FixedWidthTypes.Float16, `[0.5, null, -2, 65504]`, nil},
	{arrow.PrimitiveTypes.Float32, `[0.25, null, "-Inf", 3.4028235e38]`, nil},
	{arrow.PrimitiveTypes.Float64, `[0.1, null, "NaN", 5e-324]`, nil},
	{arrow.BinaryTypes.String, `["", null, "Zürich ☃ 𝄞", "x"]`, nil},
	{arrow.BinaryTypes.LargeString, `["", null, "x", " padded "]`, nil},
	{arrow.BinaryTypes.Binary, `["", null, "AAEC/w==", "aGVsbG8="]`, nil},
	{arrow.BinaryTypes.LargeBinary, `["", null, "AAEC/w==", "aGVsbG8="]`, nil},
	{&arrow.FixedSizeBinaryType{ByteWidth: 4}, `["AAEC/w==", null, "AAAAAA==", "/////w=="]`, nil},
	{arrow.FixedWidthTypes.Date32, `["1969-12-31", null, "2024-02-29", "9999-12-31"]`, nil},
	{arrow.FixedWidthTypes.Time32s, `["00:00:00", null, "12:30:05", "23:59:59"]`, arrow.FixedWidthTypes.Time32ms},
	{arrow.FixedWidthTypes.Time32ms, `["00:00:00", null, "12:30:00.5", "23:59:59.999"]`, nil},
	{arrow.FixedWidthTypes.Time64us, `["00:00:00", null, "12:30:00.5", "23:59:59.999999"]`, nil},
	{arrow.FixedWidthTypes.Time64ns, `["00:00:00", null, "12:30:00.5", "23:59:59.999999999"]`, nil},
	{clock(arrow.Second, ""), `[-1, null, 0, 1704067200]`, clock(arrow.Millisecond, "")},
	{clock(arrow.Second, "UTC"), `[-1, null, 0, 1704067200]`, clock(arrow.Millisecond, "UTC")},
	{clock(arrow.Millisecond, ""), `[-1, null, 0, 1704067200123]`, nil},
	{clock(arrow.Microsecond, ""), `[-1, null, 0, 1704067200123456]`, nil},
	{clock(arrow.Nanosecond, ""), `[-9223372036854775808, null, 0, 9223372036854775807]`, nil},
	{clock(arrow.Microsecond, "UTC"), `[-1, null, 0, 1704067200123456]`, nil},
	{clock(arrow.Nanosecond, "Europe/Paris"), `[-1, null, 0, 1704067200123456789]`, nil},
	{arrow.FixedWidthTypes.Duration_s, `[-1, null, 0, 9223372036854775807]`, nil},
	{arrow.FixedWidthTypes.Duration_ns, `[-1, null, 0, 9223372036854775807]`, nil},
	{&arrow.Decimal128Type{Precision: 1, Scale: 0}, `["-9", null, "0", "9"]`, nil},
	{&arrow.Decimal128Type{Precision: 18, Scale: 4}, `["-1.5", null, "0", "12345678901234.5678"]`, nil},
	{&arrow.Decimal128Type{Precision: 38, Scale: 0},
		`["-99999999999999999999999999999999999999", null, "-1", "99999999999999999999999999999999999999"]`, nil},
	{&arrow.Decimal256Type{Precision: 50, Scale: 2}, `["-1.25", null, "256", "12345678901234567890123456789012345678901234567.89"]`, nil},
	{&arrow.Decimal256Type{Precision: 20, Scale: 2}, `["-1.25", null, "256", "123456789012345678.89"]`, nil},
	{arrow.ListOf(arrow.PrimitiveTypes.Int64), `[[1, 2], null, [], [3, null]]`, nil},
	{arrow.ListOfNonNullable(arrow.PrimitiveTypes.Int64), `[[1, 2], null, [], [3]]`, nil},
	{arrow.LargeListOf(arrow.BinaryTypes.String), `[["a", "b", "c"], null, [], [null, ""]]`,
		arrow.LargeListOfField(arrow.Field{Name: "element", Type: arrow.BinaryTypes.String, Nullable: true})},
	{arrow.FixedSizeListOf(2, arrow.PrimitiveTypes.Float32), `[[1, 2], [0.5, null], [-1, 0], [3, 4]]`, nil},
	{arrow.ListOf(arrow.ListOf(arrow.FixedWidthTypes.Boolean)), `[[[true], [], null, [false, null]], null, [], [[]]]`, nil},
	{arrow.StructOf(
		arrow.Field{Name: "a", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
		arrow.Field{Name: "b", Type: arrow.ListOf(arrow.BinaryTypes.String), Nullable: true},
		arrow.Field{Name: "c", Type: clock(arrow.Second, "UTC"), Nullable: true},
	), `[{"a": 1, "b": ["x", null], "c": 5}, null, {"a": null, "b": [], "c": null}, {"a": 2, "b": null, "c": -1}]`, arrow.StructOf(
		arrow.Field{Name: "a", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
		arrow.Field{Name: "b", Type: arrow.ListOf(arrow.BinaryTypes.String), Nullable: true},
		arrow.Field{Name: "c", Type: clock(arrow.Millisecond, "UTC"), Nullable: true},
	)},
	{arrow.MapOf(arrow.BinaryTypes.String, arrow.PrimitiveTypes.Float64),
		`[[{"key": "k", "value": 1.5}], null, [], [{"key": "l", "value": null}, {"key": "m", "value": 0}]]`, nil},
	{arrow.ListOf(arrow.StructOf(arrow.Field{Name: "x", Type: arrow.PrimitiveTypes.Int32, Nullable: true})),
		`[[{"x": 1}, null, {"x": null}], null, [], [{"x": 2}]]`, nil},
	{&arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int8, ValueType: arrow.BinaryTypes.String}, `["a", null, "b", "a"]`, arrow.BinaryTypes.String},
}

func clock(unit arrow.TimeUnit, zone string) arrow.DataType {
	return &arrow.TimestampType{Unit: unit, TimeZone: zone}
}

// writtenRecord has all of these columns, and its rows the given number of times.
func writtenRecord(t testing.TB, times int) arrow.Record {
	var fields []arrow.Field
	var columns []arrow.Array
	for _, c := range written {
		a, _, err := array.FromJSON(memory.DefaultAllocator, c.typ, strings.NewReader(c.values), array.WithUseNumber())
		if err != nil {
			t.Fatalf("%s: %v", c.typ, err)
		}
		if c.typ.ID() != arrow.DICTIONARY { // which cannot be put together
			many := make([]arrow.Array, times)
			for i := range many {
				many[i] = a
			}
			if a, err = array.Concatenate(many, memory.DefaultAllocator); err != nil {
				t.Fatalf("%s: %v", c.typ, err)
			}
		} else if times > 1 {
			continue
		}
		fields = append(fields, arrow.Field{Name: fmt.Sprintf("%d %s", len(fields), c.typ.ID()), Type: c.typ, Nullable: true})
		columns = append(columns, a)
	}
	return array.NewRecord(arrow.NewSchema(fields, nil), columns, int64(4*times))
}

// parquetOf writes records to a file in memory.
func parquetOf(t testing.TB, schema *arrow.Schema, records ...arrow.Record) []byte {
	t.Helper()
	var buf bytes.Buffer
	w, err := parquetio.NewWriter(&buf, schema, parquetio.WriterOptions{Metadata: map[string]string{"k": "v"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, rec := range records {
		if err := w.Write(rec); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func openBytes(t testing.TB, content []byte) *parquetio.File {
	t.Helper()
	f, err := parquetio.Open(bytes.NewReader(content), int64(len(content)), "test.parquet")
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// columnOf reads all rows of a column.
func columnOf(t testing.TB, f *parquetio.File, column int) arrow.Array {
	t.Helper()
	var pieces []arrow.Array
	for rg := range f.RowGroups() {
		for rec, err := range f.Read(t.Context(), rg, []int{column}) {
			if err != nil {
				t.Fatalf("%s: %v", f.Schema().Field(column).Name, err)
			}
			a, err := array.Concatenate([]arrow.Array{rec.Column(0)}, memory.DefaultAllocator) // a copy
			if err != nil {
				t.Fatal(err)
			}
			pieces = append(pieces, a)
		}
	}
	if len(pieces) == 0 {
		return array.NewBuilder(memory.DefaultAllocator, f.Schema().Field(column).Type).NewArray()
	}
	all, err := array.Concatenate(pieces, memory.DefaultAllocator)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestWriteEveryType(t *testing.T) {
	rec := writtenRecord(t, 1)
	whole := parquetOf(t, rec.Schema(), rec)
	var slices []arrow.Record
	for i := range rec.NumRows() {
		slices = append(slices, rec.NewSlice(i, i), rec.NewSlice(i, i+1))
	}
	for what, content := range map[string][]byte{"whole": whole, "row by row": parquetOf(t, rec.Schema(), slices...)} {
		f := openBytes(t, content)
		if v, _ := f.Metadata("k"); v != "v" || f.NumRows() != 4 {
			t.Errorf("%s: %d rows, metadata %q", what, f.NumRows(), v)
		}
		for i, c := range written {
			want := c.typ
			if c.back != nil {
				want = c.back
			}
			if have := f.Schema().Field(i).Type; !arrow.TypeEqual(have, want) {
				t.Errorf("%s: %s came back as %s", what, c.typ, have)
			}
			wanted, err := cast.Array(rec.Column(i), want, cast.Options{})
			if err != nil {
				t.Fatal(err)
			}
			same(t, what+": "+c.typ.String(), columnOf(t, f, i), wanted)
		}
	}
}

func readFile(t testing.TB, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// randomRecord has runs of values and of nulls, so that levels come both as runs and packed.
func randomRecord(rng *rand.Rand, rows int) arrow.Record {
	element := arrow.StructOf(arrow.Field{Name: "x", Type: arrow.PrimitiveTypes.Int16, Nullable: true},
		arrow.Field{Name: "y", Type: arrow.ListOf(arrow.FixedWidthTypes.Boolean), Nullable: true})
	schema := arrow.NewSchema([]arrow.Field{
		{Name: "n", Type: arrow.PrimitiveTypes.Int64, Nullable: true}, {Name: "flag", Type: arrow.FixedWidthTypes.Boolean, Nullable: true},
		{Name: "text", Type: arrow.BinaryTypes.String, Nullable: true}, {Name: "sure", Type: arrow.PrimitiveTypes.Float32},
		{Name: "numbers", Type: arrow.ListOf(arrow.PrimitiveTypes.Float64), Nullable: true},
		{Name: "things", Type: arrow.ListOf(element), Nullable: true},
	}, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	odds := rng.IntN(3)
	for i := range rows {
		if rng.IntN(20) == 0 {
			odds = rng.IntN(3)
		}
		for c, f := range schema.Fields() {
			randomValue(rng, b.Field(c), i, f.Nullable && rng.IntN(2) < odds)
		}
	}
	return b.NewRecord()
}

func randomValue(rng *rand.Rand, b array.Builder, i int, null bool) {
	if null {
		b.AppendNull()
		return
	}
	switch b := b.(type) {
	case *array.Int64Builder:
		b.Append(int64(i))
	case *array.Int16Builder:
		b.Append(int16(i))
	case *array.BooleanBuilder:
		b.Append(rng.IntN(2) == 0)
	case *array.StringBuilder:
		b.Append(strings.Repeat("é", rng.IntN(9)))
	case *array.Float32Builder:
		b.Append(rng.Float32())
	case *array.Float64Builder:
		b.Append(rng.Float64())
	case *array.ListBuilder:
		b.Append(true)
		for range rng.IntN(4) {
			randomValue(rng, b.ValueBuilder(), i, rng.IntN(9) == 0)
		}
	case *array.StructBuilder:
		b.Append(true)
		for f := range b.NumField() {
			randomValue(rng, b.FieldBuilder(f), i, rng.IntN(3) == 0)
		}
	}
}

func TestWriteRandom(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	for range 30 {
		rec := randomRecord(rng, 1+rng.IntN(3000))
		var pieces []arrow.Record
		for at := int64(0); at < rec.NumRows(); {
			end := min(rec.NumRows(), at+1+rng.Int64N(1000))
			pieces = append(pieces, rec.NewSlice(at, end))
			at = end
		}
		f := openBytes(t, parquetOf(t, rec.Schema(), pieces...))
		for i, field := range rec.Schema().Fields() {
			same(t, field.Name, columnOf(t, f, i), rec.Column(i))
		}
	}
}

// Row groups end by rows or by bytes, whichever comes first, and pages where single rows can be found.
func TestWriterCuts(t *testing.T) {
	const rows = 300_001
	b := array.NewInt64Builder(memory.DefaultAllocator)
	for i := range rows {
		b.Append(int64(i))
	}
	schema := arrow.NewSchema([]arrow.Field{{Name: "n", Type: arrow.PrimitiveTypes.Int64, Nullable: true}}, nil)
	rec := array.NewRecord(schema, []arrow.Array{b.NewArray()}, rows)
	f := openBytes(t, parquetOf(t, schema, rec))
	if f.RowGroups() != 3 || f.NumRows() != rows {
		t.Errorf("%d rows in %d row groups", f.NumRows(), f.RowGroups())
	}
	for rg, want := range [][2]int64{{0, 131071}, {131072, 262143}, {262144, 300000}} {
		if lo, hi, ok := f.Range(rg, 0); !ok || lo != want[0] || hi != want[1] {
			t.Errorf("row group %d has bounds %d, %d (%v), want %d", rg, lo, hi, ok, want)
		}
		got, err := f.Gather(t.Context(), rg, []int64{0, 20_000, want[1] - want[0]}, []int{0})
		if err != nil {
			t.Fatal(err)
		}
		if have := fmt.Sprint(got.Column(0)); have != fmt.Sprintf("[%d %d %d]", want[0], want[0]+20_000, want[1]) {
			t.Errorf("row group %d: gathered %s", rg, have)
		}
	}

	long := make([]byte, 3<<20)
	rng := rand.NewChaCha8([32]byte{})
	texts := array.NewBinaryBuilder(memory.DefaultAllocator, arrow.BinaryTypes.Binary)
	for range 50 {
		_, _ = rng.Read(long)
		texts.Append(long)
	}
	schema = arrow.NewSchema([]arrow.Field{{Name: "b", Type: arrow.BinaryTypes.Binary, Nullable: true}}, nil)
	rec = array.NewRecord(schema, []arrow.Array{texts.NewArray()}, 50)
	f = openBytes(t, parquetOf(t, schema, rec))
	if f.RowGroups() < 2 || f.RowGroups() > 4 {
		t.Errorf("150 MiB went to %d row groups", f.RowGroups())
	}
	same(t, "b", columnOf(t, f, 0), rec.Column(0))
}

func TestWriterRefuses(t *testing.T) {
	for _, typ := range []arrow.DataType{
		arrow.FixedWidthTypes.Date64, arrow.BinaryTypes.StringView, arrow.FixedWidthTypes.MonthInterval, arrow.StructOf(),
		arrow.ListOf(arrow.FixedWidthTypes.Date64), arrow.RunEndEncodedOf(arrow.PrimitiveTypes.Int32, arrow.PrimitiveTypes.Int32),
	} {
		schema := arrow.NewSchema([]arrow.Field{{Name: "odd one", Type: typ}}, nil)
		if _, err := parquetio.NewWriter(io.Discard, schema, parquetio.WriterOptions{}); !errors.Is(err, fault.Invalid) ||
			!strings.Contains(err.Error(), `"odd one"`) {
			t.Errorf("%s: %v", typ, err)
		}
	}
	for what, c := range map[string]struct {
		typ    arrow.DataType
		values string
	}{
		"a null":        {arrow.PrimitiveTypes.Int64, `[1, null]`},
		"a null inside": {arrow.ListOfNonNullable(arrow.PrimitiveTypes.Int64), `[[1], [2, null]]`},
		"too far away":  {clock(arrow.Second, ""), `[9223372036854775807]`},
	} {
		a, _, err := array.FromJSON(memory.DefaultAllocator, c.typ, strings.NewReader(c.values), array.WithUseNumber())
		if err != nil {
			t.Fatal(err)
		}
		schema := arrow.NewSchema([]arrow.Field{{Name: "odd one", Type: c.typ}}, nil)
		w, err := parquetio.NewWriter(io.Discard, schema, parquetio.WriterOptions{})
		if err != nil {
			t.Fatal(err)
		}
		err = w.Write(array.NewRecord(schema, []arrow.Array{a}, int64(a.Len())))
		if !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), `"odd one"`) {
			t.Errorf("%s: %v", what, err)
		}
		if w.Close() == nil {
			t.Errorf("%s: the file was closed as complete", what)
		}
	}
	invalid := array.NewStringBuilder(memory.DefaultAllocator)
	invalid.Append("\xff")
	schema := arrow.NewSchema([]arrow.Field{{Name: "t", Type: arrow.BinaryTypes.String}}, nil)
	w, err := parquetio.NewWriter(io.Discard, schema, parquetio.WriterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(array.NewRecord(schema, []arrow.Array{invalid.NewArray()}, 1)); !errors.Is(err, fault.Invalid) {
		t.Errorf("a text that is not UTF-8: %v", err)
	}
}
