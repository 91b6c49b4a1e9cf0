package filestore_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/flightd/flightd/joins"
	"github.com/flightd/flightd/stores"
)

var (
	i8, i16, i32, i64 = arrow.PrimitiveTypes.Int8, arrow.PrimitiveTypes.Int16, arrow.PrimitiveTypes.Int32, arrow.PrimitiveTypes.Int64
	u8, u16, u32, u64 = arrow.PrimitiveTypes.Uint8, arrow.PrimitiveTypes.Uint16, arrow.PrimitiveTypes.Uint32, arrow.PrimitiveTypes.Uint64
	f32, f64          = arrow.PrimitiveTypes.Float32, arrow.PrimitiveTypes.Float64
	text, largeText   = arrow.BinaryTypes.String, arrow.BinaryTypes.LargeString
	boolean, date32   = arrow.FixedWidthTypes.Boolean, arrow.FixedWidthTypes.Date32
)

func clock(unit arrow.TimeUnit, zone string) arrow.DataType {
	return &arrow.TimestampType{Unit: unit, TimeZone: zone}
}

// Files of a folder whose columns have other types take the wider one, whichever comes first (semantics P87).
func TestWiderTypes(t *testing.T) {
	ms, us, ns := clock(arrow.Millisecond, ""), clock(arrow.Microsecond, ""), clock(arrow.Nanosecond, "")
	for _, c := range []struct {
		narrow, wide         arrow.DataType
		values, others, want string // of the narrow file, of the wide one, and of the narrow one once it is wide
		lo, hi               int64
	}{
		{i8, i16, `[-128, null, 127]`, `[1]`, "-128 (null) 127", -128, 127},
		{i8, i64, `[-128, null, 127]`, `[1]`, "-128 (null) 127", -128, 127},
		{i16, i32, `[-32768, 32767, null]`, `[1]`, "-32768 32767 (null)", -32768, 32767},
		{i32, i64, `[null, -2147483648, 2147483647]`, `[1]`, "(null) -2147483648 2147483647", -2147483648, 2147483647},
		{u8, u16, `[255, 0]`, `[1]`, "255 0", 0, 255},
		{u16, u64, `[65535, null]`, `[1]`, "65535 (null)", 0, 65535},
		{u32, u64, `[4294967295, null]`, `[1]`, "4294967295 (null)", 0, 4294967295},
		{u8, i16, `[255, null]`, `[-1]`, "255 (null)", 0, 255},
		{u32, i64, `[4294967295, null]`, `[-1]`, "4294967295 (null)", 0, 4294967295},
		{f32, f64, `[0.5, null, "-Inf"]`, `[1]`, "0.5 (null) -Inf", 0, 0},
		{text, largeText, `["", null, "é", "x"]`, `["y"]`, " (null) é x", 0, 0},
		{arrow.BinaryTypes.Binary, arrow.BinaryTypes.LargeBinary, `["AA==", null]`, `["AQ=="]`, "AA== (null)", 0, 0},
		{ms, us, `[-1, null, 1704067200123]`, `[0]`, "1969-12-31 23:59:59.999Z (null) 2024-01-01 00:00:00.123Z", -1000, 1704067200123000},
		{us, ns, `[-1, null, 1704067200000001]`, `[0]`, "1969-12-31 23:59:59.999999Z (null) 2024-01-01 00:00:00.000001Z", -1000, 1704067200000001000},
		{arrow.FixedWidthTypes.Time32ms, arrow.FixedWidthTypes.Time64us, `["12:00:00.5", null]`, `["00:00:00"]`, "12:00:00.500000 (null)", 0, 0},
	} {
		for _, names := range [][2]string{{"a", "b"}, {"b", "a"}} {
			root := t.TempDir()
			write(t, filepath.Join(root, "f", names[0]+".parquet"), rec(t, col{"x", c.narrow, c.values}))
			write(t, filepath.Join(root, "f", names[1]+".parquet"), rec(t, col{"x", c.wide, c.others}))
			s := open(t, root)
			schema, rows, err := scanText(t, s, "f")
			if err != nil || schema != "x:"+c.wide.String() {
				t.Errorf("%s and %s: %s, %v", c.narrow, c.wide, schema, err)
				continue
			}
			got := strings.Join(rows, " ")
			if !strings.HasPrefix(got+" ", c.want+" ") && !strings.HasSuffix(" "+got, " "+c.want) {
				t.Errorf("%s as %s: %s, want %s", c.narrow, c.wide, got, c.want)
			}
			checkBounds(t, openTable(t, s, "f"), "f/"+names[0], c.lo, c.hi)
		}
	}
}

