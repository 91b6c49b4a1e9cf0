package filestore_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/flightd/flightd/stores"
)

// rows are records as the input of a write.
func rows(records ...arrow.Record) stores.Rows {
	return stores.Rows{Schema: records[0].Schema(), Len: -1, Records: func(yield func(arrow.Record, error) bool) {
		for _, r := range records {
			if !yield(r, nil) {
				return
			}
		}
	}}
}

func source(t *testing.T, s stores.OfflineStore, text string) stores.DataSource {
	t.Helper()
	src, err := s.Source(text)
	if err != nil {
		t.Fatal(err)
	}
	return src
}

// put appends records to a source and expects it to be done.
func put(t *testing.T, s stores.OfflineStore, text, id string, records ...arrow.Record) {
	t.Helper()
	var want stores.Written
	for _, r := range records {
		want.Rows += r.NumRows()
	}
	if got, err := stores.Write(t.Context(), s, source(t, s, text), id, rows(records...)); err != nil || got != want {
		t.Fatalf("%s: %+v, %v; want %+v", text, got, err, want)
	}
}

// expectRows compares the first column of a source.
func expectRows(t *testing.T, s stores.OfflineStore, text string, want ...string) {
	t.Helper()
	have, err := readTable(t, openTable(t, s, text))
	if err != nil || !slices.Equal(have, want) {
		t.Errorf("%s has %q, %v; want %q", text, have, err, want)
	}
}

