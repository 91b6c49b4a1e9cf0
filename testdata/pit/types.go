package pit

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/apache/arrow/go/v15/arrow"
)

var simpleTypes = map[string]arrow.DataType{
	"bool": arrow.FixedWidthTypes.Boolean,
	"int8": arrow.PrimitiveTypes.Int8, "int16": arrow.PrimitiveTypes.Int16,
	"int32": arrow.PrimitiveTypes.Int32, "int64": arrow.PrimitiveTypes.Int64,
	"uint8": arrow.PrimitiveTypes.Uint8, "uint16": arrow.PrimitiveTypes.Uint16,
	"uint32": arrow.PrimitiveTypes.Uint32, "uint64": arrow.PrimitiveTypes.Uint64,
	"float32": arrow.PrimitiveTypes.Float32, "float64": arrow.PrimitiveTypes.Float64,
	"utf8": arrow.BinaryTypes.String, "large_utf8": arrow.BinaryTypes.LargeString,
	"binary": arrow.BinaryTypes.Binary, "large_binary": arrow.BinaryTypes.LargeBinary,
	"date32": arrow.FixedWidthTypes.Date32, "date64": arrow.FixedWidthTypes.Date64,
	"timestamp": &arrow.TimestampType{Unit: arrow.Microsecond},
}

var units = map[string]arrow.TimeUnit{
	"s": arrow.Second, "ms": arrow.Millisecond, "us": arrow.Microsecond, "ns": arrow.Nanosecond,
}

// dataType reads the name of a type: one of simpleTypes, timestamp[unit] or timestamp[unit,zone], decimal(precision,scale)
// and dictionary<values>, whose indices are int32.
func dataType(name string) (arrow.DataType, error) {
	if t, ok := simpleTypes[name]; ok {
		return t, nil
	}
	if args, ok := between(name, "timestamp[", "]"); ok {
		unit, zone, _ := strings.Cut(args, ",")
		if u, ok := units[unit]; ok {
			return &arrow.TimestampType{Unit: u, TimeZone: strings.TrimSpace(zone)}, nil
		}
	}
	if args, ok := between(name, "decimal(", ")"); ok {
		p, s, _ := strings.Cut(args, ",")
		precision, err := strconv.Atoi(strings.TrimSpace(p))
		scale, err2 := strconv.Atoi(strings.TrimSpace(s))
		switch {
		case err != nil || err2 != nil || precision < 1 || precision > 76:
		case precision > 38:
			return &arrow.Decimal256Type{Precision: int32(precision), Scale: int32(scale)}, nil
		default:
			return &arrow.Decimal128Type{Precision: int32(precision), Scale: int32(scale)}, nil
		}
	}
	if args, ok := between(name, "dictionary<", ">"); ok {
		values, err := dataType(args)
		if err != nil {
			return nil, err
		}
		return &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int32, ValueType: values}, nil
	}
	return nil, fmt.Errorf("no type is called %q here", name)
}

func between(s, prefix, suffix string) (string, bool) {
	if !strings.HasPrefix(s, prefix) || !strings.HasSuffix(s, suffix) {
		return "", false
	}
	return s[len(prefix) : len(s)-len(suffix)], true
}
