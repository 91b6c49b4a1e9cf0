package rowfile_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/flightd/flightd/cmd/flightd/internal/cells"
	"github.com/flightd/flightd/cmd/flightd/internal/rowfile"
)

func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

// read reads a whole file as text: "type: value value ..." for each column.
func read(path string, known rowfile.Columns) (columns []string, err error) {
	rows, err := rowfile.Open(context.Background(), path, func() (rowfile.Columns, error) { return known, nil })
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for _, f := range rows.Schema.Fields() {
		columns = append(columns, cells.TypeName(f.Type)+":")
	}
	total := int64(0)
	for rec, err := range rows.Records {
		if err != nil {
			return nil, err
		}
		total += rec.NumRows()
		for i, column := range rec.Columns() {
			text := cells.Of(column, cells.Exact, "~")
			for row := range column.Len() {
				columns[i] += " " + text(row)
			}
		}
	}
	if rows.Len >= 0 && rows.Len != total {
		return nil, fmt.Errorf("%d rows were promised and %d came", rows.Len, total)
	}
	return columns, nil
}

// What the values of a column make of it.
func TestCSVTypes(t *testing.T) {
	for _, c := range []struct{ values, want string }{
		{"1 -2 ~ 9223372036854775807", "int64: 1 -2 ~ 9223372036854775807"},
		{"1 2.5 ~", "float64: 1 2.5 ~"},
		{"1e3 nan inf -Infinity", "float64: 1000 nan inf -inf"},
		{"007 8", "string: 007 8"},                               // a code
		{"+4930123 1", "string: +4930123 1"},                     // a telephone
		{"9223372036854775808", "string: 9223372036854775808"},   // no digit is lost
		{"9007199254740993 0.5", "string: 9007199254740993 0.5"}, // nor here
		{"0x10 1", "string: 0x10 1"},
		{"1_000", "string: 1_000"},
		{"1e400", "string: 1e400"},
		{"true False ~", "bool: true false ~"},
		{"true 1", "string: true 1"},
		{"~ ~", "string: ~ ~"},
		{"2024-01-31 ~", "timestamp[us]: 2024-01-31T00:00:00 ~"},
		{"2024-01-31T12:00 2024-01-31", "timestamp[us]: 2024-01-31T12:00:00 2024-01-31T00:00:00"},
		{"2024-01-31T12:00:00.5+02:00 2024-01-31", "timestamp[us, UTC]: 2024-01-31T10:00:00.5Z 2024-01-31T00:00:00Z"},
		{"2024-01-31T12:00:00.000000001Z", "timestamp[ns, UTC]: 2024-01-31T12:00:00.000000001Z"},
		{"0001-01-01T00:00:00Z 9999-12-31T23:59:59.999999Z", "timestamp[us, UTC]: 0001-01-01T00:00:00Z 9999-12-31T23:59:59.999999Z"},
		{"2024-02-30", "string: 2024-02-30"},
		{"2024-01-31T24:00:00", "string: 2024-01-31T24:00:00"},
		{"2024-01-31T12:00:00.1234567891", "string: 2024-01-31T12:00:00.1234567891"},
		{"31/01/2024", "string: 31/01/2024"},
		{"2024-01-31T12:00:00+0530 2024-01-31T12:00:00-08", "timestamp[us, UTC]: 2024-01-31T06:30:00Z 2024-01-31T20:00:00Z"},
	} {
		lines := "other,c\n"
		for v := range strings.FieldsSeq(c.values) {
			lines += "x," + strings.ReplaceAll(v, "~", "") + "\n"
		}
		got, err := read(write(t, "in.csv", lines), rowfile.Columns{})
		if err != nil || got[1] != c.want {
			t.Errorf("%s: read as %q (%v), want %q", c.values, got, err, c.want)
		}
	}
}

