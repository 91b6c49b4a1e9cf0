package csvstore

import (
	"fmt"
	"slices"
	"strings"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/flightd/flightd/stores"
)

// types are the words that may stand behind the colon in a header.
var types = map[string]arrow.DataType{
	"bool":      arrow.FixedWidthTypes.Boolean,
	"int64":     arrow.PrimitiveTypes.Int64,
	"float64":   arrow.PrimitiveTypes.Float64,
	"string":    arrow.BinaryTypes.String,
	"date":      arrow.FixedWidthTypes.Date32,
	"timestamp": &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"},
}

// parseHeader makes a schema of the first line: name:type for each column.
func parseHeader(header []string) (*arrow.Schema, error) {
	fields := make([]arrow.Field, len(header))
	for i, text := range header {
		colon := strings.LastIndexByte(text, ':')
		typ, ok := types[text[colon+1:]]
		if colon < 0 || !ok {
			return nil, fmt.Errorf("%w: header %q is not name:type with a type of bool, int64, float64, string, date, timestamp",
				stores.ErrPrecondition, text)
		}
		fields[i] = arrow.Field{Name: text[:colon], Type: typ, Nullable: true}
	}
	return arrow.NewSchema(fields, nil), nil
}

// project finds the selected columns: the schema of the records, and where each column is in a line.
func project(schema *arrow.Schema, columns []string) (*arrow.Schema, []int, error) {
	fields, positions := make([]arrow.Field, len(columns)), make([]int, len(columns))
	for i, name := range columns {
		at := slices.IndexFunc(schema.Fields(), func(f arrow.Field) bool { return f.Name == name })
		if at < 0 {
			return nil, nil, fmt.Errorf("%w: no column %q", stores.ErrPrecondition, name)
		}
		fields[i], positions[i] = schema.Field(at), at
	}
	return arrow.NewSchema(fields, nil), positions, nil
}
