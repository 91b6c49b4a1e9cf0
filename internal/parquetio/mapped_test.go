package parquetio_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/flightd/flightd/internal/fault"
	"github.com/flightd/flightd/internal/parquetio"
)

// inMemory is a file in memory that can be mapped. What is released is overwritten, so that who still uses it is found out.
type inMemory struct {
	*bytes.Reader
	data []byte
	maps int
}

func newInMemory(data []byte) *inMemory { return &inMemory{Reader: bytes.NewReader(data), data: data} }

func (m *inMemory) Map(off int64, n int) ([]byte, func(), error) {
	if off < 0 || n < 0 || off > int64(len(m.data))-int64(n) {
		return nil, nil, errors.New("a map beyond the end of the file")
	}
	m.maps++
	view := bytes.Clone(m.data[off : off+int64(n)])
	return view, func() {
		for i := range view {
			view[i] = 0xa5
		}
	}, nil
}

func openMapped(t *testing.T, path string) *parquetio.File {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := parquetio.Open(newInMemory(data), int64(len(data)), filepath.Base(path))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestSmallWindows gathers with windows that end in the middle of pages and headers.
func TestSmallWindows(t *testing.T) {
	defer parquetio.SetWindow(100)()
	for _, name := range []string{"pyarrow_noise_snappy_v1", "pyarrow_noise_snappy_v2", "pyarrow_noise_none_v2", "pyarrow_dictionary_fallback_nulls", "spark_flat_v2_pages"} {
		path := filepath.Join(fixtures, name)
		_, want := expected(t, path+".arrows")
		gathersLike(t, openMapped(t, path+".parquet"), want)
	}
}

// shrinking is a mapped file that somebody cuts off as soon as it has been mapped.
type shrinking struct {
	*os.File
	t *testing.T
}

func (s shrinking) Map(off int64, n int) ([]byte, func(), error) {
	before := int(off % int64(os.Getpagesize()))
	all, err := unix.Mmap(int(s.Fd()), off-int64(before), before+n, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, nil, err
	}
	if err := os.Truncate(s.Name(), 0); err != nil {
		s.t.Error(err)
	}
	return all[before:], func() { unix.Munmap(all) }, nil //nolint:errcheck // of a test
}

// TestFault gathers from a file that becomes shorter while it is mapped: that is an error, and not the end of the process.
func TestFault(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(fixtures, "pyarrow_noise_snappy_v1.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "shrinking.parquet")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	f, err := parquetio.Open(shrinking{file, t}, int64(len(data)), "shrinking.parquet")
	if err != nil {
		t.Fatal(err)
	}
	for c, field := range f.Schema().Fields() {
		_, err = f.Gather(t.Context(), 0, []int64{0, f.RowGroupRows(0) - 1}, []int{c})
		if err != nil && strings.Contains(err.Error(), "became shorter") {
			if fault.KindOf(err) != fault.DataLoss {
				t.Errorf("column %s: kind %v", field.Name, fault.KindOf(err))
			}
			return
		}
	}
	t.Errorf("no column of a file without its bytes failed for that: %v", err)
}
