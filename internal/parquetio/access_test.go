package parquetio

import (
	"bytes"
	"encoding/binary"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/parquet-go/parquet-go/format"
)

// counted counts the reads of a file and their bytes.
type counted struct {
	io.ReaderAt
	calls, bytes atomic.Int64
}

func (c *counted) ReadAt(p []byte, off int64) (int, error) {
	c.calls.Add(1)
	c.bytes.Add(int64(len(p)))
	return c.ReaderAt.ReadAt(p, off)
}

func openCounted(t *testing.T, data []byte) (*File, *counted) {
	t.Helper()
	r := &counted{ReaderAt: bytes.NewReader(data)}
	f, err := Open(r, int64(len(data)), "counted.parquet")
	if err != nil {
		t.Fatal(err)
	}
	r.calls.Store(0)
	r.bytes.Store(0)
	return f, r
}

// TestReadsAreFew reads a column chunk that is not large in one piece, whatever pages it has.
func TestReadsAreFew(t *testing.T) {
	data, err := os.ReadFile("../../testdata/parquet/pyarrow_tiny_pages_v1.parquet")
	if err != nil {
		t.Fatal(err)
	}
	f, r := openCounted(t, data)
	for c := range f.schema.Fields() {
		for _, err := range f.Read(t.Context(), 0, []int{c}) {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	if calls, columns := r.calls.Load(), int64(len(f.schema.Fields())); calls != columns {
		t.Errorf("%d reads for %d column chunks", calls, columns)
	}
}

// manyPages is a file of n pages with rows rows each, whose values are the numbers of the rows.
func manyPages(t *testing.T, n, rows int) []byte {
	c := &crafted{rows: int64(n * rows), physical: format.Int64}
	for p := range n {
		var body []byte
		for i := range rows {
			body = binary.LittleEndian.AppendUint64(body, uint64(p*rows+i))
		}
		c.pages = append(c.pages, v1(int32(rows), format.Plain, body))
	}
	return c.bytes(t)
}

// TestGatherSkipsPages fetches rows of few pages: what is between them is not read, though nothing but the page headers
// says where pages are.
func TestGatherSkipsPages(t *testing.T) {
	const pages, rows = 50, 20_000
	data := manyPages(t, pages, rows)
	f, r := openCounted(t, data)
	want := []int64{0, 5*rows + 7, 40*rows - 1, 40 * rows, pages*rows - 1}
	rec, err := f.Gather(t.Context(), 0, want, []int{0})
	if err != nil {
		t.Fatal(err)
	}
	defer rec.Release()
	for i, row := range want {
		if got := rec.Column(0).(*array.Int64).Value(i); got != row {
			t.Errorf("row %d is %d", row, got)
		}
	}
	if read := r.bytes.Load(); read > int64(len(data))/3 {
		t.Errorf("%d bytes read of %d", read, len(data))
	}
}

// TestManyReadersAtOnce shares a file and the spare buffers between goroutines.
func TestManyReadersAtOnce(t *testing.T) {
	const pages, rows = 20, 3000
	f, _ := openCounted(t, manyPages(t, pages, rows))
	var wait sync.WaitGroup
	for g := range 8 {
		wait.Go(func() {
			at := int64(0)
			for rec, err := range f.Read(t.Context(), 0, []int{0}) {
				if err != nil {
					t.Error(err)
					return
				}
				for _, v := range rec.Column(0).(*array.Int64).Int64Values() {
					if v != at {
						t.Errorf("row %d is %d", at, v)
						return
					}
					at++
				}
			}
			row := int64(g * 7001)
			rec, err := f.Gather(t.Context(), 0, []int64{row}, []int{0})
			if err != nil {
				t.Error(err)
				return
			}
			defer rec.Release()
			if got := rec.Column(0).(*array.Int64).Value(0); got != row {
				t.Errorf("row %d is %d", row, got)
			}
		})
	}
	wait.Wait()
}
