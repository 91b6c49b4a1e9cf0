package parquetio

import (
	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
)

// v15 writes a time without a zone as one in UTC, and a time of a zone other than UTC as one without a zone. So it is
// shown other names: a naive time has a zone that is none, and every other time is in UTC, which is the same instant. The
// schema that is stored beside the columns has the zones as they are.
const noZone = "naive"

// retyped is the type under which v15 writes a type as it is meant; the same one if that is the case already.
func retyped(t arrow.DataType) arrow.DataType {
	switch t := t.(type) {
	case *arrow.TimestampType:
		switch t.TimeZone {
		case "":
			return &arrow.TimestampType{Unit: t.Unit, TimeZone: noZone}
		case "UTC":
			return t
		}
		return &arrow.TimestampType{Unit: t.Unit, TimeZone: "UTC"}
	case *arrow.ListType:
		return arrow.ListOfField(retypedField(t.ElemField()))
	case *arrow.StructType:
		fields := make([]arrow.Field, len(t.Fields()))
		for i, f := range t.Fields() {
			fields[i] = retypedField(f)
		}
		return arrow.StructOf(fields...)
	case *arrow.MapType:
		m := arrow.MapOf(retyped(t.KeyType()), retyped(t.ItemType()))
		m.SetItemNullable(t.ItemField().Nullable)
		return m
	}
	return t
}

func retypedField(f arrow.Field) arrow.Field {
	f.Type = retyped(f.Type)
	return f
}

func retypedSchema(s *arrow.Schema) *arrow.Schema {
	fields := make([]arrow.Field, len(s.Fields()))
	for i, f := range s.Fields() {
		fields[i] = retypedField(f)
	}
	metadata := s.Metadata()
	return arrow.NewSchema(fields, &metadata)
}

// retypedRecord is rec with the types of schema, over the same buffers.
func retypedRecord(rec arrow.Record, schema *arrow.Schema) arrow.Record {
	columns := make([]arrow.Array, rec.NumCols())
	for i, column := range rec.Columns() {
		data := retypedData(column.Data(), schema.Field(i).Type)
		columns[i] = array.MakeFromData(data)
		data.Release()
		defer columns[i].Release()
	}
	return array.NewRecord(schema, columns, rec.NumRows())
}

func retypedData(d arrow.ArrayData, t arrow.DataType) *array.Data {
	var inner []arrow.DataType
	switch t := t.(type) {
	case *arrow.MapType: // its one child is a list of structs
		inner = []arrow.DataType{t.ValueType()}
	case arrow.NestedType:
		for _, f := range t.Fields() {
			inner = append(inner, f.Type)
		}
	}
	children := make([]arrow.ArrayData, len(d.Children()))
	for i, child := range d.Children() {
		data := retypedData(child, inner[i])
		children[i] = data
		defer data.Release()
	}
	return array.NewData(t, d.Len(), d.Buffers(), children, d.NullN(), d.Offset())
}
