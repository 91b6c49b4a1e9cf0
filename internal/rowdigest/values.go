package rowdigest

import (
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
)

// kindOf names the canonical form of a type: equal kinds have comparable values.
func kindOf(t arrow.DataType) (string, error) {
	switch t := t.(type) {
	case *arrow.NullType:
		return "null", nil
	case *arrow.BooleanType:
		return "bool", nil
	case *arrow.Int8Type, *arrow.Int16Type, *arrow.Int32Type, *arrow.Int64Type, *arrow.Uint8Type, *arrow.Uint16Type, *arrow.Uint32Type:
		return "int", nil
	case *arrow.Uint64Type:
		return "uint64", nil
	case *arrow.Float16Type, *arrow.Float32Type, *arrow.Float64Type:
		return "float", nil
	case *arrow.StringType, *arrow.LargeStringType:
		return "text", nil
	case *arrow.BinaryType, *arrow.LargeBinaryType, *arrow.FixedSizeBinaryType:
		return "binary", nil
	case *arrow.Date32Type, *arrow.Date64Type:
		return "date", nil
	case *arrow.TimestampType:
		return "instant", nil
	case *arrow.Time32Type, *arrow.Time64Type:
		return "clock", nil
	case *arrow.DurationType:
		return "duration", nil
	case *arrow.Decimal128Type:
		return "decimal" + strconv.Itoa(int(t.Scale)), nil
	case *arrow.Decimal256Type:
		return "decimal" + strconv.Itoa(int(t.Scale)), nil
	case *arrow.DictionaryType:
		return kindOf(t.ValueType)
	case arrow.ExtensionType:
		return kindOf(t.StorageType())
	case *arrow.MapType:
		return nestedKind("map", t.KeyType(), t.ItemType())
	case *arrow.ListType, *arrow.LargeListType, *arrow.FixedSizeListType:
		return nestedKind("list", t.(arrow.ListLikeType).Elem())
	case *arrow.StructType:
		kind := "struct"
		types := make([]arrow.DataType, len(t.Fields()))
		for i, f := range t.Fields() {
			kind, types[i] = kind+":"+strconv.Quote(f.Name), f.Type
		}
		return nestedKind(kind, types...)
	}
	return "", fmt.Errorf("type %s has no digest", t)
}

func nestedKind(outer string, inner ...arrow.DataType) (string, error) {
	kinds := make([]string, len(inner))
	for i, t := range inner {
		var err error
		if kinds[i], err = kindOf(t); err != nil {
			return "", err
		}
	}
	return outer + "(" + strings.Join(kinds, ",") + ")", nil
}

// appendFunc appends the canonical form of the value at an index: a byte that says whether it is there, and the value.
type appendFunc func(buf []byte, i int) []byte

// appender makes the appendFunc of an array, nulls included.
func appender(a arrow.Array) (appendFunc, error) {
	value, err := present(a)
	if err != nil {
		return nil, err
	}
	if a.DataType().ID() == arrow.DICTIONARY || a.NullN() == 0 && a.DataType().ID() != arrow.NULL {
		return func(buf []byte, i int) []byte { return value(append(buf, 1), i) }, nil
	}
	return func(buf []byte, i int) []byte {
		if a.IsNull(i) {
			return append(buf, 0)
		}
		return value(append(buf, 1), i)
	}, nil
}

// present is appender for values that are there.
func present(a arrow.Array) (appendFunc, error) {
	switch a := a.(type) {
	case *array.Null:
		return func(buf []byte, _ int) []byte { return buf }, nil
	case *array.Boolean:
		return func(buf []byte, i int) []byte {
			if a.Value(i) {
				return append(buf, 1)
			}
			return append(buf, 0)
		}, nil
	case *array.Int8:
		return integers(a.Int8Values()), nil
	case *array.Int16:
		return integers(a.Int16Values()), nil
	case *array.Int32:
		return integers(a.Int32Values()), nil
	case *array.Int64:
		return integers(a.Int64Values()), nil
	case *array.Uint8:
		return integers(a.Uint8Values()), nil
	case *array.Uint16:
		return integers(a.Uint16Values()), nil
	case *array.Uint32:
		return integers(a.Uint32Values()), nil
	case *array.Uint64:
		return integers(a.Uint64Values()), nil
	case *array.Float16:
		return func(buf []byte, i int) []byte { return appendFloat(buf, float64(a.Value(i).Float32())) }, nil
	case *array.Float32:
		return func(buf []byte, i int) []byte { return appendFloat(buf, float64(a.Value(i))) }, nil
	case *array.Float64:
		return func(buf []byte, i int) []byte { return appendFloat(buf, a.Value(i)) }, nil
	case *array.Date32:
		return integers(a.Date32Values()), nil
	case *array.Date64:
		const day = int64(24 * time.Hour / time.Millisecond)
		return func(buf []byte, i int) []byte { return appendInt(buf, int64(a.Value(i))/day) }, nil
	case *array.Timestamp:
		return instants(a.TimestampValues(), a.DataType().(*arrow.TimestampType).Unit), nil
	case *array.Duration:
		return instants(a.DurationValues(), a.DataType().(*arrow.DurationType).Unit), nil
	case *array.Time32:
		return instants(a.Time32Values(), a.DataType().(*arrow.Time32Type).Unit), nil
	case *array.Time64:
		return instants(a.Time64Values(), a.DataType().(*arrow.Time64Type).Unit), nil
	case *array.String:
		return func(buf []byte, i int) []byte { return appendText(buf, a.Value(i)) }, nil
	case *array.LargeString:
		return func(buf []byte, i int) []byte { return appendText(buf, a.Value(i)) }, nil
	case *array.Binary:
		return binaries(a.Value), nil
	case *array.LargeBinary:
		return binaries(a.Value), nil
	case *array.FixedSizeBinary:
		return binaries(a.Value), nil
	case *array.Decimal128:
		return func(buf []byte, i int) []byte {
			v := a.Value(i)
			sign := uint64(v.HighBits() >> 63)
			return appendWords(buf, v.LowBits(), uint64(v.HighBits()), sign, sign)
		}, nil
	case *array.Decimal256:
		return func(buf []byte, i int) []byte {
			words := a.Value(i).Array()
			return appendWords(buf, words[:]...)
		}, nil
	}
	return nested(a)
}

