package parquetio_test

import (
	"bytes"
	"fmt"
	"io"
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

const benchRows = 256 << 10

// benchColumns are what is read at once: what every join reads, and features of each kind.
var benchColumns = []struct {
	name    string
	columns []int
}{{"keyAndTime", []int{0, 1}}, {"double", []int{2}}, {"doubles", []int{2, 3, 4, 5, 6}}, {"dictionaryDouble", []int{7}}, {"dictionaryText", []int{8}}, {"text", []int{9}}}

// benchRecord has a key, a time, five doubles, a double of a thousand values, a text of five thousand values, and a text
// of which no two are equal. A share of the features is null.
func benchRecord(nulls float64) arrow.Record {
	fields := []arrow.Field{{Name: "key", Type: arrow.PrimitiveTypes.Int64}, {Name: "time", Type: &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}}}
	for i := range 5 {
		fields = append(fields, arrow.Field{Name: fmt.Sprintf("f%d", i), Type: arrow.PrimitiveTypes.Float64})
	}
	fields = append(fields, arrow.Field{Name: "few", Type: arrow.PrimitiveTypes.Float64},
		arrow.Field{Name: "name", Type: arrow.BinaryTypes.String}, arrow.Field{Name: "text", Type: arrow.BinaryTypes.String})
	for i := range fields {
		fields[i].Nullable = true
	}
	rb := array.NewRecordBuilder(memory.DefaultAllocator, arrow.NewSchema(fields, nil))
	rng := rand.New(rand.NewPCG(1, 2))
	for row := range benchRows {
		rb.Field(0).(*array.Int64Builder).Append(rng.Int64N(benchRows))
		rb.Field(1).(*array.TimestampBuilder).Append(arrow.Timestamp(1_700_000_000_000_000 + rng.Int64N(30*86_400_000_000)))
		for i := 2; i < len(fields); i++ {
			f := rb.Field(i)
			switch {
			case rng.Float64() < nulls:
				f.AppendNull()
			case i < 7:
				f.(*array.Float64Builder).Append(rng.Float64())
			case i == 7:
				f.(*array.Float64Builder).Append(float64(rng.IntN(1000)) / 7)
			case i == 8:
				f.(*array.StringBuilder).Append(fmt.Sprintf("user_%08d", rng.IntN(5000)))
			default:
				f.(*array.StringBuilder).Append(fmt.Sprintf("%x-%08d", rng.Uint32(), row))
			}
		}
	}
	return rb.NewRecord()
}

// benchFile is a file of one row group as others write it, with pages of 1 MiB; dictionaries where the column says so.
type benchFile struct {
	name    string
	codec   compress.Compression
	version parquet.DataPageVersion
	nulls   float64
}

var benchFiles = []benchFile{
	{"plain", compress.Codecs.Uncompressed, parquet.DataPageV1, 0},
	{"snappy", compress.Codecs.Snappy, parquet.DataPageV1, 0},
	{"zstd", compress.Codecs.Zstd, parquet.DataPageV1, 0},
	{"snappyNulls", compress.Codecs.Snappy, parquet.DataPageV2, 0.1}, // version 1 with nulls takes the writer minutes
}

func eachBenchFile(b *testing.B, kinds []benchFile, run func(b *testing.B, f *parquetio.File, columns []int)) {
	for _, kind := range kinds {
		rec := benchRecord(kind.nulls)
		var out bytes.Buffer
		w, err := pqarrow.NewFileWriter(rec.Schema(), &out, parquet.NewWriterProperties(parquet.WithDataPageVersion(kind.version), parquet.WithStats(true),
			parquet.WithCompression(kind.codec), parquet.WithMaxRowGroupLength(benchRows), parquet.WithDictionaryDefault(false),
			parquet.WithDictionaryFor("few", true), parquet.WithDictionaryFor("name", true)), pqarrow.DefaultWriterProps())
		if err == nil {
			err = w.WriteBuffered(rec)
		}
		if err == nil {
			err = w.Close()
		}
		if err != nil {
			b.Fatal(err)
		}
		f := openBytes(b, out.Bytes())
		for _, c := range benchColumns {
			b.Run(kind.name+"/"+c.name, func(b *testing.B) { run(b, f, c.columns) })
		}
	}
}

// perRow reports what one of the rows costs that each round works on.
func perRow(b *testing.B, rows int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(rows), "ns/row")
}

// BenchmarkRead reads all rows: what the join does with keys and times, and `all` with everything.
func BenchmarkRead(b *testing.B) {
	eachBenchFile(b, benchFiles, func(b *testing.B, f *parquetio.File, columns []int) {
		b.ReportAllocs()
		for b.Loop() {
			for _, err := range f.Read(b.Context(), 0, columns) {
				if err != nil {
					b.Fatal(err)
				}
			}
		}
		perRow(b, benchRows)
	})
}

// BenchmarkGather fetches rows by position: what the join does with the features of the winners.
func BenchmarkGather(b *testing.B) {
	eachBenchFile(b, []benchFile{benchFiles[0], benchFiles[3]}, func(b *testing.B, f *parquetio.File, columns []int) {
		for _, share := range []int64{1, 10, 1000} {
			var rows []int64
			rng := rand.New(rand.NewPCG(3, 4))
			for row := range int64(benchRows) {
				if rng.Int64N(share) == 0 {
					rows = append(rows, row)
				}
			}
			b.Run(fmt.Sprintf("oneOf%d", share), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					rec, err := f.Gather(b.Context(), 0, rows, columns)
					if err != nil {
						b.Fatal(err)
					}
					rec.Release()
				}
				perRow(b, len(rows))
			})
		}
	})
}

// BenchmarkWrite writes a row group, as a write to a view does.
func BenchmarkWrite(b *testing.B) {
	for _, c := range benchColumns {
		rec := columnsOf(benchRecord(0), c.columns)
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				w, err := parquetio.NewWriter(io.Discard, rec.Schema(), parquetio.WriterOptions{})
				if err == nil {
					err = w.Write(rec)
				}
				if err == nil {
					err = w.Close()
				}
				if err != nil {
					b.Fatal(err)
				}
			}
			perRow(b, benchRows)
		})
	}
}

func columnsOf(rec arrow.Record, columns []int) arrow.Record {
	var fields []arrow.Field
	var arrays []arrow.Array
	for _, i := range columns {
		fields, arrays = append(fields, rec.Schema().Field(i)), append(arrays, rec.Column(i))
	}
	return array.NewRecord(arrow.NewSchema(fields, nil), arrays, rec.NumRows())
}
