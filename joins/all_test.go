package joins_test

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/flightd/flightd/joins"
)

// countedTable has parts of five records of one row, and knows how many of them were read at once.
type countedTable struct {
	row       arrow.Record
	now, most atomic.Int64
}

func (t *countedTable) Schema() *arrow.Schema { return t.row.Schema() }

func (t *countedTable) Parts() []joins.Part {
	return slices.Repeat([]joins.Part{{Rows: 5, Name: "part"}}, 20)
}

func (t *countedTable) Read(_ context.Context, _ int, sel joins.Selection) iter.Seq2[arrow.Record, error] {
	return func(yield func(arrow.Record, error) bool) {
		t.most.Store(max(t.most.Load(), t.now.Add(1)))
		defer t.now.Add(-1)
		for range 5 {
			if !yield(t.row, nil) {
				return
			}
		}
	}
}

// A table of many columns is read by fewer threads: what reading a part takes depends on the columns.
func TestAllOfManyColumns(t *testing.T) {
	const columns = 300
	fields, values := make([]arrow.Field, columns), make([]arrow.Array, columns)
	asked := make([]joins.Feature, columns)
	for i := range fields {
		name := fmt.Sprint("f", i)
		fields[i] = arrow.Field{Name: name, Type: arrow.FixedWidthTypes.Timestamp_us, Nullable: true}
		values[i] = array.MakeArrayOfNull(memory.DefaultAllocator, fields[i].Type, 1)
		asked[i] = joins.Feature{Source: name, Name: name}
	}
	table := &countedTable{row: array.NewRecord(arrow.NewSchema(fields, nil), values, 1)}
	v := joins.View{Name: "v", EventTime: "f0", Table: table}
	rows := int64(0)
	for rec, err := range joins.All(t.Context(), v, asked, joins.Window{}, joins.Share{}, joins.Options{Threads: 8, GatherBytes: 256 << 20}) {
		if err != nil {
			t.Fatal(err)
		}
		rows += rec.NumRows()
	}
	if rows != 100 || table.most.Load() != 1 {
		t.Errorf("%d rows of 100, %d parts at once", rows, table.most.Load())
	}
}
