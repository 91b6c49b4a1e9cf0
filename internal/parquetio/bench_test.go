package parquetio_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/apache/arrow/go/v15/parquet"
	"github.com/apache/arrow/go/v15/parquet/compress"
	"github.com/apache/arrow/go/v15/parquet/pqarrow"

	"github.com/flightd/flightd/internal/parquetio"
)

const benchRows = 1_000_000

// benchFile is a row group as pyarrow writes it by default: snappy, pages of 1 MiB, dictionaries until they are full. Its
// columns are a key, a time, five features, and a text of few values.
func benchFile(b *testing.B, version parquet.DataPageVersion, nulls float64) *parquetio.File {
	b.Helper()
	fields := []arrow.Field{{Name: "key", Type: arrow.PrimitiveTypes.Int64}, {Name: "time", Type: &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}}}
	for i := range 5 {
		fields = append(fields, arrow.Field{Name: fmt.Sprintf("f%d", i), Type: arrow.PrimitiveTypes.Float64})
	}
	fields = append(fields, arrow.Field{Name: "text", Type: arrow.BinaryTypes.String})
	for i := range fields {
		fields[i].Nullable = true
	}
	rb := array.NewRecordBuilder(memory.DefaultAllocator, arrow.NewSchema(fields, nil))
	defer rb.Release()
	rng := rand.New(rand.NewPCG(1, 2))
	for range benchRows {
		rb.Field(0).(*array.Int64Builder).Append(rng.Int64N(benchRows))
		rb.Field(1).(*array.TimestampBuilder).Append(arrow.Timestamp(1_700_000_000_000_000 + rng.Int64N(30*86_400_000_000)))
		for i := range 5 {
			if f := rb.Field(2 + i).(*array.Float64Builder); rng.Float64() < nulls {
				f.AppendNull()
			} else {
				f.Append(rng.Float64())
			}
		}
		rb.Field(7).(*array.StringBuilder).Append(fmt.Sprintf("user_%08d", rng.IntN(5000)))
	}
	rec := rb.NewRecord()
	defer rec.Release()
	var out bytes.Buffer
	w, err := pqarrow.NewFileWriter(rec.Schema(), &out, parquet.NewWriterProperties(parquet.WithDataPageVersion(version), parquet.WithStats(true),
		parquet.WithCompression(compress.Codecs.Snappy), parquet.WithMaxRowGroupLength(benchRows)), pqarrow.DefaultWriterProps())
	if err == nil {
		err = w.WriteBuffered(rec)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		b.Fatal(err)
	}
	f, err := parquetio.Open(bytes.NewReader(out.Bytes()), int64(out.Len()), "bench.parquet")
	if err != nil {
		b.Fatal(err)
	}
	return f
}

var benchColumns = map[string][]int{"keyAndTime": {0, 1}, "feature": {2}, "features": {2, 3, 4, 5, 6}, "text": {7}}

func eachBenchFile(b *testing.B, run func(b *testing.B, f *parquetio.File, columns []int)) {
	for _, kind := range []struct {
		name    string
		version parquet.DataPageVersion
		nulls   float64
	}{{"v1", parquet.DataPageV1, 0}, {"v2Nulls", parquet.DataPageV2, 0.1}} { // version 1 with nulls takes the writer minutes
		f := benchFile(b, kind.version, kind.nulls)
		for name, columns := range benchColumns {
			b.Run(kind.name+"/"+name, func(b *testing.B) {
				b.ReportAllocs()
				run(b, f, columns)
			})
		}
	}
}

// BenchmarkRead reads all rows: what the join does with keys and times, and `all` with everything.
func BenchmarkRead(b *testing.B) {
	eachBenchFile(b, func(b *testing.B, f *parquetio.File, columns []int) {
		for b.Loop() {
			for _, err := range f.Read(b.Context(), 0, columns) {
				if err != nil {
					b.Fatal(err)
				}
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchRows, "ns/row")
	})
}

// BenchmarkGather fetches rows by position: what the join does with the features of the winners.
func BenchmarkGather(b *testing.B) {
	for _, share := range []int64{1, 10, 1000} {
		var rows []int64
		rng := rand.New(rand.NewPCG(3, 4))
		for row := range int64(benchRows) {
			if rng.Int64N(share) == 0 {
				rows = append(rows, row)
			}
		}
		b.Run(fmt.Sprintf("oneOf%d", share), func(b *testing.B) {
			eachBenchFile(b, func(b *testing.B, f *parquetio.File, columns []int) {
				for b.Loop() {
					rec, err := f.Gather(b.Context(), 0, rows, columns)
					if err != nil {
						b.Fatal(err)
					}
					rec.Release()
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(rows)), "ns/row")
			})
		})
	}
}