func nested(a arrow.Array) (appendFunc, error) {
	switch a := a.(type) {
	case *array.Dictionary:
		return dictionary(a)
	case array.ExtensionArray:
		return present(a.Storage())
	case *array.FixedSizeList:
		n, first := int(a.DataType().(*arrow.FixedSizeListType).Len()), a.Data().Offset()
		return list(a.ListValues(), func(i int) (lo, hi int) { return (first + i) * n, (first + i + 1) * n })
	case array.ListLike: // lists, large lists and maps, whose entries are structs
		return list(a.ListValues(), func(i int) (lo, hi int) {
			from, to := a.ValueOffsets(i)
			return int(from), int(to)
		})
	case *array.Struct:
		fields := make([]appendFunc, a.NumField())
		for i := range fields {
			var err error
			if fields[i], err = appender(a.Field(i)); err != nil {
				return nil, err
			}
		}
		return func(buf []byte, i int) []byte {
			for _, field := range fields {
				buf = field(buf, i)
			}
			return buf
		}, nil
	}
	return nil, fmt.Errorf("type %s has no digest", a.DataType())
}

// dictionary looks through to the values; one that is null there is null.
func dictionary(a *array.Dictionary) (appendFunc, error) {
	values, err := appender(a.Dictionary())
	if err != nil {
		return nil, err
	}
	return func(buf []byte, i int) []byte {
		buf = buf[:len(buf)-1] // the values say themselves whether they are there
		if a.IsNull(i) {
			return append(buf, 0)
		}
		return values(buf, a.GetValueIndex(i))
	}, nil
}

func list(elements arrow.Array, bounds func(i int) (lo, hi int)) (appendFunc, error) {
	element, err := appender(elements)
	if err != nil {
		return nil, err
	}
	return func(buf []byte, i int) []byte {
		lo, hi := bounds(i)
		buf = binary.LittleEndian.AppendUint64(buf, uint64(hi-lo))
		for ; lo < hi; lo++ {
			buf = element(buf, lo)
		}
		return buf
	}, nil
}

type integer interface {
	~int8 | ~int16 | ~int32 | ~int64 | ~uint8 | ~uint16 | ~uint32 | ~uint64
}

func integers[T integer](values []T) appendFunc {
	return func(buf []byte, i int) []byte { return appendInt(buf, int64(values[i])) }
}

func binaries(value func(int) []byte) appendFunc {
	return func(buf []byte, i int) []byte {
		v := value(i)
		return append(binary.LittleEndian.AppendUint64(buf, uint64(len(v))), v...)
	}
}

// instants are whole seconds and nanoseconds, which every unit has over its whole range.
func instants[T ~int32 | ~int64](values []T, unit arrow.TimeUnit) appendFunc {
	nanos := int64(unit.Multiplier())
	perSecond := int64(time.Second) / nanos
	return func(buf []byte, i int) []byte {
		v := int64(values[i])
		seconds, rest := v/perSecond, v%perSecond
		if rest < 0 {
			seconds, rest = seconds-1, rest+perSecond
		}
		return binary.LittleEndian.AppendUint32(appendInt(buf, seconds), uint32(rest*nanos))
	}
}

func appendInt(buf []byte, v int64) []byte { return binary.LittleEndian.AppendUint64(buf, uint64(v)) }

// appendFloat tells 0 from -0, but not one NaN from another: widening makes them differ.
func appendFloat(buf []byte, v float64) []byte {
	if v != v {
		v = math.NaN()
	}
	return binary.LittleEndian.AppendUint64(buf, math.Float64bits(v))
}

func appendWords(buf []byte, words ...uint64) []byte {
	for _, w := range words {
		buf = binary.LittleEndian.AppendUint64(buf, w)
	}
	return buf
}
