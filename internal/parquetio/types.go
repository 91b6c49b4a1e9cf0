package parquetio

import (
	"fmt"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/parquet-go/parquet-go/deprecated"
	"github.com/parquet-go/parquet-go/format"
)

// leafType is the Arrow type of a column, as pyarrow maps it.
func leafType(e *format.SchemaElement) (arrow.DataType, error) {
	if e.LogicalType.Value != nil {
		if t := logicalType(e); t != nil {
			return t, nil
		}
	} else if e.ConvertedType.Valid {
		if t := convertedType(e); t != nil {
			return t, nil
		}
	}
	switch e.Type.V {
	case format.Boolean:
		return arrow.FixedWidthTypes.Boolean, nil
	case format.Int32:
		return arrow.PrimitiveTypes.Int32, nil
	case format.Int64:
		return arrow.PrimitiveTypes.Int64, nil
	case format.Int96:
		return &arrow.TimestampType{Unit: arrow.Nanosecond}, nil
	case format.Float:
		return arrow.PrimitiveTypes.Float32, nil
	case format.Double:
		return arrow.PrimitiveTypes.Float64, nil
	case format.ByteArray:
		return arrow.BinaryTypes.Binary, nil
	case format.FixedLenByteArray:
		if e.TypeLength.V <= 0 {
			return nil, fmt.Errorf("column %q has values of %d bytes", e.Name, e.TypeLength.V)
		}
		return &arrow.FixedSizeBinaryType{ByteWidth: int(e.TypeLength.V)}, nil
	}
	return nil, fmt.Errorf("column %q has the unknown physical type %d", e.Name, e.Type.V)
}

// logicalType is nil where the logical type does not fit the physical one: the physical type then stands for itself.
func logicalType(e *format.SchemaElement) arrow.DataType {
	physical := e.Type.V
	switch t := e.LogicalType.Value.(type) {
	case *format.StringType:
		if physical == format.ByteArray {
			return arrow.BinaryTypes.String
		}
	case *format.JsonType:
		if physical == format.ByteArray {
			return arrow.BinaryTypes.String
		}
	case *format.DecimalType:
		return decimalType(t.Precision, t.Scale)
	case *format.DateType:
		if physical == format.Int32 {
			return arrow.FixedWidthTypes.Date32
		}
	case *format.TimeType:
		u := unitOf(t.Unit)
		if physical == format.Int32 && u == arrow.Millisecond {
			return &arrow.Time32Type{Unit: u}
		}
		if physical == format.Int64 && u != arrow.Millisecond {
			return &arrow.Time64Type{Unit: u}
		}
	case *format.TimestampType:
		if physical == format.Int64 {
			return timestamp(unitOf(t.Unit), t.IsAdjustedToUTC)
		}
	case *format.IntType:
		return intType(physical, int(t.BitWidth), t.IsSigned)
	case *format.Float16Type:
		if physical == format.FixedLenByteArray && e.TypeLength.V == 2 {
			return arrow.FixedWidthTypes.Float16
		}
	case *format.NullType:
		return arrow.Null
	}
	return nil
}

func timestamp(u arrow.TimeUnit, utc bool) arrow.DataType {
	if utc {
		return &arrow.TimestampType{Unit: u, TimeZone: "UTC"}
	}
	return &arrow.TimestampType{Unit: u}
}

func unitOf(u format.TimeUnit) arrow.TimeUnit {
	switch u.Value.(type) {
	case *format.MilliSeconds:
		return arrow.Millisecond
	case *format.MicroSeconds:
		return arrow.Microsecond
	}
	return arrow.Nanosecond
}

func decimalType(precision, scale int32) arrow.DataType {
	switch {
	case precision > 0 && precision <= 38 && scale >= 0 && scale <= precision:
		return &arrow.Decimal128Type{Precision: precision, Scale: scale}
	case precision > 0 && precision <= 76 && scale >= 0 && scale <= precision:
		return &arrow.Decimal256Type{Precision: precision, Scale: scale}
	}
	return nil
}

func intType(physical format.Type, width int, signed bool) arrow.DataType {
	if physical == format.Int32 {
		switch {
		case width == 8 && signed:
			return arrow.PrimitiveTypes.Int8
		case width == 8:
			return arrow.PrimitiveTypes.Uint8
		case width == 16 && signed:
			return arrow.PrimitiveTypes.Int16
		case width == 16:
			return arrow.PrimitiveTypes.Uint16
		case width == 32 && signed:
			return arrow.PrimitiveTypes.Int32
		case width == 32:
			return arrow.PrimitiveTypes.Uint32
		}
	}
	if physical == format.Int64 && width == 64 {
		if signed {
			return arrow.PrimitiveTypes.Int64
		}
		return arrow.PrimitiveTypes.Uint64
	}
	return nil
}

// convertedNull is a converted type that pandas wrote for columns without values before there was a logical one.
const convertedNull deprecated.ConvertedType = 24

// convertedType is for files that were written before there were logical types.
func convertedType(e *format.SchemaElement) arrow.DataType {
	physical := e.Type.V
	switch c := e.ConvertedType.V; c {
	case deprecated.UTF8, deprecated.Json:
		if physical == format.ByteArray {
			return arrow.BinaryTypes.String
		}
	case deprecated.Decimal:
		return decimalType(e.Precision.V, e.Scale.V)
	case deprecated.Date:
		if physical == format.Int32 {
			return arrow.FixedWidthTypes.Date32
		}
	case deprecated.TimeMillis:
		if physical == format.Int32 {
			return arrow.FixedWidthTypes.Time32ms
		}
	case deprecated.TimeMicros:
		if physical == format.Int64 {
			return arrow.FixedWidthTypes.Time64us
		}
	case deprecated.TimestampMillis:
		if physical == format.Int64 {
			return timestamp(arrow.Millisecond, true)
		}
	case deprecated.TimestampMicros:
		if physical == format.Int64 {
			return timestamp(arrow.Microsecond, true)
		}
	case deprecated.Uint8, deprecated.Uint16, deprecated.Uint32, deprecated.Uint64:
		return intType(physical, 8<<(c-deprecated.Uint8), false)
	case convertedNull:
		return arrow.Null
	case deprecated.Int8, deprecated.Int16, deprecated.Int32, deprecated.Int64:
		return intType(physical, 8<<(c-deprecated.Int8), true)
	}
	return nil
}