// checkBounds compares the bounds on x in a file, if there are any.
func checkBounds(t *testing.T, table joins.Table, file string, lo, hi int64) {
	t.Helper()
	for i, p := range table.Parts() {
		if strings.HasPrefix(p.Name, file) {
			if gotLo, gotHi, ok := table.(joins.Ranger).Range(i, "x"); ok && (gotLo > lo || gotHi < hi) {
				t.Errorf("%s: bounds [%d, %d], want at least [%d, %d]", table.Schema(), gotLo, gotHi, lo, hi)
			}
		}
	}
}

func listOf(name string, element arrow.DataType, nullable bool) arrow.DataType {
	return arrow.ListOfField(arrow.Field{Name: name, Type: element, Nullable: nullable})
}

// Lists whose elements have other names, and nested fields that may be null in one file alone, are one type.
func TestNestedTypesOfManyWriters(t *testing.T) {
	point := func(nullable bool) arrow.DataType {
		return arrow.StructOf(arrow.Field{Name: "x", Type: f64, Nullable: nullable}, arrow.Field{Name: "tags", Type: listOf("item", text, nullable), Nullable: true})
	}
	items := arrow.MapOf(text, i64)
	items.SetItemNullable(false)
	for _, c := range []struct {
		a, b   arrow.DataType
		va, vb string
		want   string
	}{
		{listOf("element", i64, false), listOf("item", i64, true), `[[1, 2], [], null]`, `[[null, 3], null]`, "[1,2] [] (null) [null,3] (null)"},
		{listOf("array", point(false), false), listOf("element", point(true), true), `[[{"x": 1, "tags": ["a"]}], null]`, `[[null, {"x": null, "tags": [null]}]]`,
			`[{"tags":["a"],"x":1}] (null) [null,{"tags":[null],"x":null}]`},
		{point(false), point(true), `[{"x": 1, "tags": null}, null]`, `[{"x": null, "tags": ["b", null]}]`, `{"tags":null,"x":1} (null) {"tags":["b",null],"x":null}`},
		{items, arrow.MapOf(text, i64), `[[{"key": "k", "value": 1}], null]`, `[[{"key": "l", "value": null}]]`, `[{"key":"k","value":1}] (null) [{"key":"l","value":null}]`},
	} {
		root := t.TempDir()
		write(t, filepath.Join(root, "f", "a.parquet"), rec(t, col{"x", c.a, c.va}))
		write(t, filepath.Join(root, "f", "b.parquet"), rec(t, col{"x", c.b, c.vb}))
		s := open(t, root)
		schema, rows, err := scanText(t, s, "f")
		if got := strings.Join(rows, " "); err != nil || got != c.want {
			t.Errorf("%s and %s: %v\n  got  %s\n  want %s", c.a, c.b, err, got, c.want)
		}
		if want := openTable(t, s, "f").Schema().Field(0).Type; err == nil && schema != "x:"+want.String() {
			t.Errorf("%s and %s: %s, want %s", c.a, c.b, schema, want)
		}
	}
}

