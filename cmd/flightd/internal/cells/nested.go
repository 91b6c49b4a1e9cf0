package cells

import (
	"encoding/json"
	"strings"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
)

// nestedText writes lists, structs and maps as JSON; nil for other types.
func nestedText(a arrow.Array, style Style) Text {
	switch a := a.(type) {
	case *array.Map: // before the lists: a map is one of structs
		keys, items := element(a.Keys(), style), element(a.Items(), style)
		return func(i int) string {
			lo, hi := a.ValueOffsets(i)
			return series('{', '}', lo, hi, func(j int) string { return key(keys(j)) + ":" + items(j) })
		}
	case array.ListLike:
		values := element(a.ListValues(), style)
		return func(i int) string {
			lo, hi := a.ValueOffsets(i)
			return series('[', ']', lo, hi, values)
		}
	case *array.Struct:
		fields := a.DataType().(*arrow.StructType).Fields()
		values := make([]Text, len(fields))
		for f := range fields {
			values[f] = element(a.Field(f), style)
		}
		return func(i int) string {
			return series('{', '}', 0, int64(len(fields)), func(f int) string { return quoted(fields[f].Name) + ":" + values[f](i) })
		}
	}
	return nil
}

// element writes a value inside another: what is not a number, a truth value or nested is a JSON string.
func element(a arrow.Array, style Style) Text {
	text := plain(a, style)
	switch t := a.DataType(); {
	case IsNumber(t), t.ID() == arrow.BOOL, arrow.IsNested(t.ID()):
	default:
		bare := text
		text = func(i int) string { return quoted(bare(i)) }
	}
	return func(i int) string {
		if a.IsNull(i) {
			return "null"
		}
		return text(i)
	}
}

func series(open, shut byte, lo, hi int64, text Text) string {
	var b strings.Builder
	b.WriteByte(open)
	for j := lo; j < hi; j++ {
		if j > lo {
			b.WriteByte(',')
		}
		b.WriteString(text(int(j)))
	}
	b.WriteByte(shut)
	return b.String()
}

// key makes a name of a value written by element, which has quoted it if it is a text.
func key(json string) string {
	if strings.HasPrefix(json, `"`) {
		return json
	}
	return quoted(json)
}

func quoted(s string) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a string always encodes
	return strings.TrimSuffix(b.String(), "\n")
}
