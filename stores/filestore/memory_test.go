package filestore_test

import (
	"context"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/flightd/flightd/internal/fault"
	"github.com/flightd/flightd/stores"
)

// purse is a budget of so many bytes.
type purse struct {
	mu         sync.Mutex
	size, held int64
}

func (p *purse) Reserve(_ context.Context, bytes int64) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.held+bytes > p.size {
		return fault.New(fault.Exhausted, "the purse is empty")
	}
	p.held += bytes
	return nil
}

func (p *purse) Release(bytes int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held -= bytes
}

// What reading a file takes is the request's: rows that do not fit into its budget are refused, whatever is asked of them.
func TestFilesAreReadWithinTheBudget(t *testing.T) {
	root := t.TempDir()
	const n = 2 << 20
	values := array.MakeArrayOfNull(memory.DefaultAllocator, i64, n)
	list := array.NewData(arrow.ListOf(i64), 1, []*memory.Buffer{nil, memory.NewBufferBytes(arrow.Int32Traits.CastToBytes([]int32{0, n}))},
		[]arrow.ArrayData{values.Data()}, 0, 0)
	keys := rec(t, col{"driver", i64, `[1]`}, col{"ts", clock(arrow.Microsecond, "UTC"), `[5]`})
	fields, columns := keys.Schema().Fields(), keys.Columns()
	for _, name := range []string{"a", "b", "c", "d"} {
		fields = append(fields, arrow.Field{Name: name, Type: list.DataType(), Nullable: true})
		columns = append(columns, array.MakeFromData(list))
	}
	write(t, filepath.Join(root, "stats.parquet"), array.NewRecord(arrow.NewSchema(fields, nil), columns, 1))
	s := open(t, root)
	v := &stores.FeatureView{Name: "v", Keys: []string{"driver"}, Timestamp: "ts", Store: s, Source: source(t, s, "stats.parquet")}
	for _, feature := range [][]string{{"a"}, nil} {
		entities := rows(keys)
		for name, request := range map[string]stores.Request{
			"all":        &stores.All{View: v, Features: feature},
			"latest":     &stores.Latest{View: v, Features: feature},
			"historical": &stores.Historical{Features: []stores.ViewFeatures{{View: v, Features: feature}}, Entities: &entities},
		} {
			budget := &purse{size: 80 << 20}
			job, err := stores.Plan(t.Context(), request, stores.Options{Budget: budget, GatherBytes: 1 << 20})
			if err != nil {
				t.Fatal(err)
			}
			for _, err = range job.Records(t.Context()) {
			}
			if feature != nil && err != nil {
				t.Errorf("%s of one column: %v", name, err)
			}
			if feature == nil && (fault.KindOf(err) != fault.Exhausted || !strings.Contains(err.Error(), "stats.parquet")) {
				t.Errorf("%s: %v, want that the file takes too much", name, err)
			}
			if budget.held != 0 {
				t.Errorf("%s: %d bytes are not given back", name, budget.held)
			}
		}
	}
}