// The same nested columns from files that call the elements of lists item and element: rows of both can be put into one
// column.
func TestNestedFilesTogether(t *testing.T) {
	root := t.TempDir()
	for _, name := range []string{"pyarrow_compliant_off.parquet", "pyarrow_nested.parquet"} {
		data, err := os.ReadFile(filepath.Join("../../testdata/parquet", name))
		if err == nil {
			err = os.WriteFile(filepath.Join(root, name), data, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	table := openTable(t, open(t, root), ".")
	for _, f := range table.Schema().Fields() {
		var chunks []arrow.Array
		var refs []joins.Ref
		for part := range table.Parts() {
			rec, err := table.(joins.Gatherer).Gather(t.Context(), part, []int64{0, 3, 5, 50, 119}, []string{f.Name})
			if err != nil {
				t.Fatal(err)
			}
			chunks = append(chunks, rec.Column(0))
			for i := range rec.NumRows() {
				refs = append(refs, joins.Ref{Chunk: int32(part), Row: int32(i)})
			}
		}
		taken, err := joins.Take(f.Type, chunks, refs)
		if err != nil {
			t.Fatal(err)
		}
		if len(chunks) != 2 || taken.Len() != 10 || !arrow.TypeEqual(taken.DataType(), f.Type) {
			t.Fatalf("%s: %d chunks, %d rows of %s, want %s", f.Name, len(chunks), taken.Len(), taken.DataType(), f.Type)
		}
		for i := range 5 {
			if a, b, want := taken.ValueStr(i), taken.ValueStr(i+5), chunks[1].ValueStr(i); a != want || b != want {
				t.Errorf("%s: %s and %s, want %s", f.Name, a, b, want)
			}
		}
	}
}

// Any other two types are an error that names the column, both types and both files.
func TestTypesThatDiffer(t *testing.T) {
	us := clock(arrow.Microsecond, "")
	for _, c := range [][2]arrow.DataType{
		{i64, text}, {i64, f64}, {i32, f64}, {i64, u64}, {i32, u32}, {u64, i8}, {boolean, i8}, {date32, us}, {date32, text}, {us, i64},
		{us, clock(arrow.Microsecond, "UTC")}, {clock(arrow.Millisecond, "UTC"), us}, {text, arrow.BinaryTypes.Binary},
		{&arrow.Decimal128Type{Precision: 10, Scale: 2}, &arrow.Decimal128Type{Precision: 12, Scale: 2}},
		{listOf("element", i32, true), listOf("element", i64, true)}, {listOf("element", i64, true), i64},
		{arrow.StructOf(arrow.Field{Name: "a", Type: i64, Nullable: true}), arrow.StructOf(arrow.Field{Name: "b", Type: i64, Nullable: true})},
		{arrow.MapOf(text, i64), arrow.MapOf(text, i32)}, {arrow.MapOf(text, i64), arrow.MapOf(i64, i64)},
	} {
		root := t.TempDir()
		write(t, filepath.Join(root, "f", "a.parquet"), rec(t, col{"k", i64, `[1]`}, col{"the column", c[0], `[null]`}))
		write(t, filepath.Join(root, "f", "b.parquet"), rec(t, col{"k", i64, `[1]`}, col{"the column", c[1], `[null]`}))
		_, _, err := scanText(t, open(t, root), "f")
		if !errors.Is(err, stores.ErrPrecondition) {
			t.Errorf("%s and %s: %v", c[0], c[1], err)
			continue
		}
		for _, says := range []string{`"the column"`, c[0].String() + " in", c[1].String() + " in", `"f/a.parquet"`, `"f/b.parquet"`} {
			if !strings.Contains(err.Error(), says) {
				t.Errorf("%s and %s: %v does not say %s", c[0], c[1], err, says)
			}
		}
	}
}

// A time that the finer unit of another file cannot hold is an error, not another time.
func TestTimeThatDoesNotFit(t *testing.T) {
	for _, value := range []string{"9223372036854775807", "-9223372036854775808", "9223372036854776", "-9223372036854776"} {
		root := t.TempDir()
		write(t, filepath.Join(root, "f", "a.parquet"), rec(t, col{"at", clock(arrow.Microsecond, ""), `[0, ` + value + `]`}))
		write(t, filepath.Join(root, "f", "b.parquet"), rec(t, col{"at", clock(arrow.Nanosecond, ""), `[0]`}))
		_, _, err := scanText(t, open(t, root), "f")
		if !errors.Is(err, stores.ErrPrecondition) || !strings.Contains(err.Error(), value) || !strings.Contains(err.Error(), "f/a.parquet") {
			t.Errorf("%s: %v", value, err)
		}
	}
}

// Columns may stand in any order; one that a file does not have is null there, whatever its type.
func TestColumnsThatDiffer(t *testing.T) {
	root := t.TempDir()
	nested := arrow.StructOf(arrow.Field{Name: "l", Type: arrow.ListOf(text), Nullable: true})
	write(t, filepath.Join(root, "f", "a.parquet"), rec(t, col{"a", i64, `[1]`}, col{"b", text, `["x"]`}))
	write(t, filepath.Join(root, "f", "b.parquet"), rec(t, col{"b", text, `["y"]`}, col{"a", i32, `[2]`}))
	write(t, filepath.Join(root, "f", "c.parquet"), rec(t, col{"c", nested, `[{"l": ["z"]}]`}, col{"d", &arrow.Decimal128Type{Precision: 9, Scale: 1}, `["1.5"]`}, col{"a", i8, `[3]`}))
	schema, rows, err := scanText(t, open(t, root), "f")
	want := `1 x (null) (null)|2 y (null) (null)|3 (null) {"l":["z"]} 1.5`
	if got := strings.Join(rows, "|"); err != nil || got != want {
		t.Errorf("%v\n  got  %s\n  want %s", err, got, want)
	}
	if !strings.HasPrefix(schema, "a:int64, b:utf8, c:struct<") {
		t.Errorf("schema %s", schema)
	}
}

// A file with two columns of one name is refused: nobody could say which is meant.
func TestColumnsOfOneName(t *testing.T) {
	root := t.TempDir()
	write(t, filepath.Join(root, "f", "a.parquet"), rec(t, col{"x", i64, `[1]`}, col{"y", i64, `[2]`}, col{"x", text, `["z"]`}))
	_, _, err := scanText(t, open(t, root), "f")
	if !errors.Is(err, stores.ErrPrecondition) || !strings.Contains(err.Error(), `"x"`) || !strings.Contains(err.Error(), "f/a.parquet") {
		t.Errorf("%v", err)
	}
}

// Parts are ordered by the time flightd wrote them, files from elsewhere first and by path (semantics P12).
func TestOrderOfParts(t *testing.T) {
	root := t.TempDir()
	for name, at := range map[string]string{
		"a": "300", "b": "", "c": "200", "d": "200", "e": "not a time", "f/g": "100", "B": "", "f.g": "", "h": "99999999999999999999",
	} {
		metadata := map[string]string{}
		if at != "" {
			metadata["flightd.written_at"] = at
		}
		r := rec(t, col{"name", text, fmt.Sprintf("[%q]", name)})
		writeFile(t, filepath.Join(root, "f", name+".parquet"), r.Schema(), metadata, r, r)
	}
	table := openTable(t, open(t, root), "f")
	var names []string
	for _, p := range table.Parts() {
		names = append(names, p.Name)
	}
	var want []string
	for _, name := range []string{"B", "b", "e", "f.g", "h", "f/g", "c", "d", "a"} {
		want = append(want, "f/"+name+".parquet#0", "f/"+name+".parquet#1")
	}
	if got := strings.Join(names, "\n"); got != strings.Join(want, "\n") {
		t.Errorf("got\n%s", got)
	}
}
