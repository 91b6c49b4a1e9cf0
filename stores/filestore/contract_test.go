package filestore_test

import (
	"fmt"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/flightd/flightd/stores"
	"github.com/flightd/flightd/stores/filestore"
	"github.com/flightd/flightd/stores/storetest"
)

// TestMain also runs the child processes of TestKillNine and TestTwoProcesses.
func TestMain(m *testing.M) {
	if isChild() {
		writeAsChild()
		return
	}
	goleak.VerifyTestMain(m)
}

// layout is a way to lay a table out in files: the text of its source, and the writing.
type layout struct {
	name   string
	source func(table string) string
	write  func(t *testing.T, root, name string, table storetest.Table)
	bundle int  // so many small files are read together; 0: it depends on their number
	young  bool // their rows are not kept
}

var layouts = []layout{
	{name: "one file", source: func(table string) string { return table + ".parquet" },
		write: func(t *testing.T, root, name string, table storetest.Table) {
			writeFile(t, filepath.Join(root, name+".parquet"), table.Schema, nil, table.Records...)
		}},
	{name: "folder", source: func(table string) string { return "tables/" + table }, write: writeFolder},
	{name: "glob", source: func(table string) string { return "tables/" + table + "/part-*.parquet" }, write: writeFolder},
	{name: "small files together", source: func(table string) string { return "tables/" + table }, write: writeFolder, bundle: 2},
	{name: "young small files together", source: func(table string) string { return "tables/" + table }, write: writeFolder, bundle: 3, young: true},
	// Names say the opposite of the order in which the parts were written.
	{name: "written by flightd", source: func(table string) string { return table },
		write: func(t *testing.T, root, name string, table storetest.Table) {
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
			age := time.Duration(0)
			if l.young {
				age = time.Hour
			}
			defer filestore.Settled(age)()
			if l.bundle > 0 {
				defer filestore.Bundled(l.bundle)()
			}
			roots := make(map[stores.OfflineStore]string)
			storetest.Run(t, storetest.Harness{
				Source: l.source,
				Holds:  holds,
				Open: func(t *testing.T, tables map[string]storetest.Table) stores.OfflineStore {
					root := t.TempDir()
					for name, table := range tables {
						l.write(t, root, name, table)
					}
					s := open(t, root)
					roots[s] = root
					return s
				},
				Reopen: func(t *testing.T, s stores.OfflineStore) stores.OfflineStore {
					if err := s.Close(); err != nil {
						t.Fatal(err)
					}
					return open(t, roots[s])
				},
			})
		})
	}
}

// holds are the columns that come back as they are from a file that v15 has written. Parquet has no seconds and no
// dictionaries of its own. What other programs write is tested in package parquetio.
func holds(f arrow.Field) bool {
	switch t := f.Type.(type) {
	case *arrow.TimestampType:
		return t.Unit != arrow.Second
	case *arrow.Date64Type, *arrow.DictionaryType:
		return false
	}
	return true
}

func config(t testing.TB, root string) *filestore.Config {
	t.Helper()
	c := &filestore.Config{Root: root}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	return c
}

func open(t *testing.T, root string) stores.OfflineStore {
	t.Helper()
	s, err := config(t, root).Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}
