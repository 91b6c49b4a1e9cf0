package parquetio

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go/format"

	"github.com/flightd/flightd/internal/fault"
	"github.com/flightd/flightd/internal/lent"
)

// purse is a budget for one reader at a time.
type purse struct{ size, held, peak int64 }

func (p *purse) Reserve(_ context.Context, bytes int64) error {
	if p.held+bytes > p.size {
		return fault.New(fault.Exhausted, "the purse is empty")
	}
	p.held += bytes
	p.peak = max(p.peak, p.held)
	return nil
}

func (p *purse) Release(bytes int64) { p.held -= bytes }

// TestLentMemory reads and gathers small files that take much memory: no more of it than a call lends.
func TestLentMemory(t *testing.T) {
	const n = 4 << 20
	text := format.LogicalType{Value: new(format.StringType)}
	empty := binary.AppendUvarint([]byte{128, 1, 1}, n) // lengths: the first, and blocks of differences, all of them 0
	empty = append(empty, make([]byte, 1+2*(n/128))...)
	long := append(binary.LittleEndian.AppendUint32(nil, 1<<20), bytes.Repeat([]byte{'a'}, 1<<20)...)
	one := []int64{0}
	many := make([]int64, 1000)
	for i := range many {
		many[i] = int64(i)
	}
	for _, c := range []struct {
		name    string
		file    crafted
		columns int
		rows    []int64 // nil: read all
	}{
		{"lists", crafted{physical: format.Int64, list: true, rows: 1, values: n, pages: nullList(n)}, 8, nil},
		{"lists by position", crafted{physical: format.Int64, list: true, rows: 1, values: n, pages: nullList(n)}, 8, one},
		{"pages of nulls", crafted{physical: format.Int64, optional: true, rows: n, pages: []craftedPage{v1(n, format.Plain, levelsBody(nil, run(n, 0)))}}, 40, nil},
		{"pages of empty texts", crafted{physical: format.ByteArray, logical: text, rows: n, pages: []craftedPage{v1(n, format.DeltaLengthByteArray, empty)}}, 4, nil},
		{"long texts by position", crafted{physical: format.ByteArray, logical: text, rows: 1000, pages: []craftedPage{
			dictionary(1, long), v1(1000, format.RLEDictionary, append([]byte{1}, run(1000, 0)...))}}, 1, many},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := c.file.open(t)
			if err != nil {
				t.Fatal(err)
			}
			columns := slices.Repeat([]int{0}, c.columns)
			read := func(p *purse) (err error) {
				ctx := lent.With(t.Context(), lent.Memory{Budget: p, Free: 32 << 20})
				if c.rows != nil {
					_, err = f.Gather(ctx, 0, c.rows, columns)
					return err
				}
				for _, err := range f.Read(ctx, 0, columns) {
					return err
				}
				return errors.New("no rows")
			}
			short, enough := &purse{size: 64 << 20}, &purse{size: 4 << 30}
			spent := allocated(func() { err = read(short) })
			if fault.KindOf(err) != fault.Exhausted || !strings.Contains(err.Error(), "purse") || !strings.Contains(err.Error(), "bomb.parquet") {
				t.Errorf("%v, want that the purse is empty", err)
			}
			if most := uint64(32+64) << 20; spent > 5*most { // a column that grows is moved several times
				t.Errorf("%d MiB allocated", spent>>20)
			}
			if err := read(enough); err != nil {
				t.Errorf("with enough memory: %v", err)
			}
			if short.held != 0 || enough.held != 0 || enough.peak <= short.size {
				t.Errorf("%d and %d bytes are not given back; the greatest need was %d MiB", short.held, enough.held, enough.peak>>20)
			}
		})
	}
}

// nullList are the pages of one row with a list of n nulls.
func nullList(n uint64) []craftedPage {
	reps := append(run(1, 0), run(n-1, 1)...)
	return []craftedPage{v1(int32(n), format.Plain, levelsBody(nil, reps, run(n, 1)))}
}
