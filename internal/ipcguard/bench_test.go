package ipcguard

import (
	"fmt"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
)

// BenchmarkRead is what reading entity rows costs: a key, a time and a name, 100,000 rows.
func BenchmarkRead(b *testing.B) {
	keys, names := array.NewInt64Builder(memory.DefaultAllocator), array.NewStringBuilder(memory.DefaultAllocator)
	times := array.NewTimestampBuilder(memory.DefaultAllocator, &arrow.TimestampType{Unit: arrow.Microsecond})
	for i := range 100_000 {
		keys.Append(int64(i))
		times.Append(arrow.Timestamp(i))
		names.Append(fmt.Sprint("driver number ", i))
	}
	columns := []arrow.Array{keys.NewArray(), times.NewArray(), names.NewArray()}
	fields := []arrow.Field{nullable("key", columns[0].DataType()), nullable("time", columns[1].DataType()), nullable("name", columns[2].DataType())}
	stream := write(b, []arrow.Record{array.NewRecord(arrow.NewSchema(fields, nil), columns, 100_000)})
	b.SetBytes(int64(len(stream)))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := read(Bytes(stream), Limits{}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/100_000, "ns/row")
}
