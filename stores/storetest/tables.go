package storetest

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
)

// instant is the type of the time columns in the suite's own tables.
var instant = &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}

// base is 2024-01-01T00:00:00Z in microseconds; step is the hour between two rows of the history.
const (
	base = 1_704_067_200_000_000
	step = 3_600_000_000
)

var historySchema = arrow.NewSchema([]arrow.Field{
	{Name: "driver_id", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
	{Name: "event_timestamp", Type: instant, Nullable: true},
	{Name: "created", Type: instant, Nullable: true},
	{Name: "trips", Type: arrow.PrimitiveTypes.Float64, Nullable: true},
	{Name: "note", Type: arrow.BinaryTypes.String, Nullable: true},
}, nil)

// history is a table of hourly rows in several records, in time order except for a few late ones, with some nulls.
func history(records, rowsEach int) Table {
	table := Table{Schema: historySchema}
	for r := range records {
		b := array.NewRecordBuilder(memory.DefaultAllocator, historySchema)
		for i := range rowsEach {
			appendHistory(b, r*rowsEach+i)
		}
		table.Records = append(table.Records, b.NewRecord())
		b.Release()
	}
	return table
}

func appendHistory(b *array.RecordBuilder, i int) {
	at := int64(i)
	if i%10 == 9 {
		at -= 7 // a late row
	}
	b.Field(0).(*array.Int64Builder).Append(int64(i % 4))
	b.Field(1).(*array.TimestampBuilder).Append(arrow.Timestamp(base + at*step))
	if i%3 == 0 {
		b.Field(2).AppendNull()
	} else {
		b.Field(2).(*array.TimestampBuilder).Append(arrow.Timestamp(base + int64(i+1)*step))
	}
	if i%5 == 4 {
		b.Field(3).AppendNull()
	} else {
		b.Field(3).(*array.Float64Builder).Append(float64(i) / 4)
	}
	if i%7 == 6 {
		b.Field(4).AppendNull()
	} else {
		b.Field(4).(*array.StringBuilder).Append(fmt.Sprintf("row %d", i))
	}
}

// column is one column of a table of the matrix, its four values as JSON.
type column struct {
	name   string
	typ    arrow.DataType
	values string
}

// columnTable makes a table of one record of equally long columns.
func columnTable(columns []column) Table {
	fields, arrays := make([]arrow.Field, len(columns)), make([]arrow.Array, len(columns))
	for i, c := range columns {
		fields[i] = arrow.Field{Name: c.name, Type: c.typ, Nullable: true}
		a, _, err := array.FromJSON(memory.DefaultAllocator, c.typ, strings.NewReader(c.values), array.WithUseNumber())
		if err != nil {
			panic(fmt.Sprintf("storetest: column %s: %v", c.name, err))
		}
		arrays[i] = a
	}
	schema := arrow.NewSchema(fields, nil)
	return Table{Schema: schema, Records: []arrow.Record{array.NewRecord(schema, arrays, int64(arrays[0].Len()))}}
}

// zeroRows is the table with no rows.
func (table Table) zeroRows() Table {
	b := array.NewRecordBuilder(memory.DefaultAllocator, table.Schema)
	defer b.Release()
	return Table{Schema: table.Schema, Records: []arrow.Record{b.NewRecord()}}
}

// matrix are the types that features and keys come in. One is called by its type.
var matrix = []column{
	{"bool", arrow.FixedWidthTypes.Boolean, `[true, null, false, true]`},
	{"int8", arrow.PrimitiveTypes.Int8, `[-128, null, 0, 127]`},
	{"int16", arrow.PrimitiveTypes.Int16, `[-32768, null, 0, 32767]`},
	{"int32", arrow.PrimitiveTypes.Int32, `[-2147483648, null, 0, 2147483647]`},
	{"int64", arrow.PrimitiveTypes.Int64, `[-9223372036854775808, null, 0, 9223372036854775807]`},
	{"uint8", arrow.PrimitiveTypes.Uint8, `[0, null, 1, 255]`},
	{"uint16", arrow.PrimitiveTypes.Uint16, `[0, null, 1, 65535]`},
	{"uint32", arrow.PrimitiveTypes.Uint32, `[0, null, 1, 4294967295]`},
	{"uint64", arrow.PrimitiveTypes.Uint64, `[0, null, 1, 18446744073709551615]`},
	{"float32", arrow.PrimitiveTypes.Float32, `[0.25, null, "-Inf", 3.4028235e38]`},
	{"float64", arrow.PrimitiveTypes.Float64, `[0.1, null, "NaN", 5e-324]`},
	{"text", arrow.BinaryTypes.String, `["", null, "a,\"b\"\n'c'\\N\t", "Zürich ☃ 𝄞"]`},
	{"null words", arrow.BinaryTypes.String, `["NULL", null, "null", "\\N"]`},
	{"large_text", arrow.BinaryTypes.LargeString, `["", null, "x", " padded "]`},
	{"binary", arrow.BinaryTypes.Binary, `["", null, "AAEC/w==", "aGVsbG8="]`},
	{"date32", arrow.FixedWidthTypes.Date32, `["1969-12-31", null, "2024-02-29", "9999-12-31"]`},
	{"time64", arrow.FixedWidthTypes.Time64us, `["00:00:00", null, "12:30:00.5", "23:59:59.999999"]`},
	{"decimal", &arrow.Decimal128Type{Precision: 18, Scale: 4}, `["-1.5", null, "0", "12345678901234.5678"]`},
	{"list", arrow.ListOf(arrow.PrimitiveTypes.Int64), `[[1, 2], null, [], [3, null]]`},
	{"struct", arrow.StructOf(
		arrow.Field{Name: "a", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
		arrow.Field{Name: "b", Type: arrow.BinaryTypes.String, Nullable: true},
	), `[{"a": 1, "b": "x"}, null, {"a": null, "b": ""}, {"a": 2, "b": null}]`},
	{"map", arrow.MapOf(arrow.BinaryTypes.String, arrow.PrimitiveTypes.Float64),
		`[[{"key": "k", "value": 1.5}], null, [], [{"key": "l", "value": null}]]`},
}

// clocks are timestamps of every unit, naive and zoned.
func clocks() []column {
	var columns []column
	for _, unit := range []arrow.TimeUnit{arrow.Second, arrow.Millisecond, arrow.Microsecond, arrow.Nanosecond} {
		for _, zone := range []string{"", "UTC", "Europe/Paris"} {
			typ := &arrow.TimestampType{Unit: unit, TimeZone: zone}
			columns = append(columns, column{typ.String(), typ, clockValues(unit)})
		}
	}
	return columns
}

// clockValues are an instant before 1970, one with every digit that the unit has, and the first instant of 1970.
func clockValues(unit arrow.TimeUnit) string {
	perSecond := int64(1e9) / int64(unit.Multiplier())
	var values bytes.Buffer
	fmt.Fprintf(&values, `[%d, null, %d, 0]`, -perSecond-1, 1704067200*perSecond+perSecond-1)
	return values.String()
}

// oddNames are column names that need quoting somewhere.
var oddNames = []string{
	"with space", "quo\"te", "apo'strophe", "dot.ted", "Zürich ☃", "select", "semi;colon", "per%cent", "back\\slash",
	"comma,", "co:lon", "UPPER", "a/b", "%s", "$1", "?", "1st",
}

func oddColumns() []column {
	columns := make([]column, len(oddNames))
	for i, name := range oddNames {
		columns[i] = column{name, arrow.PrimitiveTypes.Int64, fmt.Sprintf("[%d, null, -%d]", i, i)}
	}
	return columns
}
