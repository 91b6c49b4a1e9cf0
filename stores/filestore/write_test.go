package filestore_test

import (
	"bytes"
	"encoding/base64"
	"os"
	"path/filepath"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/ipc"
	"github.com/apache/arrow/go/v15/parquet"
	"github.com/apache/arrow/go/v15/parquet/pqarrow"
)

// writeFile writes a Parquet file as pyarrow would, with a row group for each record, and the folders above it.
func writeFile(t *testing.T, path string, schema *arrow.Schema, metadata map[string]string, records ...arrow.Record) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	settings := []parquet.WriterProperty{parquet.WithDataPageVersion(parquet.DataPageV2), parquet.WithVersion(parquet.V2_LATEST)}
	for _, field := range schema.Fields() {
		if arrow.IsUnsignedInteger(field.Type.ID()) {
			settings = append(settings, parquet.WithStatsFor(field.Name, false)) // v15 writes them wrong
		}
	}
	w, err := pqarrow.NewFileWriter(stored(schema), f, parquet.NewWriterProperties(settings...), pqarrow.DefaultWriterProps())
	if err == nil {
		err = w.AppendKeyValueMetadata("ARROW:schema", arrowSchema(t, schema))
	}
	for key, value := range metadata {
		if err == nil {
			err = w.AppendKeyValueMetadata(key, value)
		}
	}
	for _, rec := range records {
		if err == nil && rec.NumRows() > 0 {
			w.NewBufferedRowGroup()
			err = w.WriteBuffered(storedRecord(rec))
		}
	}
	if err == nil {
		err = w.Close() // closes f too
	}
	if err != nil {
		t.Fatalf("write %s: %v", path, err)
	}
}

// v15 writes naive times as UTC and zoned ones as naive. So naive ones are given a zone, and zoned ones UTC.
func storedType(typ arrow.DataType) arrow.DataType {
	if t, ok := typ.(*arrow.TimestampType); ok {
		zone := "UTC"
		if t.TimeZone == "" {
			zone = "Europe/Paris"
		}
		return &arrow.TimestampType{Unit: t.Unit, TimeZone: zone}
	}
	return typ
}

func stored(schema *arrow.Schema) *arrow.Schema {
	fields := make([]arrow.Field, len(schema.Fields()))
	for i, f := range schema.Fields() {
		fields[i] = arrow.Field{Name: f.Name, Type: storedType(f.Type), Nullable: true}
	}
	return arrow.NewSchema(fields, nil)
}

func storedRecord(rec arrow.Record) arrow.Record {
	columns := make([]arrow.Array, rec.NumCols())
	for i, col := range rec.Columns() {
		data := col.Data()
		columns[i] = array.MakeFromData(array.NewData(storedType(col.DataType()), data.Len(), data.Buffers(), data.Children(),
			data.NullN(), data.Offset()))
	}
	return array.NewRecord(stored(rec.Schema()), columns, rec.NumRows())
}

// arrowSchema is the footer's key by which pyarrow restores types.
func arrowSchema(t *testing.T, schema *arrow.Schema) string {
	t.Helper()
	var buf bytes.Buffer
	if err := ipc.NewWriter(&buf, ipc.WithSchema(schema)).Close(); err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(buf.Bytes())
}
