// Package cells writes the values of Arrow arrays, and their types, as text.
//
// The text of a value is chosen once for an array, by its type, and not value by value. Times are ISO 8601; lists, structs
// and maps are JSON.
package cells

import (
	"encoding/base64"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
)

// Style says for whom values are written.
type Style int

// The styles.
const (
	Exact Style = iota // for files: read again, a value is what it was
	Short              // for screens: floating numbers to about six digits
)

// Text writes one value of an array.
type Text func(i int) string

// Of returns the text of the values of an array. Nulls are written as null says.
func Of(a arrow.Array, style Style, null string) Text {
	text := plain(a, style)
	if a.NullN() == 0 {
		return text
	}
	return func(i int) string {
		if a.IsNull(i) {
			return null
		}
		return text(i)
	}
}

// plain is the text of values that are not null.
func plain(a arrow.Array, style Style) Text {
	switch a := a.(type) {
	case *array.Int8:
		return signed(a.Int8Values())
	case *array.Int16:
		return signed(a.Int16Values())
	case *array.Int32:
		return signed(a.Int32Values())
	case *array.Int64:
		return signed(a.Int64Values())
	case *array.Uint8:
		return unsigned(a.Uint8Values())
	case *array.Uint16:
		return unsigned(a.Uint16Values())
	case *array.Uint32:
		return unsigned(a.Uint32Values())
	case *array.Uint64:
		return unsigned(a.Uint64Values())
	case *array.Float32:
		return func(i int) string { return float(float64(a.Value(i)), 32, style) }
	case *array.Float64:
		return func(i int) string { return float(a.Value(i), 64, style) }
	case *array.Float16:
		return func(i int) string { return float(float64(a.Value(i).Float32()), 32, style) }
	case *array.Boolean:
		return func(i int) string { return strconv.FormatBool(a.Value(i)) }
	case *array.String:
		return a.Value
	case *array.LargeString:
		return a.Value
	case *array.Binary:
		return func(i int) string { return base64.StdEncoding.EncodeToString(a.Value(i)) }
	case *array.LargeBinary:
		return func(i int) string { return base64.StdEncoding.EncodeToString(a.Value(i)) }
	case *array.FixedSizeBinary:
		return func(i int) string { return base64.StdEncoding.EncodeToString(a.Value(i)) }
	case *array.Decimal128:
		scale := a.DataType().(*arrow.Decimal128Type).Scale
		return func(i int) string { return a.Value(i).ToString(scale) }
	case *array.Decimal256:
		scale := a.DataType().(*arrow.Decimal256Type).Scale
		return func(i int) string { return a.Value(i).ToString(scale) }
	case *array.Dictionary:
		values := Of(a.Dictionary(), style, "")
		return func(i int) string { return values(a.GetValueIndex(i)) }
	case array.ExtensionArray:
		return plain(a.Storage(), style)
	}
	if text := timeText(a); text != nil {
		return text
	}
	if text := nestedText(a, style); text != nil {
		return text
	}
	return a.ValueStr // intervals, unions
}

func signed[T int8 | int16 | int32 | int64](values []T) Text {
	return func(i int) string { return strconv.FormatInt(int64(values[i]), 10) }
}

func unsigned[T uint8 | uint16 | uint32 | uint64](values []T) Text {
	return func(i int) string { return strconv.FormatUint(uint64(values[i]), 10) }
}

// float writes what pandas, pyarrow and DuckDB read: inf and nan are lower case.
func float(v float64, bits int, style Style) string {
	size := math.Abs(v)
	switch {
	case math.IsNaN(v):
		return "nan"
	case math.IsInf(v, 0):
		return strings.TrimPrefix(strings.ToLower(strconv.FormatFloat(v, 'g', -1, bits)), "+")
	case style == Exact:
		return strconv.FormatFloat(v, 'g', -1, bits)
	case v != 0 && (size < 1e-4 || size >= 1e15):
		return strconv.FormatFloat(v, 'g', 6, bits)
	}
	decimals := 6
	for limit := 1.0; limit <= size && decimals > 2; limit *= 10 {
		decimals--
	}
	text := strconv.FormatFloat(v, 'f', decimals, bits)
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
}

const (
	isoTime = "2006-01-02T15:04:05.999999999"
	isoDate = "2006-01-02"
)

// timeText is the text of dates, times and durations; nil for other types.
func timeText(a arrow.Array) Text {
	switch a := a.(type) {
	case *array.Timestamp:
		return timestampText(a)
	case *array.Date32:
		return func(i int) string { return a.Value(i).ToTime().Format(isoDate) }
	case *array.Date64:
		return func(i int) string { return time.UnixMilli(int64(a.Value(i))).UTC().Format(isoDate) }
	case *array.Time32:
		unit := a.DataType().(*arrow.Time32Type).Unit
		return func(i int) string { return a.Value(i).FormattedString(unit) }
	case *array.Time64:
		unit := a.DataType().(*arrow.Time64Type).Unit
		return func(i int) string { return a.Value(i).FormattedString(unit) }
	case *array.Duration:
		unit := a.DataType().(*arrow.DurationType).Unit.String()
		return func(i int) string { return strconv.FormatInt(int64(a.Value(i)), 10) + unit }
	}
	return nil
}

// timestampText writes naive times without an offset and others with one. A zone that this machine does not know is
// written in UTC: the instant is the same.
func timestampText(a *array.Timestamp) Text {
	t := a.DataType().(*arrow.TimestampType)
	layout, zone := isoTime, time.UTC
	if t.TimeZone != "" {
		layout += "Z07:00"
		if known, err := time.LoadLocation(t.TimeZone); err == nil {
			zone = known
		}
	}
	return func(i int) string { return instant(int64(a.Value(i)), t.Unit).In(zone).Format(layout) }
}

func instant(v int64, unit arrow.TimeUnit) time.Time {
	switch unit {
	case arrow.Second:
		return time.Unix(v, 0)
	case arrow.Millisecond:
		return time.UnixMilli(v)
	case arrow.Microsecond:
		return time.UnixMicro(v)
	}
	return time.Unix(0, v)
}
