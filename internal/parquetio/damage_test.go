package parquetio_test

import (
	"bytes"
	"errors"
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/flightd/flightd/internal/fault"
	"github.com/flightd/flightd/internal/parquetio"
)

var damages = flag.Int("damages", 25, "changes to each fixture in TestDamage")

// small are the fixtures of at most a size in bytes.
func small(t testing.TB, size int) map[string][]byte {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(fixtures, "*.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	files := make(map[string][]byte)
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if len(data) <= size {
			files[filepath.Base(path)] = data
		}
	}
	return files
}

// readAll opens a file of hostile bytes and reads what it claims to have, up to so many rows of each row group. It fails
// the test on an error without one of the kinds that a file can cause, or if rows come that the file does not claim.
func readAll(t testing.TB, data []byte, most int64) error {
	f, err := parquetio.Open(bytes.NewReader(data), int64(len(data)), "f.parquet")
	if err != nil {
		return checkKind(t, err)
	}
	mapped, err := parquetio.Open(newInMemory(data), int64(len(data)), "f.parquet")
	if err != nil {
		t.Fatal(err)
	}
	var errs []error
	for rg := range min(f.RowGroups(), 20) {
		for c := range min(len(f.Schema().Fields()), 50) {
			errs = append(errs, checkKind(t, readColumn(t, f, rg, c, most)), checkKind(t, gatherColumn(t, f, rg, c)))
			errs = append(errs, checkKind(t, gatherColumn(t, mapped, rg, c)))
		}
	}
	return errors.Join(errs...)
}

func readColumn(t testing.TB, f *parquetio.File, rg, c int, most int64) error {
	rows := int64(0)
	for rec, err := range f.Read(t.Context(), rg, []int{c}) {
		if err != nil {
			return err
		}
		if rows += rec.NumRows(); rows > f.RowGroupRows(rg) {
			t.Errorf("column %d has %d rows in a row group of %d", c, rows, f.RowGroupRows(rg))
		}
		rec.Column(0).NullN()
		if rec.NumRows() > 0 {
			rec.Column(0).ValueStr(int(rec.NumRows() - 1))
		}
		if rows > most {
			return nil
		}
	}
	if rows != f.RowGroupRows(rg) {
		t.Errorf("column %d has %d rows in a row group of %d", c, rows, f.RowGroupRows(rg))
	}
	return nil
}

func gatherColumn(t testing.TB, f *parquetio.File, rg, c int) error {
	var rows []int64
	for _, row := range []int64{0, 1, 7, 40, 41, 100, 1000, 100_000} {
		if row < f.RowGroupRows(rg) {
			rows = append(rows, row)
		}
	}
	rec, err := f.Gather(t.Context(), rg, rows, []int{c})
	if err != nil {
		return err
	}
	defer rec.Release()
	if rec.NumRows() != int64(len(rows)) || rec.Column(0).Len() != len(rows) {
		t.Errorf("column %d: gathered %d rows of %d", c, rec.Column(0).Len(), len(rows))
	}
	for i := range rows {
		rec.Column(0).ValueStr(i)
	}
	return nil
}

func checkKind(t testing.TB, err error) error {
	if err == nil {
		return nil
	}
	if kind := fault.KindOf(err); kind != fault.DataLoss && kind != fault.Unimplemented && kind != fault.Exhausted {
		t.Errorf("an error of the kind %q: %v", kind, err)
	}
	return err
}

// damage changes one to three bytes or cuts something out.
func damage(rng *rand.Rand, data []byte) []byte {
	data = bytes.Clone(data)
	switch rng.IntN(8) {
	case 0:
		return data[:rng.IntN(len(data))]
	case 1:
		at := rng.IntN(len(data))
		return append(data[:at], data[min(len(data), at+1+rng.IntN(40)):]...)
	}
	from := 0
	if rng.IntN(3) == 0 { // the footer, whose bytes mean most
		from = max(0, len(data)-1000)
	}
	for range 1 + rng.IntN(3) {
		at := from + rng.IntN(len(data)-from)
		if rng.IntN(2) == 0 {
			data[at] ^= 1 << rng.IntN(8)
		} else {
			data[at] = byte(rng.IntN(256))
		}
	}
	return data
}

// TestDamage changes few bytes of the fixtures, thousands of times: what comes is data or an error, never another number
// of rows, and never a panic or memory without bound, which would end the test.
func TestDamage(t *testing.T) {
	var before, after runtime.MemStats
	for name, data := range small(t, 1<<20) {
		rng := rand.New(rand.NewPCG(uint64(len(name)), uint64(len(data))))
		rows := open(t, filepath.Join(fixtures, name)).NumRows()
		for i := range *damages {
			changed := damage(rng, data)
			runtime.ReadMemStats(&before)
			err := readAll(t, changed, 1<<20)
			runtime.ReadMemStats(&after)
			if took := after.TotalAlloc - before.TotalAlloc; took > 4<<30 {
				t.Errorf("%s, change %d: %d bytes allocated", name, i, took)
			}
			if f, openErr := parquetio.Open(bytes.NewReader(changed), int64(len(changed)), name); openErr == nil && err == nil && f.NumRows() != rows &&
				len(f.Schema().Fields()) > 0 {
				t.Errorf("%s, change %d: %d rows without an error, want %d", name, i, f.NumRows(), rows)
			}
			if t.Failed() {
				t.Fatalf("%s, change %d", name, i)
			}
		}
	}
}
