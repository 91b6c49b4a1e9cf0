package joins_test

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/flightd/flightd/internal/fault"
	"github.com/flightd/flightd/joins"
)

// wrongRange says of every integer column that its values are 1 to 3.
type wrongRange struct{ rangeTable }

func (wrongRange) Range(_ int, column string) (lo, hi int64, ok bool) { return 1, 3, column == "id" }

// A key outside of the range that its part gives is an error: without it the row would be missing from the answer.
func TestLatestOfKeysOutsideTheirRange(t *testing.T) {
	schema := arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.PrimitiveTypes.Int64}, {Name: "ts", Type: arrow.FixedWidthTypes.Timestamp_us}}, nil)
	for last, want := range map[int64]error{3: nil, 9: fault.DataLoss} {
		b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
		for i, id := range []int64{1, 2, last, 1} {
			b.Field(0).(*array.Int64Builder).Append(id)
			b.Field(1).(*array.TimestampBuilder).Append(arrow.Timestamp(i))
		}
		table := newPartsTable(rand.New(rand.NewPCG(1, 1)), schema, []arrow.Record{b.NewRecord()})
		view := joins.View{Name: "v", Keys: []joins.Key{{Entity: "id", Source: "id"}}, EventTime: "ts", Table: wrongRange{rangeTable{gatherTable{table}}}}
		columns := []joins.Feature{{Source: "id", Name: "id"}, {Source: "ts", Name: "ts"}}
		rows, err := collect(schema, joins.Latest(t.Context(), view, columns, joins.Window{}, joins.Options{}))
		if !errors.Is(err, want) || want != nil && !strings.Contains(err.Error(), "statistics") {
			t.Errorf("with key %d: %v, want %v", last, err, want)
		}
		if want == nil && rows.Rows() != 3 {
			t.Errorf("with key %d: %d rows", last, rows.Rows())
		}
	}
}
