package filestore_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/flightd/flightd/stores"
)

// Which files a source is (semantics P85). Every file has one row with its own path.
func TestWhichFiles(t *testing.T) {
	root := t.TempDir()
	for _, name := range []string{
		"one.parquet", "literal[1].parquet", "nosuffix",
		"folder/a.parquet", "folder/b.parq", "folder/c.pq", "folder/d.PARQUET", "folder/e.parquet.tmp", "folder/.f.parquet", "folder/_g.parquet",
		"folder/sub/h.parquet", "folder/sub/deep/i.parquet", "folder/.stage/j.parquet", "folder/_delta/k.parquet",
		"_hidden/l.parquet", "_hidden/_m.parquet", "many/2023/n.parquet", "many/2024/o.parquet", "many/2024/_p.parquet", "many/2024/q/r.parquet",
		"mixed/2023/s.parquet",
	} {
		write(t, filepath.Join(root, name), rec(t, col{"path", arrow.BinaryTypes.String, `["` + name + `"]`}))
	}
	if err := os.WriteFile(filepath.Join(root, "folder", "README.md"), []byte("rows"), 0o600); err != nil {
		t.Fatal(err)
	}
	link(t, root, "folder/a.parquet", "links/file.parquet")
	link(t, root, "many/2023", "links/folder")
	link(t, root, "nowhere", "links/dangling")
	s := open(t, root)
	for _, c := range []struct {
		source string
		want   string // rows separated by spaces
	}{
		{"one.parquet", "one.parquet"},
		{"./one.parquet", "one.parquet"},
		{"nosuffix", "nosuffix"},
		{"literal[1].parquet", "literal[1].parquet"},
		{"folder", "folder/a.parquet folder/b.parq folder/c.pq folder/sub/deep/i.parquet folder/sub/h.parquet"},
		{"folder/", "folder/a.parquet folder/b.parq folder/c.pq folder/sub/deep/i.parquet folder/sub/h.parquet"},
		{"folder/.f.parquet", "folder/.f.parquet"},
		{"_hidden", "_hidden/l.parquet"},
		{"folder/*.parquet", "folder/a.parquet"},
		{"folder/*.p*q", "folder/b.parq folder/c.pq"},
		{"folder/**/*.parquet", "folder/a.parquet folder/sub/deep/i.parquet folder/sub/h.parquet"},
		{"many/*/*.parquet", "many/2023/n.parquet many/2024/o.parquet"},
		{"many/{2024,2025}/**", "many/2024/o.parquet many/2024/q/r.parquet"},
		{"m*/2023/?.parquet", "many/2023/n.parquet mixed/2023/s.parquet"},
		{"_hidden/*.parquet", "_hidden/l.parquet"},
		{"links", "folder/a.parquet many/2023/n.parquet"},
		{"many", "many/2023/n.parquet many/2024/o.parquet many/2024/q/r.parquet"},
	} {
		_, rows, err := scanText(t, s, c.source)
		if err != nil || strings.Join(rows, " ") != c.want {
			t.Errorf("%s:\n  got  %s %v\n  want %s", c.source, strings.Join(rows, " "), err, c.want)
		}
	}
}

// What a source is not.
func TestNoSuchSource(t *testing.T) {
	root := t.TempDir()
	write(t, filepath.Join(root, "stats", "driver_stats.parquet"), rec(t, col{"n", arrow.PrimitiveTypes.Int64, `[1]`}))
	for name, text := range map[string]string{"broken/a.parquet": "not Parquet", "empty/a.parquet": "", "texts/a.csv": "n", "odd/a.txt": "PAR1"} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o755), os.WriteFile(filepath.Join(root, name), []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	link(t, root, "nothing", "dangling/a.parquet")
	link(t, root, "loop", "loop/again")
	s := open(t, root)
	for _, c := range []struct {
		source string
		kind   error
		says   string
	}{
		{"stats/driver_stat.parquet", fs.ErrNotExist, `did you mean "stats/driver_stats.parquet"?`},
		{"nowhere", fs.ErrNotExist, `"nowhere"`},
		{"stats/driver_stats.parquet/more", fs.ErrNotExist, "more"},
		{strings.Repeat("x", 300), fs.ErrNotExist, "xxx"},
		{"stats/*.pq", fs.ErrNotExist, `no file matches "stats/*.pq"`},
		{"nowhere/*.pq", fs.ErrNotExist, "no file matches"},
		{"texts", stores.ErrPrecondition, `folder "texts" has no Parquet file`},
		{"broken", stores.ErrDataLoss, "broken/a.parquet"},
		{"empty", stores.ErrDataLoss, "empty/a.parquet"},
		{"odd/*", stores.ErrDataLoss, "odd/a.txt"},
		{"dangling", stores.ErrPrecondition, "a link to nothing"},
		{"loop", stores.ErrPrecondition, "leads back"},
		{"", stores.ErrInvalid, "file, a folder or a glob"},
		{"a\x00b", stores.ErrInvalid, "zero byte"},
		{"stats/[", stores.ErrInvalid, "not a valid glob"},
	} {
		_, _, err := scanText(t, s, c.source)
		if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%q: got %v, want %v that says %q", c.source, err, c.kind, c.says)
		}
		if err != nil && strings.Contains(err.Error(), root) {
			t.Errorf("%q: the message shows where the root is: %v", c.source, err)
		}
	}
}

func TestMissingRoot(t *testing.T) {
	root := filepath.Join(t.TempDir(), "later")
	s := open(t, root)
	_, _, err := scanText(t, s, "a.parquet")
	if !errors.Is(err, fs.ErrNotExist) || strings.Contains(err.Error(), root) {
		t.Errorf("got %v", err)
	}
	write(t, filepath.Join(root, "a.parquet"), rec(t, col{"n", arrow.PrimitiveTypes.Int64, `[1]`}))
	if _, rows, err := scanText(t, s, "a.parquet"); err != nil || !slices.Equal(rows, []string{"1"}) {
		t.Errorf("once it is there: %q, %v", rows, err)
	}
}

// link makes a link below the root; both paths are relative to it.
func link(t *testing.T, root, to, at string) {
	t.Helper()
	from := filepath.Join(root, at)
	relative, err := filepath.Rel(filepath.Dir(from), filepath.Join(root, to))
	if err = errors.Join(err, os.MkdirAll(filepath.Dir(from), 0o755), os.Symlink(relative, from)); err != nil {
		t.Fatal(err)
	}
}
