package registry

import (
	"encoding/json"
	"strings"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/flightd/flightd/internal/feastpb"
)

// Tags in which Feast keeps what a value type alone does not say.
const (
	structTag = "feast:struct_schema"     // {"field": "TYPE", ...}
	nestedTag = "feast:nested_inner_type" // Array(Set(INT64))
)

// maxTypeDepth bounds how deep a type from a tag may nest.
const maxTypeDepth = 16

var (
	utcMicros = arrow.FixedWidthTypes.Timestamp_us
	textMap   = arrow.MapOf(arrow.BinaryTypes.String, arrow.BinaryTypes.String)
)

// scalars are the types without an inside, by their names in Feast's types and in its value types.
var scalars = map[string]arrow.DataType{
	"BYTES": arrow.BinaryTypes.Binary, "PDF_BYTES": arrow.BinaryTypes.Binary, "IMAGE_BYTES": arrow.BinaryTypes.Binary,
	"STRING": arrow.BinaryTypes.String, "UUID": arrow.BinaryTypes.String, "TIME_UUID": arrow.BinaryTypes.String, "DECIMAL": arrow.BinaryTypes.String,
	"JSON":  arrow.BinaryTypes.LargeString,
	"INT32": arrow.PrimitiveTypes.Int32, "INT64": arrow.PrimitiveTypes.Int64,
	"FLOAT32": arrow.PrimitiveTypes.Float32, "FLOAT": arrow.PrimitiveTypes.Float32,
	"FLOAT64": arrow.PrimitiveTypes.Float64, "DOUBLE": arrow.PrimitiveTypes.Float64,
	"BOOL":           arrow.FixedWidthTypes.Boolean,
	"UNIX_TIMESTAMP": utcMicros, "ZONED_TIMESTAMP": utcMicros,
	"MAP":  textMap,
	"NULL": arrow.Null,
}

// fieldType is the Arrow type that a field of a view is declared to have; nil if the declaration does not say it (a scalar
// map's values are the store's affair, and old clients left types out).
func fieldType(f *feastpb.FeatureSpecV2) arrow.DataType {
	switch f.GetValueType() {
	case feastpb.ValueType_STRUCT:
		return structType(f.GetTags()[structTag], 0)
	case feastpb.ValueType_STRUCT_LIST:
		return listOf(structType(f.GetTags()[structTag], 0))
	case feastpb.ValueType_VALUE_LIST, feastpb.ValueType_VALUE_SET:
		return namedType(f.GetTags()[nestedTag], 0)
	}
	return valueType(f.GetValueType())
}

// valueType is the Arrow type of a value type that needs no tags.
func valueType(v feastpb.ValueType_Enum) arrow.DataType {
	name := v.String()
	for _, collection := range []string{"_LIST", "_SET"} {
		if inner, ok := strings.CutSuffix(name, collection); ok {
			return listOf(scalars[inner])
		}
	}
	return scalars[name]
}

func listOf(inner arrow.DataType) arrow.DataType {
	if inner == nil {
		return nil
	}
	return arrow.ListOf(inner)
}

// structType reads the fields of a struct, in the order in which they stand there.
func structType(text string, depth int) arrow.DataType {
	d := json.NewDecoder(strings.NewReader(text))
	if token, err := d.Token(); err != nil || token != json.Delim('{') || depth > maxTypeDepth {
		return nil
	}
	var fields []arrow.Field
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil
		}
		var inner string
		if d.Decode(&inner) != nil {
			return nil
		}
		t := namedType(inner, depth+1)
		if t == nil {
			return nil
		}
		fields = append(fields, arrow.Field{Name: name.(string), Type: t, Nullable: true})
	}
	return arrow.StructOf(fields...)
}

// namedType reads a type as Feast writes it into tags: INT64, Array(Set(INT64)), {"__struct__": {"field": "INT64"}}.
func namedType(text string, depth int) arrow.DataType {
	if depth > maxTypeDepth {
		return nil
	}
	for _, collection := range []string{"Array(", "Set("} {
		if inner, ok := strings.CutPrefix(text, collection); ok && strings.HasSuffix(inner, ")") {
			return listOf(namedType(inner[:len(inner)-1], depth+1))
		}
	}
	if strings.HasPrefix(text, "{") {
		var nested map[string]json.RawMessage
		if json.Unmarshal([]byte(text), &nested) != nil {
			return nil
		}
		return structType(string(nested["__struct__"]), depth+1)
	}
	return scalars[text]
}
