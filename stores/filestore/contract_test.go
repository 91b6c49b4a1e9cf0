package filestore_test

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"go.uber.org/goleak"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/parquet"
	"github.com/apache/arrow/go/v15/parquet/pqarrow"

	"github.com/flightd/flightd/internal/parquetio"
	"github.com/flightd/flightd/stores"
	"github.com/flightd/flightd/stores/filestore"
	"github.com/flightd/flightd/stores/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// layout is a way to lay a table out in files: the text of its source, and the writing.
type layout struct {
	name   string
	source func(table string) string
	write  func(t *testing.T, root, name string, table storetest.Table)
}

var layouts = []layout{
	{"one file", func(table string) string { return table + ".parquet" },
		func(t *testing.T, root, name string, table storetest.Table) {
			writeFile(t, filepath.Join(root, name+".parquet"), table.Schema, nil, table.Records...)
		}},
	{"row groups", func(table string) string { return table + ".pq" },
		func(t *testing.T, root, name string, table storetest.Table) {
			writeRowGroups(t, filepath.Join(root, name+".pq"), table)
		}},
	{"folder", func(table string) string { return "tables/" + table }, writeFolder},
	{"glob", func(table string) string { return "tables/" + table + "/part-*.parquet" }, writeFolder},
	// Names say the opposite of the order in which the parts were written.
	{"written by flightd", func(table string) string { return table },
		func(t *testing.T, root, name string, table storetest.Table) {
			for i, rec := range orEmpty(table) {
				file := filepath.Join(root, name, fmt.Sprintf("part-%04d.parquet", 9999-i))
				writeFile(t, file, table.Schema, map[string]string{"flightd.written_at": strconv.Itoa(1e18 + i)}, rec)
			}
		}},
}

func writeFolder(t *testing.T, root, name string, table storetest.Table) {
	for i, rec := range orEmpty(table) {
		writeFile(t, filepath.Join(root, "tables", name, fmt.Sprintf("part-%04d.parquet", i)), table.Schema, nil, rec)
	}
}

// orEmpty gives a table without records one without rows, so that there is a file with its schema.
func orEmpty(table storetest.Table) []arrow.Record {
	if len(table.Records) == 0 {
		return []arrow.Record{emptyRecord(table.Schema)}
	}
	return table.Records
}

func TestContract(t *testing.T) {
	for _, l := range layouts {
		t.Run(l.name, func(t *testing.T) {
			storetest.Run(t, storetest.Harness{
				Source: l.source,
				Holds:  writable,
				Open: func(t *testing.T, tables map[string]storetest.Table) stores.OfflineStore {
					root := t.TempDir()
					for name, table := range tables {
						l.write(t, root, name, table)
					}
					return open(t, root)
				},
			})
		})
	}
}

// writable are the columns that come back as they are. What other programs write is tested in package parquetio.
func writable(f arrow.Field) bool {
	_, err := parquetio.NewWriter(io.Discard, arrow.NewSchema([]arrow.Field{f}, nil), parquetio.WriterOptions{})
	return err == nil
}

func open(t *testing.T, root string) stores.OfflineStore {
	t.Helper()
	config := &filestore.Config{Root: root}
	if err := config.Validate(); err != nil {
		t.Fatal(err)
	}
	s, err := config.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// writeFile writes a Parquet file as flightd does, and the folders above it.
func writeFile(t *testing.T, path string, schema *arrow.Schema, metadata map[string]string, records ...arrow.Record) {
	t.Helper()
	f := create(t, path)
	defer f.Close()
	w, err := parquetio.NewWriter(f, schema, parquetio.WriterOptions{Metadata: metadata})
	for _, rec := range records {
		if err == nil {
			err = w.Write(rec)
		}
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// writeRowGroups writes a file with a row group for each record.
func writeRowGroups(t *testing.T, path string, table storetest.Table) {
	t.Helper()
	f := create(t, path)
	w, err := pqarrow.NewFileWriter(table.Schema, f, parquet.NewWriterProperties(parquet.WithDataPageVersion(parquet.DataPageV2)),
		pqarrow.NewArrowWriterProperties(pqarrow.WithStoreSchema()))
	for _, rec := range table.Records {
		if err == nil {
			w.NewBufferedRowGroup()
			err = w.WriteBuffered(rec)
		}
	}
	if err == nil {
		err = w.Close() // closes f too
	}
	if err != nil {
		t.Fatal(err)
	}
}

func create(t *testing.T, path string) *os.File {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	return f
}
