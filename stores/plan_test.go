package stores

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/flightd/flightd/joins"
)

// counted is a budget of so many bytes.
type counted struct{ limit, held int64 }

func (c *counted) Reserve(_ context.Context, n int64) error {
	if c.held+n > c.limit {
		return errors.New("no more")
	}
	c.held += n
	return nil
}

func (c *counted) Release(n int64) { c.held -= n }

// Entity rows that were made of history count for as long as they are there.
func TestMadeEntityRowsCount(t *testing.T) {
	mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
	defer mem.AssertSize(t, 0)
	schema := arrow.NewSchema([]arrow.Field{{Name: "k", Type: arrow.PrimitiveTypes.Int64}}, nil)
	for _, limit := range []int64{1 << 20, 20} {
		rec, _, err := array.RecordFromJSON(mem, schema, strings.NewReader(`[{"k": 1}, {"k": 2}, {"k": 3}]`))
		if err != nil {
			t.Fatal(err)
		}
		b := &counted{limit: limit}
		release, err := Options{Budget: b}.hold(t.Context(), joins.Entities{Schema: schema, Records: []arrow.Record{rec}})
		if fits := limit > 24; fits != (err == nil) || fits && b.held < 24 {
			t.Fatalf("of %d bytes: %d held, %v", limit, b.held, err)
		}
		if err == nil {
			release()
		}
		if b.held != 0 {
			t.Errorf("%d bytes are held after the end", b.held)
		}
	}
}
