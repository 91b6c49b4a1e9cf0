package sample

import (
	"math"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
)

var utc = &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}

type column struct {
	name string
	typ  arrow.DataType
}

// columns builds a record row by row.
type columns struct {
	b *array.RecordBuilder
}

func newColumns(all ...column) *columns {
	fields := make([]arrow.Field, len(all))
	for i, c := range all {
		fields[i] = arrow.Field{Name: c.name, Type: c.typ, Nullable: true}
	}
	return &columns{array.NewRecordBuilder(memory.DefaultAllocator, arrow.NewSchema(fields, nil))}
}

// row appends one value to each column; nil is null.
func (c *columns) row(values ...any) {
	for i, value := range values {
		switch b := c.b.Field(i).(type) {
		case *array.Int64Builder:
			b.Append(value.(int64))
		case *array.Int32Builder:
			b.Append(value.(int32))
		case *array.Float64Builder:
			b.Append(value.(float64))
		case *array.BooleanBuilder:
			b.Append(value.(bool))
		case *array.TimestampBuilder:
			b.Append(arrow.Timestamp(value.(time.Time).UnixMicro()))
		case *array.StringBuilder:
			if value == nil {
				b.AppendNull()
			} else {
				b.Append(value.(string))
			}
		}
	}
}

func (c *columns) record() arrow.Record {
	defer c.b.Release()
	return c.b.NewRecord()
}

// moment is a time of the sample, in whole seconds, so many days after its beginning.
func moment(day float64) time.Time {
	return begin.Add(time.Duration(math.Round(day*86400)) * time.Second)
}