// A key is read as the type that it has in the view, whatever its values look like.
func TestCSVKeys(t *testing.T) {
	for _, c := range []struct {
		typ          arrow.DataType
		values, want string // want begins with ! if it is part of an error
	}{
		{arrow.BinaryTypes.String, "7 8", "string: 7 8"},
		{arrow.PrimitiveTypes.Int16, "7 99999 ~", "int64: 7 99999 ~"}, // too large for the view: matches nothing
		{arrow.PrimitiveTypes.Int64, "7 x", `!line 3, column k: "x" is not of the type int64 (a key of v)`},
		{arrow.PrimitiveTypes.Uint64, "18446744073709551615", "uint64: 18446744073709551615"},
		{arrow.PrimitiveTypes.Float32, "0.5 1", "float64: 0.5 1"},
		{arrow.FixedWidthTypes.Date32, "2024-01-31", "date32: 2024-01-31"},
		{arrow.FixedWidthTypes.Date32, "2024-01-31T00:00:00", "!column k"},
		{arrow.PrimitiveTypes.Int32, "five", "!not of the type int32 (a key of v)"},
		{arrow.BinaryTypes.Binary, "ab", "binary: YWI="},
		{&arrow.TimestampType{Unit: arrow.Second}, "2024-01-31T12:00:00", "timestamp[s]: 2024-01-31T12:00:00"},
		{&arrow.TimestampType{Unit: arrow.Second}, "2024-01-31T12:00:00.5", "!not of the type timestamp[s]"},
		{&arrow.TimestampType{Unit: arrow.Nanosecond}, "1600-01-01", "!not of the type timestamp[ns]"},
		{&arrow.Decimal128Type{Precision: 5, Scale: 2}, "12.3 -4", "decimal(5, 2): 12.30 -4.00"},
		{&arrow.Decimal128Type{Precision: 5, Scale: 2}, "12.345", "!not of the type decimal"},
		{&arrow.Decimal128Type{Precision: 5, Scale: 2}, "1e999999999", "!not of the type decimal"},
		{&arrow.Decimal128Type{Precision: 5, Scale: 2}, "12345", "!not of the type decimal"},
		{&arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int8, ValueType: arrow.BinaryTypes.String}, "7", "string: 7"},
	} {
		known := rowfile.Columns{Types: map[string]rowfile.Typed{"k": {Type: c.typ, Why: "a key of v"}}}
		lines := "k,other\n"
		for v := range strings.FieldsSeq(c.values) {
			lines += strings.ReplaceAll(v, "~", "") + ",x\n"
		}
		got, err := read(write(t, "in.csv", lines), known)
		if part, wrong := strings.CutPrefix(c.want, "!"); wrong {
			if err == nil || !strings.Contains(err.Error(), part) || !strings.Contains(err.Error(), "in.csv") {
				t.Errorf("%s %s: %v (%q), want an error with %q", c.typ, c.values, err, got, part)
			}
		} else if err != nil || got[0] != c.want {
			t.Errorf("%s %s: read as %q (%v), want %q", c.typ, c.values, got, err, c.want)
		}
	}
}

func TestCSVFiles(t *testing.T) {
	for _, c := range []struct{ name, content, want string }{
		{"quotes", "a,b\n\"x, \"\"y\"\"\nz\", 7 \n", "string: x, \"y\"\nz|int64: 7"},
		{"mark of UTF-8, Windows lines", "\xef\xbb\xbfa,b\r\n1,\r\n", "int64: 1|string: ~"},
		{"no rows", "a,event_timestamp\n", "string:|timestamp[us]:"},
		{"many rows", "a\n" + strings.Repeat("5\n", 70_000), "int64:" + strings.Repeat(" 5", 70_000)},
		{"empty", "", "!is empty"},
		{"ragged", "a,b\n1,2\n1\n", "!in.csv: line 3 has 1 values, and line 1 has 2 columns"},
		{"open quote", "a\n1\n\"" + strings.Repeat("x\n", 9<<20), "!a quote never closed"},
		{"stray quote", "a\nx\"y\n", "!line 2"},
		{"two names", "a,b,a\n", `!two columns have the name "a"`},
		{"no name", ",a\n0,1\n", "!column 1 has no name"},
		{"semicolons", "a;b\n1;2\n", "!separated by commas"},
		{"not UTF-8", "a\nM\xfcnchen\n", "!not UTF-8"},
		{"bad time", "a,event_timestamp\n1,2024-01-31\n2,soon\n", `!line 3, column event_timestamp: "soon" is not a time like`},
		{"not a table", "PAR1\x00\x15\n", "string:"},
	} {
		got, err := read(write(t, "in.csv", c.content), rowfile.Columns{Time: "event_timestamp"})
		if part, wrong := strings.CutPrefix(c.want, "!"); wrong {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("%s: %v, want an error with %q", c.name, err, part)
			}
		} else if text := strings.Join(got, "|"); err != nil || text != c.want {
			t.Errorf("%s: read as %.200q (%v), want %.200q", c.name, text, err, c.want)
		}
	}
}

// Whatever the bytes are, reading them ends with rows or an error, and what was promised comes.
func FuzzCSV(f *testing.F) {
	for _, seed := range []string{"a,b\n1,2\n", "a\n\"x\n\ny\"\n", "\xef\xbb\xbfa\n", "a\n2024-01-31T12:00:00.1+02:00\n", ",\n", "k,event_timestamp\n9,2024-01-01\n"} {
		f.Add([]byte(seed))
	}
	known := rowfile.Columns{Time: "event_timestamp", Types: map[string]rowfile.Typed{
		"k": {Type: arrow.PrimitiveTypes.Int64}, "d": {Type: &arrow.Decimal128Type{Precision: 5, Scale: 2}}}}
	path := filepath.Join(f.TempDir(), "in.csv")
	f.Fuzz(func(t *testing.T, content []byte) {
		if err := os.WriteFile(path, content, 0o666); err != nil {
			t.Fatal(err)
		}
		if _, err := read(path, known); err != nil && !strings.Contains(err.Error(), "in.csv") {
			t.Errorf("the error does not name the file: %v", err)
		}
	})
}
