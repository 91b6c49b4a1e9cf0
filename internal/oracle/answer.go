package oracle

import (
	"fmt"
	"math"
	"math/big"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/decimal128"
	"github.com/apache/arrow/go/v15/arrow/decimal256"
	"github.com/apache/arrow/go/v15/arrow/memory"
)

// Answer is the whole answer to a historical request as one record, and what became of every entity row in every view.
func Answer(entities arrow.Record, timeColumn string, views []View, knownAt bool) (arrow.Record, [][]Outcome, error) {
	outcomes, err := Historical(entities, timeColumn, views, knownAt)
	if err != nil {
		return nil, nil, err
	}
	fields, columns := entities.Schema().Fields(), entities.Columns()
	for i, v := range views {
		rows := make([]int, len(outcomes[i]))
		for j, o := range outcomes[i] {
			rows[j] = o.Row
		}
		for _, f := range v.Features {
			col := Gather(column(v.Rows, f.Source), rows)
			fields = append(fields, arrow.Field{Name: f.Name, Type: col.DataType(), Nullable: true})
			columns = append(columns[:len(columns):len(columns)], col)
		}
	}
	return array.NewRecord(arrow.NewSchema(fields, nil), columns, entities.NumRows()), outcomes, nil
}

// Pull is the answer to latest or all: the named columns of the given rows.
func Pull(v View, columns []Feature, rows []int) arrow.Record {
	fields, arrays := make([]arrow.Field, len(columns)), make([]arrow.Array, len(columns))
	for i, c := range columns {
		arrays[i] = Gather(column(v.Rows, c.Source), rows)
		fields[i] = arrow.Field{Name: c.Name, Type: arrays[i].DataType(), Nullable: true}
	}
	return array.NewRecord(arrow.NewSchema(fields, nil), arrays, int64(len(rows)))
}

// Gather makes an array of the given rows of values, dictionaries decoded; -1 is a null.
func Gather(values arrow.Array, rows []int) arrow.Array {
	if d, ok := values.(*array.Dictionary); ok {
		inner := make([]int, len(rows))
		for i, row := range rows {
			inner[i] = -1
			if row >= 0 && d.IsValid(row) {
				inner[i] = d.GetValueIndex(row)
			}
		}
		return Gather(d.Dictionary(), inner)
	}
	if len(rows) == 0 {
		return array.MakeArrayOfNull(memory.DefaultAllocator, values.DataType(), 0)
	}
	pieces := make([]arrow.Array, len(rows))
	for i, row := range rows {
		if row < 0 {
			pieces[i] = array.MakeArrayOfNull(memory.DefaultAllocator, values.DataType(), 1)
		} else {
			pieces[i] = array.NewSlice(values, int64(row), int64(row)+1)
		}
	}
	out, err := array.Concatenate(pieces, memory.DefaultAllocator)
	if err != nil {
		panic(err)
	}
	out.NullN() // counted before the array is shared
	return out
}

// Entities are points as a record of entity rows: keys with the types of the first view, then event_timestamp.
func Entities(views []View, points []Point) arrow.Record {
	var fields []arrow.Field
	first := keyedViews(views)[0]
	for _, k := range first.Keys {
		t := column(first.Rows, k.Source).DataType()
		if d, ok := t.(*arrow.DictionaryType); ok {
			t = d.ValueType
		}
		fields = append(fields, arrow.Field{Name: k.Entity, Type: t, Nullable: true})
	}
	at := &arrow.TimestampType{Unit: TimeUnit(views), TimeZone: "UTC"}
	fields = append(fields, arrow.Field{Name: "event_timestamp", Type: at, Nullable: true})
	b := array.NewRecordBuilder(memory.DefaultAllocator, arrow.NewSchema(fields, nil))
	defer b.Release()
	for _, p := range points {
		for i, v := range p.Keys {
			write(b.Field(i), v)
		}
		write(b.Field(len(p.Keys)), p.Time)
	}
	return b.NewRecord()
}

// write appends a value to a builder whose type can hold it.
func write(b array.Builder, v Value) {
	switch b := b.(type) {
	case *array.StringBuilder:
		b.Append(v.Text)
	case *array.LargeStringBuilder:
		b.Append(v.Text)
	case *array.BinaryBuilder:
		b.Append([]byte(v.Text))
	case *array.FixedSizeBinaryBuilder:
		if len(v.Text) != b.Type().(*arrow.FixedSizeBinaryType).ByteWidth {
			panic(fmt.Sprintf("%q does not fit %s", v.Text, b.Type()))
		}
		b.Append([]byte(v.Text))
	case *array.BinaryDictionaryBuilder:
		if err := b.AppendString(v.Text); err != nil {
			panic(err)
		}
	case *array.BooleanBuilder:
		b.Append(v.Num.Sign() != 0)
	case *array.Float32Builder:
		b.Append(float32(toFloat(v)))
	case *array.Float64Builder:
		b.Append(toFloat(v))
	case *array.Decimal128Builder:
		b.Append(decimal128.FromBigInt(unscaled(v, b.Type().(*arrow.Decimal128Type).Scale)))
	case *array.Decimal256Builder:
		b.Append(decimal256.FromBigInt(unscaled(v, b.Type().(*arrow.Decimal256Type).Scale)))
	case *array.TimestampBuilder:
		b.Append(arrow.Timestamp(inUnits(v, int64(b.Type().(*arrow.TimestampType).Unit.Multiplier()))))
	case *array.Date32Builder:
		b.Append(arrow.Date32(inUnits(v, 24*3600*1e9)))
	case *array.Date64Builder:
		b.Append(arrow.Date64(inUnits(v, 1e6)))
	default: // integers
		if !v.Num.IsInt() || v.Inf != 0 {
			panic(fmt.Sprintf("%s does not fit %s", v, b.Type()))
		}
		if err := b.AppendValueFromString(v.Num.Num().String()); err != nil {
			panic(err)
		}
	}
}

func toFloat(v Value) float64 {
	if v.Inf != 0 {
		return math.Inf(v.Inf)
	}
	f, _ := v.Num.Float64()
	return f
}

func unscaled(v Value, scale int32) *big.Int {
	one := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale)), nil)
	return new(big.Rat).Mul(v.Num, new(big.Rat).SetInt(one)).Num()
}

func inUnits(v Value, each int64) int64 {
	return new(big.Rat).Quo(v.Num, new(big.Rat).SetInt64(each)).Num().Int64()
}
