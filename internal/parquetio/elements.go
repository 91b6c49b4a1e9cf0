package parquetio

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math/big"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/ipc"
	"github.com/parquet-go/parquet-go/deprecated"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"

	"github.com/flightd/flightd/internal/fault"
)

// schemaElements describe columns of Arrow types the way pyarrow does, so that whatever reads its files reads ours.
func schemaElements(schema *arrow.Schema) ([]format.SchemaElement, error) {
	elements := []format.SchemaElement{group("schema", len(schema.Fields()))}
	elements[0].RepetitionType = thrift.Null[format.FieldRepetitionType]{}
	for _, f := range schema.Fields() {
		below, err := fieldElements(f.Name, f.Type, f.Nullable, 0)
		if err != nil {
			return nil, fault.New(fault.Invalid, "column %q: %w", f.Name, err)
		}
		elements = append(elements, below...)
	}
	return elements, nil
}

func group(name string, children int) format.SchemaElement {
	return format.SchemaElement{
		Name: name, NumChildren: thrift.New(int32(children)), RepetitionType: thrift.New(format.Required),
	}
}

// fieldElements are a field's own element and those of all that is nested in it.
func fieldElements(name string, t arrow.DataType, nullable bool, depth int) ([]format.SchemaElement, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("nested more than %d deep", maxDepth)
	}
	var elements []format.SchemaElement
	var err error
	switch t := t.(type) {
	case arrow.ExtensionType:
		return fieldElements(name, t.StorageType(), nullable, depth)
	case *arrow.DictionaryType:
		return fieldElements(name, t.ValueType, nullable, depth)
	case *arrow.StructType:
		elements, err = structElements(name, t.Fields(), depth)
	case *arrow.MapType:
		elements, err = mapElements(name, t, depth)
	case *arrow.ListType, *arrow.LargeListType, *arrow.FixedSizeListType:
		elements, err = listElements(name, t.(arrow.NestedType).Fields()[0], depth)
	default:
		var e format.SchemaElement
		e, err = leafElement(t)
		e.Name = name
		elements = []format.SchemaElement{e}
	}
	if err != nil {
		return nil, err
	}
	repetition := format.Required
	if nullable || t.ID() == arrow.NULL {
		repetition = format.Optional
	}
	elements[0].RepetitionType = thrift.New(repetition)
	return elements, nil
}

func structElements(name string, fields []arrow.Field, depth int) ([]format.SchemaElement, error) {
	if len(fields) == 0 {
		return nil, fmt.Errorf("%q is a struct without fields, which Parquet does not have", name)
	}
	elements := []format.SchemaElement{group(name, len(fields))}
	for _, f := range fields {
		below, err := fieldElements(f.Name, f.Type, f.Nullable, depth+1)
		if err != nil {
			return nil, err
		}
		elements = append(elements, below...)
	}
	return elements, nil
}

func listElements(name string, element arrow.Field, depth int) ([]format.SchemaElement, error) {
	outer, repeated := group(name, 1), group("list", 1)
	outer.LogicalType.Value = &format.ListType{}
	outer.ConvertedType = thrift.New(deprecated.List)
	repeated.RepetitionType = thrift.New(format.Repeated)
	below, err := fieldElements("element", element.Type, element.Nullable, depth+1)
	return append([]format.SchemaElement{outer, repeated}, below...), err
}

func mapElements(name string, t *arrow.MapType, depth int) ([]format.SchemaElement, error) {
	outer, repeated := group(name, 1), group("key_value", 2)
	outer.LogicalType.Value = &format.MapType{}
	outer.ConvertedType = thrift.New(deprecated.Map)
	repeated.RepetitionType = thrift.New(format.Repeated)
	keys, err := fieldElements("key", t.KeyType(), false, depth+1)
	if err != nil {
		return nil, err
	}
	items, err := fieldElements("value", t.ItemType(), t.ItemField().Nullable, depth+1)
	elements := append([]format.SchemaElement{outer, repeated}, keys...)
	return append(elements, items...), err
}

