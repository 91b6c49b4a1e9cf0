package rowfile_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/flightd/flightd/cmd/flightd/internal/rowfile"
)

var schema = arrow.NewSchema([]arrow.Field{
	{Name: "id", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
	{Name: "at", Type: &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}, Nullable: true},
	{Name: "name", Type: arrow.BinaryTypes.String, Nullable: true},
	{Name: "rate", Type: arrow.PrimitiveTypes.Float64, Nullable: true},
}, nil)

const content = `[{"id": 1, "at": "2024-01-31 12:00:00", "name": "a, \"b\"", "rate": 0.1},
	{"id": null, "at": null, "name": null, "rate": null}, {"id": -3, "at": "1969-12-31 23:59:59", "name": "日本", "rate": 2.5}]`

func record(t *testing.T) arrow.Record {
	t.Helper()
	rec, _, err := array.RecordFromJSON(memory.DefaultAllocator, schema, strings.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

// create writes a record to a path, so many times.
func create(t *testing.T, path string, times int) {
	t.Helper()
	target, err := rowfile.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer target.Abandon()
	if err := target.Begin(schema); err != nil {
		t.Fatal(err)
	}
	for range times {
		if err := target.Write(record(t)); err != nil {
			t.Fatal(err)
		}
	}
	if err := target.Commit(); err != nil {
		t.Fatal(err)
	}
}

// What is written in any format comes back, also none of it.
func TestFormats(t *testing.T) {
	types := rowfile.Columns{Types: map[string]rowfile.Typed{}}
	for _, f := range schema.Fields() {
		types.Types[f.Name] = rowfile.Typed{Type: f.Type}
	}
	for _, extension := range []string{".parquet", ".PQ", ".csv", ".arrow", ".feather", ".arrows"} {
		for _, times := range []int{0, 1, 3} {
			path := filepath.Join(t.TempDir(), "rows"+extension)
			create(t, path, times)
			got, err := read(path, types)
			want := []string{
				"int64:" + strings.Repeat(" 1 ~ -3", times), "timestamp[us, UTC]:" + strings.Repeat(" 2024-01-31T12:00:00Z ~ 1969-12-31T23:59:59Z", times),
				"string:" + strings.Repeat(` a, "b" ~ 日本`, times), "float64:" + strings.Repeat(" 0.1 ~ 2.5", times),
			}
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("%s, %d times: read as %q (%v)", extension, times, got, err)
			}
		}
	}
}

func TestFormatOf(t *testing.T) {
	for path, part := range map[string]string{"rows": "no extension", "rows.xlsx": ".xlsx is not known", "rows.csv.gz": ".gz is not known", ".": "not known"} {
		if f, err := rowfile.FormatOf(path); err == nil || !strings.Contains(err.Error(), part) || !strings.Contains(err.Error(), ".parquet") {
			t.Errorf("%s: format %d, %v", path, f, err)
		}
	}
}

// Until a file is complete nothing of it is seen, and one that was there is still there.
func TestCreateIsAllOrNothing(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "rows.csv")
	if err := os.WriteFile(path, []byte("old"), 0o640); err != nil {
		t.Fatal(err)
	}
	target, err := rowfile.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := target.Begin(schema); err != nil {
		t.Fatal(err)
	}
	if err := target.Write(record(t)); err != nil {
		t.Fatal(err)
	}
	if now, _ := os.ReadFile(path); string(now) != "old" {
		t.Errorf("in the middle the file holds %q", now)
	}
	target.Abandon()
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("a failure left %v", left)
	}
	create(t, path, 1)
	now, _ := os.ReadFile(path)
	info, err := os.Stat(path)
	if err != nil || !strings.HasPrefix(string(now), "id,at,name,rate\n1,2024-01-31T12:00:00Z,") || info.Mode().Perm() != 0o640 {
		t.Errorf("the file holds %q with mode %v (%v)", now, info.Mode(), err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("success left %v", left)
	}
}

// A link stays a link, and what it points to is replaced.
func TestCreateThroughALink(t *testing.T) {
	dir := t.TempDir()
	there, link := filepath.Join(dir, "there.csv"), filepath.Join(dir, "link.csv")
	if err := os.WriteFile(there, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(there, link); err != nil {
		t.Fatal(err)
	}
	create(t, link, 1)
	if target, err := os.Readlink(link); err != nil || target != there {
		t.Errorf("the link points to %q (%v)", target, err)
	}
	if now, _ := os.ReadFile(there); len(now) == 0 {
		t.Error("nothing was written to where the link points")
	}
}

func TestUnusableFiles(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "folder.csv"), 0o777); err != nil {
		t.Fatal(err)
	}
	for path, part := range map[string]string{"nowhere/rows.csv": "there is no folder", "folder.csv": "is a folder"} {
		if _, err := rowfile.Create(filepath.Join(dir, path)); err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("create %s: %v", path, err)
		}
	}
	for name, content := range map[string]string{
		"cut.arrow": "ARROW1\x00\x00", "text.arrow": "hello, this is text and not Arrow IPC", "empty.arrows": "", "text.parquet": "hello, this is text and not Parquet",
	} {
		if got, err := read(write(t, name, content), rowfile.Columns{}); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: read as %q (%v)", name, got, err)
		}
	}
	if _, err := rowfile.Open(context.Background(), filepath.Join(dir, "gone.csv"), nil); err == nil || !strings.HasSuffix(err.Error(), "gone.csv: no such file or directory") {
		t.Errorf("a file that is not there: %v", err)
	}
}
