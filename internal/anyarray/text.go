package anyarray

import (
	"fmt"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
)

// Text is a value as text, for messages. v15's ValueStr would do, but it goes through JSON for values with others in them,
// and panics if one of those is NaN or infinite; types of extensions need not have it at all.
func Text(a arrow.Array, i int) string {
	if a.IsNull(i) {
		return array.NullValueStr
	}
	switch a := a.(type) {
	case array.ExtensionArray:
		return Text(a.Storage(), i)
	case *array.Dictionary:
		return Text(a.Dictionary(), a.GetValueIndex(i))
	}
	if arrow.IsNested(a.DataType().ID()) {
		return fmt.Sprintf("a value in a %s", a.DataType().Name())
	}
	return a.ValueStr(i)
}
