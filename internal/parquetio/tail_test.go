package parquetio_test

import (
	"bytes"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/flightd/flightd/internal/fault"
	"github.com/flightd/flightd/internal/parquetio"
)

func tailOf(t testing.TB, content []byte) *parquetio.Tail {
	t.Helper()
	tail, err := parquetio.ReadTail(bytes.NewReader(content), int64(len(content)), "test.parquet")
	if err != nil {
		t.Fatal(err)
	}
	return tail
}

// like makes a file with the layout of another one.
func like(t testing.TB, of []byte, write func(w *parquetio.Writer) error) []byte {
	t.Helper()
	var buf bytes.Buffer
	w, err := tailOf(t, of).NewWriter(&buf)
	if err == nil {
		err = write(w)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// rowsOf appends all rows of a file.
func rowsOf(t testing.TB, content []byte) func(w *parquetio.Writer) error {
	f := openBytes(t, content)
	columns := make([]int, f.Schema().NumFields())
	for i := range columns {
		columns[i] = i
	}
	return func(w *parquetio.Writer) error {
		for rg := range f.RowGroups() {
			for rec, err := range f.Read(t.Context(), rg, columns) {
				if err == nil {
					err = w.Write(rec)
				}
				if err != nil {
					return err
				}
			}
		}
		return nil
	}
}

// TestAppendToFixtures adds to the files of many writers their own rows: as they are, encoded again, and copied. The file
// then has every row three times, and what was there before is there byte for byte.
func TestAppendToFixtures(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(fixtures, "*.parquet"))
	if err != nil || len(files) < 20 {
		t.Fatalf("%d fixtures: %v", len(files), err)
	}
	for _, path := range files {
		t.Run(filepath.Base(path), func(t *testing.T) {
			before := readFile(t, path)
			schema, want := expected(t, strings.TrimSuffix(path, ".parquet")+".arrows")
			staged := like(t, before, rowsOf(t, before))
			appended := like(t, before, func(w *parquetio.Writer) error {
				tail := tailOf(t, before)
				if !tail.SameLayout(tailOf(t, staged)) {
					t.Error("a file that was made like another one has another layout")
				}
				return errors.Join(w.Keep(bytes.NewReader(before), tail, tail.Appended()),
					w.Copy(bytes.NewReader(staged), tailOf(t, staged)), rowsOf(t, before)(w))
			})
			for i, f := range schema.Fields() {
				thrice, err := array.Concatenate([]arrow.Array{want[i], want[i], want[i]}, memory.DefaultAllocator)
				if err != nil {
					t.Fatal(err)
				}
				same(t, f.Name, columnOf(t, openBytes(t, appended), i), thrice)
			}
			end := len(before) - 8 - int(before[len(before)-8]) - int(before[len(before)-7])<<8 - int(before[len(before)-6])<<16
			if !bytes.Equal(appended[:end], before[:end]) {
				t.Error("what was there has changed")
			}
			again(t, before, appended)
		})
	}
}

// again adds to a file that has been added to before: what was appended can be kept or replaced.
func again(t *testing.T, before, appended []byte) {
	tail := tailOf(t, appended)
	own, all := tail.Appended(), len(tail.RowGroups())
	if want := len(tailOf(t, before).RowGroups()); own != want || all <= own && openBytes(t, before).NumRows() > 0 {
		t.Fatalf("row groups %d to %d are said to be added to %d", own, all, want)
	}
	if err := tail.CheckDigests(bytes.NewReader(appended)); err != nil {
		t.Error(err)
	}
	for keep := own; keep <= all; keep++ {
		content := like(t, appended, func(w *parquetio.Writer) error {
			return errors.Join(w.Keep(bytes.NewReader(appended), tail, keep), rowsOf(t, before)(w))
		})
		var rows int64
		for _, n := range tail.RowGroups()[:keep] {
			rows += n
		}
		f := openBytes(t, content)
		if want := rows + openBytes(t, before).NumRows(); f.NumRows() != want {
			t.Errorf("%d rows after %d row groups were kept, want %d", f.NumRows(), keep, want)
		}
		for i := range f.Schema().Fields() {
			if a := columnOf(t, f, i); int64(a.Len()) != f.NumRows() {
				t.Errorf("%d values in %d rows", a.Len(), f.NumRows())
			}
		}
		next := tailOf(t, content)
		if err := next.CheckDigests(bytes.NewReader(content)); err != nil || next.Appended() != own {
			t.Errorf("after %d row groups were kept: %v, row groups from %d on were added", keep, err, next.Appended())
		}
	}
	var buf bytes.Buffer
	if w, err := tail.NewWriter(&buf); err != nil || w.Keep(bytes.NewReader(appended), tail, own-1) == nil {
		t.Errorf("row groups of somebody else were dropped: %v", err)
	}
}

// TestDigestsFindDamage changes single bytes of column chunks.
func TestDigestsFindDamage(t *testing.T) {
	rec := writtenRecord(t, 1)
	content := parquetOf(t, rec.Schema(), rec)
	tail := tailOf(t, content)
	if err := tail.CheckDigests(bytes.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	end := 0 // of the chunks, which come first
	for i := range rec.Schema().Fields() {
		end += int(openBytes(t, content).Bytes(0, i))
	}
	for at := 4; at < 4+end; at++ {
		damaged := bytes.Clone(content)
		damaged[at] ^= 1 << (at % 8)
		if err := tail.CheckDigests(bytes.NewReader(damaged)); !errors.Is(err, fault.DataLoss) {
			t.Fatalf("byte %d: %v", at, err)
		}
	}
}

// Another program that keeps the key-value metadata does not keep the promises in it.
func TestDigestsOfAnotherFile(t *testing.T) {
	rec := writtenRecord(t, 1)
	content := parquetOf(t, rec.Schema(), rec)
	stale, _ := tailOf(t, content).Metadata("flightd.chunks")
	var buf bytes.Buffer
	w, err := parquetio.NewWriter(&buf, rec.Schema(), parquetio.WriterOptions{})
	if err == nil {
		err = errors.Join(w.Write(rec), w.Write(rec), w.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	fresh, _ := tailOf(t, buf.Bytes()).Metadata("flightd.chunks")
	swapped := bytes.Replace(buf.Bytes(), []byte(fresh), []byte(stale), 1)
	if bytes.Equal(swapped, buf.Bytes()) {
		t.Fatal("nothing was changed")
	}
	tail := tailOf(t, swapped)
	if err := tail.CheckDigests(bytes.NewReader(swapped)); err != nil || tail.Appended() != 1 {
		t.Errorf("%v; row groups from %d on are taken for flightd's", err, tail.Appended())
	}
}

// A writer whose file fails says so, at every byte.
func TestWriterFails(t *testing.T) {
	rec := writtenRecord(t, 1)
	size := len(parquetOf(t, rec.Schema(), rec))
	for limit := 0; limit < size; limit += 7 {
		w, err := parquetio.NewWriter(&limitedWriter{left: limit}, rec.Schema(), parquetio.WriterOptions{Metadata: map[string]string{"k": "v"}})
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(w.Write(rec), w.Close()); !errors.Is(err, io.ErrShortWrite) {
			t.Fatalf("%d bytes: %v", limit, err)
		}
	}
}

type limitedWriter struct{ left int }

func (w *limitedWriter) Write(p []byte) (int, error) {
	n := min(len(p), w.left)
	w.left -= n
	return n, nil // says that all is well
}
