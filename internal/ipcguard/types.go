package ipcguard

import (
	"encoding/binary"
	"slices"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/flightd/flightd/internal/fault"
)

// Types as the format numbers them.
const (
	typeNull = iota + 1
	typeInt
	typeFloat
	typeBinary
	typeUtf8
	typeBool
	typeDecimal
	typeDate
	typeTime
	typeTimestamp
	typeInterval
	typeList
	typeStruct
	typeUnion
	typeFixedSizeBinary
	typeFixedSizeList
	typeMap
	typeDuration
	typeLargeBinary
	typeLargeUtf8
	typeLargeList
	typeRunEndEncoded
	typeBinaryView
	typeUtf8View
	typeListView
	typeLargeListView
)

// refused says what to do about types that v15 only half knows: no concatenation, comparison or gather that holds.
var refused = map[int]string{
	typeRunEndEncoded: "run-end encoded columns cannot be read; decode the column",
	typeBinaryView:    "binary views cannot be read; cast the column to binary",
	typeUtf8View:      "string views cannot be read; cast the column to string",
	typeListView:      "list views cannot be read; cast the column to list",
	typeLargeListView: "large list views cannot be read; cast the column to large_list",
}

// typeOf builds the type of a field. t holds its parameters, with the defaults of the format where they are absent.
func typeOf(kind int, t table, children []*field) (arrow.DataType, error) {
	if why, ok := refused[kind]; ok {
		return nil, fault.New(fault.Unimplemented, "%s", why)
	}
	if want := childrenOf(kind); want >= 0 && len(children) != want {
		return nil, fault.New(fault.Invalid, "its type needs %d child fields and has %d", want, len(children))
	}
	switch kind {
	case typeNull:
		return arrow.Null, nil
	case typeBool:
		return arrow.FixedWidthTypes.Boolean, nil
	case typeInt:
		return intType(t)
	case typeFloat:
		return pick(t.i16(0, 0), "float precision", arrow.FixedWidthTypes.Float16, arrow.PrimitiveTypes.Float32, arrow.PrimitiveTypes.Float64)
	case typeBinary:
		return arrow.BinaryTypes.Binary, nil
	case typeUtf8:
		return arrow.BinaryTypes.String, nil
	case typeLargeBinary:
		return arrow.BinaryTypes.LargeBinary, nil
	case typeLargeUtf8:
		return arrow.BinaryTypes.LargeString, nil
	case typeFixedSizeBinary:
		if width := t.i32(0, 0); width >= 0 {
			return &arrow.FixedSizeBinaryType{ByteWidth: width}, nil
		}
		return nil, fault.New(fault.Invalid, "a fixed_size_binary of negative width")
	case typeDecimal:
		return decimalType(t.i32(0, 0), t.i32(1, 0), t.i32(2, 128))
	case typeDate, typeTime, typeTimestamp, typeInterval, typeDuration:
		return timeType(kind, t)
	}
	return nestedType(kind, t, children)
}

// childrenOf is how many children a type has, -1 for any number.
func childrenOf(kind int) int {
	switch kind {
	case typeStruct, typeUnion:
		return -1
	case typeList, typeLargeList, typeFixedSizeList, typeMap:
		return 1
	}
	return 0
}

func pick(i int, what string, types ...arrow.DataType) (arrow.DataType, error) {
	if i < 0 || i >= len(types) || types[i] == nil {
		return nil, fault.New(fault.Unimplemented, "%s %d is not known", what, i)
	}
	return types[i], nil
}

func intType(t table) (arrow.DataType, error) {
	p := arrow.PrimitiveTypes
	byWidth := map[int][2]arrow.DataType{8: {p.Uint8, p.Int8}, 16: {p.Uint16, p.Int16}, 32: {p.Uint32, p.Int32}, 64: {p.Uint64, p.Int64}}
	types, ok := byWidth[t.i32(0, 0)]
	if !ok {
		return nil, fault.New(fault.Unimplemented, "integers of %d bits are not known", t.i32(0, 0))
	}
	if t.bool(1) {
		return types[1], nil
	}
	return types[0], nil
}

// decimalType bounds the scale too: v15's tables of powers of ten end at the greatest precision.
func decimalType(precision, scale, bits int) (arrow.DataType, error) {
	digits := map[int]int{128: 38, 256: 76}[bits]
	switch {
	case digits == 0:
		return nil, fault.New(fault.Unimplemented, "decimals of %d bits cannot be read; cast the column to decimal128", bits)
	case precision < 1 || precision > digits || scale < -digits || scale > digits:
		return nil, fault.New(fault.Invalid, "a decimal%d cannot have precision %d and scale %d", bits, precision, scale)
	case bits == 128:
		return &arrow.Decimal128Type{Precision: int32(precision), Scale: int32(scale)}, nil
	}
	return &arrow.Decimal256Type{Precision: int32(precision), Scale: int32(scale)}, nil
}

