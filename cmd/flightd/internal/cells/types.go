package cells

import (
	"fmt"
	"strings"

	"github.com/apache/arrow/go/v15/arrow"
)

// TypeName names a type in short, by Arrow's words: string for utf8, no indices of dictionaries, no names of list elements.
func TypeName(t arrow.DataType) string {
	switch t := t.(type) {
	case *arrow.StringType:
		return "string"
	case *arrow.LargeStringType:
		return "large_string"
	case *arrow.TimestampType:
		if t.TimeZone == "" {
			return fmt.Sprintf("timestamp[%s]", t.Unit)
		}
		return fmt.Sprintf("timestamp[%s, %s]", t.Unit, t.TimeZone)
	case *arrow.Decimal128Type:
		return fmt.Sprintf("decimal(%d, %d)", t.Precision, t.Scale)
	case *arrow.Decimal256Type:
		return fmt.Sprintf("decimal256(%d, %d)", t.Precision, t.Scale)
	case *arrow.DictionaryType:
		return "dictionary<" + TypeName(t.ValueType) + ">"
	case *arrow.MapType:
		return "map<" + TypeName(t.KeyType()) + ", " + TypeName(t.ItemType()) + ">"
	case *arrow.StructType:
		fields := make([]string, len(t.Fields()))
		for i, f := range t.Fields() {
			fields[i] = f.Name + ": " + TypeName(f.Type)
		}
		return "struct<" + strings.Join(fields, ", ") + ">"
	case arrow.ListLikeType:
		return "list<" + TypeName(t.Elem()) + ">"
	}
	return t.String()
}

// IsNumber reports whether values of the type are numbers.
func IsNumber(t arrow.DataType) bool {
	return arrow.IsInteger(t.ID()) || arrow.IsFloating(t.ID()) || arrow.IsDecimal(t.ID())
}

// IsTime reports whether values of the type are dates or times, of a day or at all.
func IsTime(t arrow.DataType) bool {
	switch t.ID() {
	case arrow.TIMESTAMP, arrow.DATE32, arrow.DATE64, arrow.TIME32, arrow.TIME64:
		return true
	}
	return false
}
