package memstore

import (
	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/flightd/flightd/internal/fault"
)

// null is the row number that take answers with a null.
const null = -1

// take makes an array of the given rows of values. It is generic over all types because it concatenates slices, one for
// each run of neighbouring rows; a store that is asked for many rows would copy typed values instead.
func take(values arrow.Array, rows []int64) (arrow.Array, error) {
	if len(rows) == 0 {
		return array.MakeArrayOfNull(memory.DefaultAllocator, values.DataType(), 0), nil
	}
	var runs []arrow.Array
	for i := 0; i < len(rows); {
		j := i + 1
		if rows[i] == null {
			runs = append(runs, array.MakeArrayOfNull(memory.DefaultAllocator, values.DataType(), 1))
		} else {
			for j < len(rows) && rows[j] == rows[j-1]+1 {
				j++
			}
			runs = append(runs, array.NewSlice(values, rows[i], rows[i]+int64(j-i)))
		}
		i = j
	}
	out, err := array.Concatenate(runs, memory.DefaultAllocator)
	if err == nil {
		settle(out)
	}
	return out, err
}

// concat makes one record of many.
func concat(schema *arrow.Schema, records []arrow.Record) (arrow.Record, error) {
	columns := make([]arrow.Array, len(schema.Fields()))
	var rows int64
	for _, rec := range records {
		rows += rec.NumRows()
	}
	for i := range columns {
		if len(records) == 0 {
			columns[i] = array.MakeArrayOfNull(memory.DefaultAllocator, schema.Field(i).Type, 0)
			continue
		}
		pieces := make([]arrow.Array, len(records))
		for j, rec := range records {
			pieces[j] = rec.Column(i)
		}
		var err error
		if columns[i], err = array.Concatenate(pieces, memory.DefaultAllocator); err != nil {
			return nil, err
		}
		settle(columns[i])
	}
	return array.NewRecord(schema, columns, rows), nil
}

// settle makes an array count its nulls now. Arrow counts them on first use, unlocked, which is a race between readers.
func settle(a arrow.Array) {
	a.NullN()
	if a.DataType().ID() == arrow.EXTENSION {
		settle(a.(array.ExtensionArray).Storage())
		return
	}
	switch a := a.(type) {
	case *array.Struct:
		for i := range a.NumField() {
			settle(a.Field(i))
		}
	case array.ListLike:
		settle(a.ListValues())
	}
}

// decodedSchema is a schema without dictionaries and without metadata.
func decodedSchema(schema *arrow.Schema) *arrow.Schema {
	fields := make([]arrow.Field, len(schema.Fields()))
	for i, f := range schema.Fields() {
		if d, ok := f.Type.(*arrow.DictionaryType); ok {
			f.Type = d.ValueType
		}
		fields[i] = f
	}
	return arrow.NewSchema(fields, nil)
}

// decode gives a record the types of schema, its dictionary columns decoded, ready to be shared between readers.
func decode(schema *arrow.Schema, rec arrow.Record) (arrow.Record, error) {
	columns := make([]arrow.Array, rec.NumCols())
	for i, col := range rec.Columns() {
		columns[i] = col
		if d, ok := col.(*array.Dictionary); ok {
			decoded, err := decodeDictionary(d)
			if err != nil {
				return nil, fault.New(fault.Invalid, "column %q: %w", rec.ColumnName(i), err)
			}
			columns[i] = decoded
		}
		settle(columns[i])
	}
	return array.NewRecord(schema, columns, rec.NumRows()), nil
}

func decodeDictionary(d *array.Dictionary) (arrow.Array, error) {
	rows := make([]int64, d.Len())
	for i := range rows {
		rows[i] = null
		if d.IsValid(i) {
			rows[i] = int64(d.GetValueIndex(i))
		}
	}
	return take(d.Dictionary(), rows)
}