// leafElement is the physical and the logical type of a column without children.
func leafElement(t arrow.DataType) (e format.SchemaElement, err error) {
	physical := func(t format.Type) { e.Type = thrift.New(t) }
	logical := func(v format.LogicalTypeValue) { e.LogicalType.Value = v }
	converted := func(c deprecated.ConvertedType) { e.ConvertedType = thrift.New(c) }
	switch t := t.(type) {
	case *arrow.NullType:
		physical(format.Int32)
		logical(&format.NullType{})
	case *arrow.BooleanType:
		physical(format.Boolean)
	case *arrow.Int8Type, *arrow.Int16Type, *arrow.Uint8Type, *arrow.Uint16Type, *arrow.Uint32Type, *arrow.Uint64Type:
		physical(format.Int32)
		bits := t.(arrow.FixedWidthDataType).BitWidth()
		if bits == 64 {
			physical(format.Int64)
		}
		signed := arrow.IsSignedInteger(t.ID())
		logical(&format.IntType{BitWidth: int8(bits), IsSigned: signed})
		converted(convertedInteger(bits, signed))
	case *arrow.Int32Type:
		physical(format.Int32)
	case *arrow.Int64Type, *arrow.DurationType:
		physical(format.Int64)
	case *arrow.Float16Type:
		physical(format.FixedLenByteArray)
		e.TypeLength = thrift.New(int32(2))
		logical(&format.Float16Type{})
	case *arrow.Float32Type:
		physical(format.Float)
	case *arrow.Float64Type:
		physical(format.Double)
	case *arrow.StringType, *arrow.LargeStringType:
		physical(format.ByteArray)
		logical(&format.StringType{})
		converted(deprecated.UTF8)
	case *arrow.BinaryType, *arrow.LargeBinaryType:
		physical(format.ByteArray)
	case *arrow.FixedSizeBinaryType:
		physical(format.FixedLenByteArray)
		e.TypeLength = thrift.New(int32(t.ByteWidth))
		if t.ByteWidth <= 0 {
			err = fmt.Errorf("values of %d bytes cannot be written to Parquet", t.ByteWidth)
		}
	case *arrow.Date32Type:
		physical(format.Int32)
		logical(&format.DateType{})
		converted(deprecated.Date)
	case *arrow.Time32Type: // Parquet has no seconds
		physical(format.Int32)
		logical(&format.TimeType{IsAdjustedToUTC: true, Unit: timeUnitOf(arrow.Millisecond)})
		converted(deprecated.TimeMillis)
	case *arrow.Time64Type:
		physical(format.Int64)
		logical(&format.TimeType{IsAdjustedToUTC: true, Unit: timeUnitOf(t.Unit)})
		if t.Unit == arrow.Microsecond {
			converted(deprecated.TimeMicros)
		}
	case *arrow.TimestampType:
		physical(format.Int64)
		logical(&format.TimestampType{IsAdjustedToUTC: t.TimeZone != "", Unit: timeUnitOf(t.Unit)})
		if t.TimeZone != "" && t.Unit == arrow.Microsecond {
			converted(deprecated.TimestampMicros)
		} else if t.TimeZone != "" && t.Unit != arrow.Nanosecond {
			converted(deprecated.TimestampMillis)
		}
	case *arrow.Decimal128Type:
		decimalElement(&e, t.Precision, t.Scale)
	case *arrow.Decimal256Type:
		decimalElement(&e, t.Precision, t.Scale)
	default:
		err = fmt.Errorf("type %s cannot be written to Parquet; cast it, or write Arrow IPC (.arrow)", t)
	}
	return e, err
}

// timeUnitOf is the unit in which times of an Arrow unit are stored: seconds as milliseconds.
func timeUnitOf(u arrow.TimeUnit) format.TimeUnit {
	switch u {
	case arrow.Microsecond:
		return format.TimeUnit{Value: &format.MicroSeconds{}}
	case arrow.Nanosecond:
		return format.TimeUnit{Value: &format.NanoSeconds{}}
	}
	return format.TimeUnit{Value: &format.MilliSeconds{}}
}

func convertedInteger(bits int, signed bool) deprecated.ConvertedType {
	first := deprecated.Uint8
	if signed {
		first = deprecated.Int8
	}
	for width := 8; width < bits; width *= 2 {
		first++
	}
	return first
}

// decimalElement stores decimals in as few bytes as the precision needs.
func decimalElement(e *format.SchemaElement, precision, scale int32) {
	most := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(precision)), nil)
	e.Type = thrift.New(format.FixedLenByteArray)
	e.TypeLength = thrift.New(int32(most.BitLen()/8 + 1)) // one bit more for the sign
	e.LogicalType.Value = &format.DecimalType{Precision: precision, Scale: scale}
	e.ConvertedType = thrift.New(deprecated.Decimal)
	e.Precision, e.Scale = thrift.New(precision), thrift.New(scale)
}

// encodeSchema is the Arrow schema as files store it beside their own, for what Parquet cannot say: zones, durations,
// large types. It describes what was written, so dictionaries are gone from it.
func encodeSchema(schema *arrow.Schema) (string, error) {
	fields := make([]arrow.Field, len(schema.Fields()))
	for i, f := range schema.Fields() {
		fields[i] = arrow.Field{Name: f.Name, Type: plainType(f.Type), Nullable: f.Nullable, Metadata: f.Metadata}
	}
	meta := schema.Metadata()
	var buf bytes.Buffer
	err := ipc.NewWriter(&buf, ipc.WithSchema(arrow.NewSchema(fields, &meta))).Close()
	return base64.StdEncoding.EncodeToString(buf.Bytes()), err
}

// plainType is a type as it is stored: without dictionaries and extensions.
func plainType(t arrow.DataType) arrow.DataType {
	field := func(f arrow.Field) arrow.Field {
		f.Type = plainType(f.Type)
		return f
	}
	switch t := t.(type) {
	case *arrow.DictionaryType:
		return plainType(t.ValueType)
	case arrow.ExtensionType:
		return plainType(t.StorageType())
	case *arrow.MapType:
		m := arrow.MapOf(plainType(t.KeyType()), plainType(t.ItemType()))
		m.SetItemNullable(t.ItemField().Nullable)
		return m
	case *arrow.ListType:
		return arrow.ListOfField(field(t.ElemField()))
	case *arrow.LargeListType:
		return arrow.LargeListOfField(field(t.ElemField()))
	case *arrow.FixedSizeListType:
		return arrow.FixedSizeListOfField(t.Len(), field(t.ElemField()))
	case *arrow.StructType:
		fields := make([]arrow.Field, len(t.Fields()))
		for i, f := range t.Fields() {
			fields[i] = field(f)
		}
		return arrow.StructOf(fields...)
	}
	return t
}