// tree lists the files and folders below a root, without the names that only locks have.
func tree(t *testing.T, root string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if path != root && !strings.HasSuffix(path, ".lock") && !strings.HasSuffix(path, ".next") {
			names = append(names, strings.TrimPrefix(path, root+"/"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// The first write makes what is not there: a file if the name is that of a Parquet file, else a folder. Its columns are those
// of the rows, and the next write has to have them.
func TestFirstWrite(t *testing.T) {
	for _, text := range []string{"new.parquet", "a/b/new.pq", "new", "a/b/new", ".", "empty"} {
		t.Run(text, func(t *testing.T) {
			root := t.TempDir()
			if err := os.Mkdir(filepath.Join(root, "empty"), 0o755); err != nil {
				t.Fatal(err)
			}
			s := open(t, root)
			ws, src := s.(stores.TargetStore), source(t, s, text)
			if schema, err := ws.WriteSchema(t.Context(), src); schema != nil || err != nil {
				t.Fatalf("before: %v, %v", schema, err)
			}
			first := rec(t, col{"n", i64, `[1, null]`}, col{"at", clock(arrow.Microsecond, ""), `[null, 5]`})
			put(t, s, text, "1", first)
			schema, err := ws.WriteSchema(t.Context(), src)
			if err != nil || schemaText(schema) != "n:int64, at:timestamp[us]" {
				t.Fatalf("after: %v, %v", schema, err)
			}
			_, err = stores.Write(t.Context(), s, src, "2", rows(numbers(t, `[2]`)))
			if !errors.Is(err, stores.ErrInvalid) {
				t.Errorf("other columns: %v", err)
			}
			put(t, open(t, root), text, "3", first)
			expectRows(t, s, text, "1", "(null)", "1", "(null)")
			if _, err := os.Stat(filepath.Join(root, text)); err != nil {
				t.Error(err)
			}
			for _, name := range tree(t, root) {
				if strings.HasSuffix(name, ".tmp") {
					t.Errorf("%s was left", name)
				}
			}
		})
	}
}

// A write that fails leaves nothing, not even a folder.
func TestFailedFirstWriteLeavesNothing(t *testing.T) {
	root := t.TempDir()
	s := open(t, root)
	broken := errors.New("the client went away")
	input := rows(numbers(t, `[1]`))
	all := input.Records
	input.Records = func(yield func(arrow.Record, error) bool) {
		for r := range all {
			yield(r, nil)
		}
		yield(nil, broken)
	}
	for _, text := range []string{"new.parquet", "a/new.parquet", "new", "a/b/new"} {
		if _, err := stores.Write(t.Context(), s, source(t, s, text), "1", input); !errors.Is(err, broken) {
			t.Errorf("%s: %v", text, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	input.Records = func(yield func(arrow.Record, error) bool) {
		for r := range all {
			cancel()
			yield(r, nil)
		}
	}
	if _, err := stores.Write(ctx, s, source(t, s, "b/new"), "1", input); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if left := tree(t, root); !slices.Equal(left, []string{".stage"}) {
		t.Errorf("%q was left", left)
	}
}

func TestRefusedTargets(t *testing.T) {
	root := t.TempDir()
	write(t, filepath.Join(root, "f", "k=1", "a.parquet"), numbers(t, `[1]`))
	write(t, filepath.Join(root, "a.parquet"), numbers(t, `[1]`))
	if err := os.WriteFile(filepath.Join(root, "text.parquet"), []byte("not Parquet, whatever its name says"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, root)
	before := tree(t, root)
	for text, want := range map[string]struct {
		kind error
		says string
	}{
		"f":               {errors.ErrUnsupported, "Hive"},
		"f/*/a.parquet":   {errors.ErrUnsupported, "a folder, or a Parquet file, can be written to"},
		"new/*.parquet":   {errors.ErrUnsupported, "a folder, or a Parquet file, can be written to"},
		"a.parquet/below": {stores.ErrPrecondition, `"a.parquet" is not a folder`},
		"text.parquet":    {stores.ErrDataLoss, "text.parquet"},
	} {
		_, err := stores.Write(t.Context(), s, source(t, s, text), "1", rows(numbers(t, `[1]`)))
		if !errors.Is(err, want.kind) || !strings.Contains(err.Error(), want.says) {
			t.Errorf("%s: %v", text, err)
		}
	}
	twice := rec(t, col{"n", i64, `[1]`}, col{"n", i64, `[1]`})
	for _, text := range []string{"new", "new.parquet"} {
		if _, err := stores.Write(t.Context(), s, source(t, s, text), "1", rows(twice)); !errors.Is(err, stores.ErrInvalid) {
			t.Errorf("%s: %v", text, err)
		}
	}
	if after := tree(t, root); !slices.Equal(after, before) {
		t.Errorf("%q became %q", before, after)
	}
}

// An empty id stands for the rows.
func TestRowsAsID(t *testing.T) {
	for _, text := range []string{"logs", "logs.parquet"} {
		root := t.TempDir()
		s := open(t, root)
		put(t, s, text, "", numbers(t, `[1, 2]`))
		for i := range 3 {
			if i == 1 {
				s = open(t, root)
			}
			written, err := stores.Write(t.Context(), s, source(t, s, text), "", rows(numbers(t, `[1]`), numbers(t, `[2]`)))
			if err != nil || written != (stores.Written{Rows: 2, Duplicate: true}) {
				t.Errorf("%s: %+v, %v", text, written, err)
			}
		}
		put(t, s, text, "", numbers(t, `[2, 1]`))
		put(t, s, text, "with an id", numbers(t, `[1, 2]`))
		expectRows(t, s, text, "1", "2", "2", "1", "1", "2")
	}
}

// What a file says beside its rows stays: columns as they are stored, key-value metadata, permissions, and the link that led
// to it.
func TestFileKeepsWhatItIs(t *testing.T) {
	root := t.TempDir()
	path := filepath.Join(root, "real", "a.parquet")
	zoned := clock(arrow.Nanosecond, "Europe/Paris")
	r := rec(t, col{"n", i16, `[1, null]`}, col{"at", zoned, `[1, 2]`}, col{"t", largeText, `["x", "é"]`})
	writeFile(t, path, r.Schema(), map[string]string{"pandas": `{"index_columns": []}`, "flightd.written_at": "7"}, r)
	link(t, root, "real/a.parquet", "a.parquet")
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	s := open(t, root)
	for i := range 3 {
		put(t, s, "a.parquet", fmt.Sprint(i), r)
	}
	schema, got, err := scanText(t, s, "real")
	if err != nil || schema != "n:int16, at:timestamp[ns, tz=Europe/Paris], t:large_utf8" || len(got) != 8 {
		t.Errorf("%s, %q, %v", schema, got, err)
	}
	info, err := os.Lstat(path)
	if err != nil || info.Mode() != 0o640 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if to, err := os.Readlink(filepath.Join(root, "a.parquet")); err != nil || to != "real/a.parquet" {
		t.Errorf("the link leads to %q, %v", to, err)
	}
	content, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(content), `{"index_columns": []}`) || !strings.Contains(string(content), "ARROW:schema") {
		t.Errorf("the metadata of the file is gone: %v", err)
	}
}

// A link is meant from the folder that it is really in, whatever links lead to that folder.
func TestLinksInLinkedFolders(t *testing.T) {
	for _, c := range []struct {
		links map[string]string // where -> what the link says
		text  string            // what is written to
		want  string            // the file that is written; "": none
		kind  error
	}{
		{map[string]string{"link": "real/deep", "real/deep/f.parquet": "../target.parquet"}, "link/f.parquet", "real/target.parquet", nil},
		{map[string]string{"link": "real/deep", "real/deep/f.parquet": "../../top.parquet"}, "link/f.parquet", "top.parquet", nil},
		{map[string]string{"link": "real", "real/up": "deep/..", "real/f.parquet": "up/./deep//../target.parquet"}, "link/f.parquet", "real/target.parquet", nil},
		{map[string]string{"a/b": "../real/deep", "real/deep/c": "..", "real/f.parquet": "deep/g.parquet"}, "a/b/c/f.parquet", "real/deep/g.parquet", nil},
		{map[string]string{"link": "real/deep", "real/deep/f.parquet": "../../../out.parquet"}, "link/f.parquet", "", stores.ErrForbidden},
		{map[string]string{"f.parquet": "gone/../g.parquet"}, "f.parquet", "", fs.ErrNotExist},
		{map[string]string{"f.parquet": "real/file/../../g.parquet"}, "f.parquet", "", fs.ErrNotExist},
		{map[string]string{"f.parquet": "f.parquet"}, "f.parquet", "", stores.ErrPrecondition},
		{map[string]string{"f.parquet": "/tmp/g.parquet"}, "f.parquet", "", stores.ErrForbidden},
	} {
		for _, there := range []bool{false, true} {
			root := t.TempDir()
			err := errors.Join(os.MkdirAll(filepath.Join(root, "real/deep"), 0o755), os.Mkdir(filepath.Join(root, "a"), 0o755),
				os.WriteFile(filepath.Join(root, "real/file"), nil, 0o600))
			for at, to := range c.links {
				err = errors.Join(err, os.Symlink(to, filepath.Join(root, at)))
			}
			if err != nil {
				t.Fatal(err)
			}
			s := open(t, root)
			if there && c.want != "" {
				put(t, s, c.want, "before", numbers(t, `[1]`))
			}
			before := tree(t, root)
			_, err = stores.Write(t.Context(), s, source(t, s, c.text), "id", rows(numbers(t, `[2]`)))
			switch {
			case c.want == "":
				if !errors.Is(err, c.kind) || !slices.Equal(tree(t, root), before) {
					t.Errorf("%s: %v, %q", c.links, err, tree(t, root))
				}
			case err != nil:
				t.Errorf("%s: %v", c.links, err)
			case there:
				expectRows(t, s, c.want, "1", "2")
				expectRows(t, s, c.text, "1", "2")
			default:
				expectRows(t, s, c.want, "2")
				expectRows(t, s, c.text, "2")
			}
		}
	}
}

// Single rows added to a file one by one stay few row groups.
func TestManySmallWritesToOneFile(t *testing.T) {
	root := t.TempDir()
	path := filepath.Join(root, "a.parquet")
	write(t, path, numbers(t, `[-1]`))
	s := open(t, root)
	want := []string{"-1"}
	for i := range 100 {
		put(t, s, "a.parquet", fmt.Sprint(i), numbers(t, fmt.Sprintf("[%d]", i)))
		want = append(want, fmt.Sprint(i))
	}
	expectRows(t, s, "a.parquet", want...)
	if n := len(openTable(t, s, "a.parquet").Parts()); n > 9 {
		t.Errorf("%d row groups", n)
	}
	for i := range 100 { // by another process, which knows the ledger only
		written, err := stores.Write(t.Context(), open(t, root), source(t, s, "a.parquet"), fmt.Sprint(i), rows(numbers(t, fmt.Sprintf("[%d]", i))))
		if err != nil || !written.Duplicate {
			t.Fatalf("%d again: %+v, %v", i, written, err)
		}
	}
	expectRows(t, s, "a.parquet", want...)
}

// Writes of many records and row groups, to a folder, to a file that is there, and to one that is not.
func TestLargeWrites(t *testing.T) {
	const each, records = 50_000, 7
	b := array.NewInt64Builder(memory.DefaultAllocator)
	for i := range each {
		b.Append(int64(i))
	}
	r := array.NewRecord(numbers(t, `[]`).Schema(), []arrow.Array{b.NewArray()}, each)
	root := t.TempDir()
	write(t, filepath.Join(root, "old.parquet"), numbers(t, `[-1]`))
	s := open(t, root)
	for _, text := range []string{"folder", "new.parquet", "old.parquet"} {
		for i := range 2 {
			put(t, s, text, fmt.Sprint(i), slices.Repeat([]arrow.Record{r}, records)...)
		}
		have, err := readTable(t, openTable(t, s, text))
		if err != nil {
			t.Fatal(err)
		}
		if text == "old.parquet" {
			have = have[1:]
		}
		for i, v := range have {
			if v != fmt.Sprint(i%each) {
				t.Fatalf("%s: row %d is %s", text, i, v)
			}
		}
		if len(have) != 2*records*each {
			t.Errorf("%s: %d rows", text, len(have))
		}
	}
}

// Of rows that tie in everything else the one that was written later comes last, whatever the parts are called and whatever
// the clock of who wrote before says (semantics P12).
func TestLaterWriteIsLast(t *testing.T) {
	root := t.TempDir()
	future := fmt.Sprint(int64(4e18))
	writeFile(t, filepath.Join(root, "f", "zz.parquet"), numbers(t, `[0]`).Schema(), map[string]string{"flightd.written_at": future}, numbers(t, `[0]`))
	write(t, filepath.Join(root, "f", "zzz.parquet"), numbers(t, `[-1]`))
	s := open(t, root)
	want := []string{"-1", "0"}
	for i := 1; i <= 20; i++ {
		if i%5 == 0 {
			s = open(t, root)
		}
		put(t, s, "f", fmt.Sprint(i), numbers(t, fmt.Sprintf("[%d]", i)))
		want = append(want, fmt.Sprint(i))
	}
	expectRows(t, s, "f", want...)
}

// Who has opened a table of a file goes on reading it while rows are added to the file.
func TestReadersOfAFileThatGrows(t *testing.T) {
	root := t.TempDir()
	write(t, filepath.Join(root, "a.parquet"), numbers(t, `[1, 2, 3]`))
	s := open(t, root)
	table := openTable(t, s, "a.parquet")
	next, stop := iter.Pull2(s.Scan(t.Context(), source(t, s, "a.parquet"), stores.Selection{Columns: []string{"n"}}))
	defer stop()
	if _, err, ok := next(); !ok || err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		put(t, s, "a.parquet", fmt.Sprint(i), numbers(t, `[4]`))
	}
	if have, err := readTable(t, table); err != nil || !slices.Equal(have, []string{"1", "2", "3"}) {
		t.Errorf("the table from before has %q, %v", have, err)
	}
	if r, err, ok := next(); ok {
		t.Errorf("the scan from before went on with %v, %v", r, err)
	}
	expectRows(t, s, "a.parquet", "1", "2", "3", "4", "4", "4")
}

// A file that another program replaces with other columns while rows are staged is not touched.
func TestFileReplacedByAnother(t *testing.T) {
	root := t.TempDir()
	path := filepath.Join(root, "a.parquet")
	write(t, path, numbers(t, `[1]`))
	s := open(t, root)
	input := rows(numbers(t, `[2]`))
	all := input.Records
	input.Records = func(yield func(arrow.Record, error) bool) {
		write(t, path, rec(t, col{"m", text, `["x"]`}))
		all(yield)
	}
	if _, err := stores.Write(t.Context(), s, source(t, s, "a.parquet"), "1", input); !errors.Is(err, stores.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	expectRows(t, s, "a.parquet", "x")
}

// What failed writes of dead processes have left is removed at the first write, what others are busy with is not.
func TestSweep(t *testing.T) {
	root := t.TempDir()
	stage := filepath.Join(root, "f", ".stage")
	if err := os.MkdirAll(stage, 0o755); err != nil {
		t.Fatal(err)
	}
	old, young, foreign := filepath.Join(stage, "part.OLD.tmp"), filepath.Join(stage, "part.YOUNG.tmp"), filepath.Join(stage, "notes")
	for _, name := range []string{old, young, foreign} {
		if err := os.WriteFile(name, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	busy := hold(t, filepath.Join(stage, "part.BUSY.tmp"))
	for _, name := range []string{old, foreign, busy} {
		ago := info(t, name).ModTime().Add(-2 * 3600e9)
		if err := os.Chtimes(name, ago, ago); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, root)
	put(t, s, "f", "1", numbers(t, `[1]`))
	for name, stays := range map[string]bool{old: false, young: true, foreign: true, busy: true} {
		if _, err := os.Stat(name); (err == nil) != stays {
			t.Errorf("%s: %v, want it to stay: %v", filepath.Base(name), err, stays)
		}
	}
}

func info(t *testing.T, name string) fs.FileInfo {
	t.Helper()
	i, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	return i
}
