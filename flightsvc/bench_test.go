package flightsvc

import (
	"fmt"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
)

// BenchmarkEncode makes wire messages of an answer, up to where gRPC takes them: a key, a time and features of one kind, in
// records that have batch size, and in small ones that are put together.
func BenchmarkEncode(b *testing.B) {
	const rows = 64 << 10
	instant := &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}
	for _, c := range []struct {
		name     string
		features int
		typ      arrow.DataType
		add      func(b array.Builder, i int)
	}{
		{"doubles", 5, arrow.PrimitiveTypes.Float64, func(b array.Builder, i int) { b.(*array.Float64Builder).Append(float64(i)) }},
		{"doublesNulls", 5, arrow.PrimitiveTypes.Float64, func(b array.Builder, i int) {
			if i%10 == 0 {
				b.AppendNull()
			} else {
				b.(*array.Float64Builder).Append(float64(i))
			}
		}},
		{"text", 1, arrow.BinaryTypes.String, func(b array.Builder, i int) { b.(*array.StringBuilder).Append(fmt.Sprintf("user_%08d", i)) }},
	} {
		fields := []arrow.Field{{Name: "key", Type: arrow.PrimitiveTypes.Int64, Nullable: true}, {Name: "time", Type: instant, Nullable: true}}
		for i := range c.features {
			fields = append(fields, arrow.Field{Name: fmt.Sprintf("f%d", i), Type: c.typ, Nullable: true})
		}
		rb := array.NewRecordBuilder(memory.DefaultAllocator, arrow.NewSchema(fields, nil))
		for row := range rows {
			rb.Field(0).(*array.Int64Builder).Append(int64(row))
			rb.Field(1).(*array.TimestampBuilder).Append(arrow.Timestamp(row))
			for i := range c.features {
				c.add(rb.Field(2+i), row)
			}
		}
		whole := rb.NewRecord()
		for _, cut := range []struct {
			name string
			rows int64
		}{{"batches", rows}, {"slivers", 512}} {
			var records []arrow.Record
			for lo := int64(0); lo < rows; lo += cut.rows {
				records = append(records, whole.NewSlice(lo, lo+cut.rows))
			}
			b.Run(c.name+"/"+cut.name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					a := newAnswer(sender(func(m *outbound) error { m.encode().Free(); return nil }), whole.Schema(), newPool(1<<30).account(time.Second))
					if err := a.stream(b.Context(), sequence(records), func() []byte { return nil }); err != nil {
						b.Fatal(err)
					}
					b.SetBytes(a.bytes)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/rows, "ns/row")
			})
		}
	}
}
