package parquetio

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"slices"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/ipc"
	"github.com/apache/arrow/go/v15/parquet"
	"github.com/apache/arrow/go/v15/parquet/compress"
	"github.com/apache/arrow/go/v15/parquet/pqarrow"
)

// rowGroupRows is the number of rows of a row group: small enough to skip, large enough to be fast.
const rowGroupRows = 128 << 10

// WriterOptions are the choices of a writer. The zero value is what flightd writes: snappy, no dictionaries.
type WriterOptions struct {
	Dictionary []string          // columns of few distinct values
	Metadata   map[string]string // key-value metadata of the file
}

// Writer writes records to a Parquet file.
type Writer struct {
	file   *pqarrow.FileWriter
	schema *arrow.Schema // as v15 is to see it
}

// NewWriter begins a file. It never closes w. Columns that a file cannot hold so that every reader understands them are
// refused by name.
func NewWriter(w io.Writer, schema *arrow.Schema, opt WriterOptions) (*Writer, error) {
	for _, f := range schema.Fields() {
		if err := writable(f.Name, f.Type); err != nil {
			return nil, err
		}
	}
	settings := []parquet.WriterProperty{
		parquet.WithDataPageVersion(parquet.DataPageV2), // v15's older pages are hundreds of times slower with nulls
		parquet.WithCompression(compress.Codecs.Snappy),
		parquet.WithDictionaryDefault(false),
		parquet.WithStats(true),
		parquet.WithMaxRowGroupLength(rowGroupRows),
	}
	for _, name := range opt.Dictionary {
		settings = append(settings, parquet.WithDictionaryFor(name, true))
	}
	for _, f := range schema.Fields() {
		if slices.Contains([]arrow.Type{arrow.UINT8, arrow.UINT16, arrow.UINT32, arrow.UINT64}, f.Type.ID()) {
			settings = append(settings, parquet.WithStatsFor(f.Name, false)) // v15 computes them wrong
		}
	}
	shown := retypedSchema(schema)
	file, err := pqarrow.NewFileWriter(shown, onlyWriter{w}, parquet.NewWriterProperties(settings...), pqarrow.NewArrowWriterProperties())
	if err != nil {
		return nil, err
	}
	if err := file.AppendKeyValueMetadata(storedSchema, encodedSchema(schema)); err != nil {
		return nil, err
	}
	for key, value := range opt.Metadata {
		if err := file.AppendKeyValueMetadata(key, value); err != nil {
			return nil, err
		}
	}
	return &Writer{file, shown}, nil
}

// encodedSchema is a schema as every Arrow reader looks for it in a file's metadata: an IPC stream without records.
func encodedSchema(schema *arrow.Schema) string {
	var stream bytes.Buffer
	ipc.NewWriter(&stream, ipc.WithSchema(schema)).Close() //nolint:errcheck // a buffer takes everything
	return base64.StdEncoding.EncodeToString(stream.Bytes())
}

// onlyWriter hides Close: the library would close the file under its owner.
type onlyWriter struct{ io.Writer }

// writable refuses the types that v15 writes wrongly or not at all.
func writable(name string, t arrow.DataType) error {
	switch t := t.(type) {
	case *arrow.Date64Type, *arrow.DurationType, *arrow.LargeListType, *arrow.FixedSizeListType, *arrow.StringViewType, *arrow.BinaryViewType,
		arrow.UnionType, *arrow.RunEndEncodedType, *arrow.MonthIntervalType, *arrow.DayTimeIntervalType, *arrow.MonthDayNanoIntervalType,
		*arrow.DictionaryType:
		return fmt.Errorf("column %q of type %s cannot be written to Parquet; cast it", name, t)
	case arrow.NestedType:
		for _, f := range t.Fields() {
			if err := writable(name+"."+f.Name, f.Type); err != nil {
				return err
			}
		}
	}
	return nil
}

// Write appends a record.
func (w *Writer) Write(rec arrow.Record) error {
	if rec.NumRows() == 0 {
		return nil
	}
	rec = retypedRecord(rec, w.schema)
	defer rec.Release()
	return w.file.WriteBuffered(rec)
}

// Close writes the footer. The file is complete only if it returns nil.
func (w *Writer) Close() error { return w.file.Close() }
