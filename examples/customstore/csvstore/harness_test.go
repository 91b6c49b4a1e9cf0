package csvstore

import (
	"encoding/csv"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"github.com/flightd/flightd/stores"
	"github.com/flightd/flightd/stores/storetest"
)

// openWithTables writes each table to a CSV file and opens a store on their folder, as flightd would.
func openWithTables(t *testing.T, tables map[string]storetest.Table) stores.OfflineStore {
	dir := t.TempDir()
	for name, table := range tables {
		writeCSV(t, filepath.Join(dir, fileName(name)), table)
	}
	config, _ := stores.NewConfig("csv")
	config.(*Config).Folder = dir
	if err := config.Validate(); err != nil {
		t.Fatal(err)
	}
	store, err := config.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func fileName(table string) string { return table + ".csv" }

// typeWord is the header's word for a type, "" for one that a CSV file cannot hold.
func typeWord(typ arrow.DataType) string {
	for word, t := range types {
		if arrow.TypeEqual(t, typ) {
			return word
		}
	}
	return ""
}

func hasHeaderType(f arrow.Field) bool { return typeWord(f.Type) != "" }

func writeCSV(t *testing.T, path string, table storetest.Table) {
	var text strings.Builder
	w := csv.NewWriter(&text)
	header := make([]string, len(table.Schema.Fields()))
	for i, f := range table.Schema.Fields() {
		header[i] = f.Name + ":" + typeWord(f.Type)
	}
	w.Write(header)
	for _, rec := range table.Records {
		for row := range int(rec.NumRows()) {
			line := make([]string, rec.NumCols())
			for i, col := range rec.Columns() {
				line[i] = field(col, row)
			}
			w.Write(line)
		}
	}
	w.Flush()
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
}

func field(col arrow.Array, row int) string {
	if col.IsNull(row) {
		return null
	}
	switch col := col.(type) {
	case *array.String:
		if value := col.Value(row); !strings.HasPrefix(value, `\`) {
			return value
		}
		return `\` + col.Value(row)
	case *array.Timestamp:
		return time.UnixMicro(int64(col.Value(row))).UTC().Format(time.RFC3339Nano)
	}
	return col.ValueStr(row)
}
