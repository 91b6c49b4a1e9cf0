package csvstore

import (
	"errors"
	"strings"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
)

// null is the field that means null.
const null = `\N`

// appendField appends one field of a line to a column.
func appendField(b array.Builder, field string) error {
	if field == null {
		b.AppendNull()
		return nil
	}
	switch b := b.(type) {
	case *array.StringBuilder:
		if strings.HasPrefix(field, `\`) {
			field = field[1:]
		}
		b.Append(field)
		return nil
	case *array.TimestampBuilder:
		t, err := time.Parse(time.RFC3339, field)
		if err == nil && t.Nanosecond()%1000 != 0 {
			err = errors.New("a time here has at most six digits of fraction")
		}
		b.Append(arrow.Timestamp(t.UnixMicro()))
		return err
	}
	return b.AppendValueFromString(field)
}