func timeType(kind int, t table) (arrow.DataType, error) {
	w := arrow.FixedWidthTypes
	switch kind {
	case typeDate:
		return pick(t.i16(0, 1), "date unit", w.Date32, w.Date64)
	case typeTime:
		if bits := t.i32(1, 32); bits == 64 {
			return pick(t.i16(0, 1), "time64 unit", nil, nil, w.Time64us, w.Time64ns)
		} else if bits != 32 {
			return nil, fault.New(fault.Unimplemented, "times of %d bits are not known", bits)
		}
		return pick(t.i16(0, 1), "time32 unit", w.Time32s, w.Time32ms)
	case typeInterval:
		return pick(t.i16(0, 0), "interval unit", w.MonthInterval, w.DayTimeInterval, w.MonthDayNanoInterval)
	case typeDuration:
		return pick(t.i16(0, 1), "duration unit", w.Duration_s, w.Duration_ms, w.Duration_us, w.Duration_ns)
	}
	unit := t.i16(0, 0)
	if unit < 0 || unit > int(arrow.Nanosecond) {
		return nil, fault.New(fault.Unimplemented, "timestamp unit %d is not known", unit)
	}
	return &arrow.TimestampType{Unit: arrow.TimeUnit(unit), TimeZone: t.text(1)}, nil
}

func nestedType(kind int, t table, children []*field) (arrow.DataType, error) {
	switch kind {
	case typeList:
		return arrow.ListOfField(children[0].Field), nil
	case typeLargeList:
		return arrow.LargeListOfField(children[0].Field), nil
	case typeFixedSizeList:
		if n := t.i32(0, 0); n > 0 {
			return arrow.FixedSizeListOfField(int32(n), children[0].Field), nil
		}
		return nil, fault.New(fault.Unimplemented, "a fixed_size_list of %d elements cannot be read; use list", t.i32(0, 0))
	case typeStruct:
		return arrow.StructOf(arrowFields(children)...), nil
	case typeMap:
		return mapType(children[0], t.bool(0))
	case typeUnion:
		return unionType(t, children)
	}
	return nil, fault.New(fault.Unimplemented, "type %d is not known", kind)
}

// mapType loses the names of the entries, as v15 does: they are key and value.
func mapType(entries *field, sorted bool) (arrow.DataType, error) {
	if _, ok := entries.Type.(*arrow.StructType); !ok || len(entries.children) != 2 {
		return nil, fault.New(fault.Invalid, "the entries of a map must be structs of a key and a value")
	}
	key, item := entries.children[0], entries.children[1]
	t := arrow.MapOfWithMetadata(key.Type, key.Metadata, item.Type, item.Metadata)
	t.SetItemNullable(item.Nullable)
	t.KeysSorted = sorted
	entries.Type = t.Elem()
	return t, nil
}

func unionType(t table, children []*field) (arrow.DataType, error) {
	mode, ids := t.i16(0, 0), t.vector(1, 4)
	if mode != 0 && mode != 1 {
		return nil, fault.New(fault.Unimplemented, "union mode %d is not known", mode)
	}
	codes := make([]arrow.UnionTypeCode, 0, len(children))
	for i := range children {
		code := i
		if len(ids) >= 4*(i+1) {
			code = int(int32(binary.LittleEndian.Uint32(ids[4*i:])))
		}
		// v15's writer adds one to the greatest code in an int8, so 127 could be read but not sent on.
		if code < 0 || code >= int(arrow.MaxUnionTypeCode) || slices.Contains(codes, arrow.UnionTypeCode(code)) {
			return nil, fault.New(fault.Invalid, "type id %d of a union is not in 0..126, or not unique", code)
		}
		codes = append(codes, arrow.UnionTypeCode(code))
	}
	if len(ids) != 0 && len(ids) != 4*len(children) {
		return nil, fault.New(fault.Invalid, "a union of %d fields has %d type ids", len(children), len(ids)/4)
	}
	if mode == 0 {
		return arrow.SparseUnionOf(arrowFields(children), codes), nil
	}
	return arrow.DenseUnionOf(arrowFields(children), codes), nil
}
