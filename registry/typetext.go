package registry

import (
	"fmt"
	"strings"

	"github.com/apache/arrow/go/v15/arrow"
)

// typeText spells a type as pyarrow's str does. Feast's clients turn these words back into types of their own.
func typeText(t arrow.DataType) string {
	switch t := t.(type) {
	case *arrow.StringType:
		return "string"
	case *arrow.LargeStringType:
		return "large_string"
	case *arrow.BinaryType:
		return "binary"
	case *arrow.LargeBinaryType:
		return "large_binary"
	case *arrow.FixedSizeBinaryType:
		return fmt.Sprintf("fixed_size_binary[%d]", t.ByteWidth)
	case *arrow.BooleanType:
		return "bool"
	case *arrow.Float16Type:
		return "halffloat"
	case *arrow.Float32Type:
		return "float"
	case *arrow.Float64Type:
		return "double"
	case *arrow.Date32Type:
		return "date32[day]"
	case *arrow.Date64Type:
		return "date64[ms]"
	case *arrow.TimestampType:
		if t.TimeZone == "" {
			return fmt.Sprintf("timestamp[%s]", t.Unit)
		}
		return fmt.Sprintf("timestamp[%s, tz=%s]", t.Unit, t.TimeZone)
	case *arrow.Time32Type:
		return fmt.Sprintf("time32[%s]", t.Unit)
	case *arrow.Time64Type:
		return fmt.Sprintf("time64[%s]", t.Unit)
	case *arrow.DurationType:
		return fmt.Sprintf("duration[%s]", t.Unit)
	case *arrow.Decimal128Type:
		return fmt.Sprintf("decimal128(%d, %d)", t.Precision, t.Scale)
	case *arrow.Decimal256Type:
		return fmt.Sprintf("decimal256(%d, %d)", t.Precision, t.Scale)
	case *arrow.DictionaryType:
		ordered := 0
		if t.Ordered {
			ordered = 1
		}
		return fmt.Sprintf("dictionary<values=%s, indices=%s, ordered=%d>", typeText(t.ValueType), typeText(t.IndexType), ordered)
	case *arrow.ListType:
		return "list<" + fieldText(t.ElemField()) + ">"
	case *arrow.LargeListType:
		return "large_list<" + fieldText(t.ElemField()) + ">"
	case *arrow.FixedSizeListType:
		return fmt.Sprintf("fixed_size_list<%s>[%d]", fieldText(t.ElemField()), t.Len())
	case *arrow.StructType:
		fields := make([]string, len(t.Fields()))
		for i, f := range t.Fields() {
			fields[i] = fieldText(f)
		}
		return "struct<" + strings.Join(fields, ", ") + ">"
	case *arrow.MapType:
		return mapText(t)
	case arrow.ExtensionType:
		return "extension<" + t.ExtensionName() + ">"
	}
	return t.Name()
}

func fieldText(f arrow.Field) string {
	text := f.Name + ": " + typeText(f.Type)
	if !f.Nullable {
		text += " not null"
	}
	return text
}

// mapText names the fields of a map's entries where they have other names than usual.
func mapText(t *arrow.MapType) string {
	text := "map<" + typeText(t.KeyType())
	if name := t.KeyField().Name; name != "key" {
		text += fmt.Sprintf(" ('%s')", name)
	}
	text += ", " + typeText(t.ItemType())
	if name := t.ItemField().Name; name != "value" {
		text += fmt.Sprintf(" ('%s')", name)
	}
	if t.KeysSorted {
		text += ", keys_sorted"
	}
	return text + ">"
}
