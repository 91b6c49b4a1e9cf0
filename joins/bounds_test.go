package joins_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/flightd/flightd/internal/fault"
	"github.com/flightd/flightd/joins"
	"github.com/flightd/flightd/testdata/pit"
)

// wideHistory has one row for each key, with a text of about 1 KB, and entity rows that ask for all of them, in random
// order: 20 MB of features.
func wideHistory(rng *rand.Rand) (joins.Entities, []joins.View) {
	const keys = 20_000
	stamp := &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}
	source := arrow.NewSchema([]arrow.Field{
		{Name: "k", Type: arrow.PrimitiveTypes.Int64}, {Name: "ts", Type: stamp}, {Name: "text", Type: arrow.BinaryTypes.String, Nullable: true},
	}, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, source)
	for k := range int64(keys) {
		b.Field(0).(*array.Int64Builder).Append(k)
		b.Field(1).(*array.TimestampBuilder).Append(arrow.Timestamp(k))
		b.Field(2).(*array.StringBuilder).Append(strings.Repeat(fmt.Sprint(k%10), 900+rng.IntN(200)))
	}
	rows := b.NewRecord()
	b = array.NewRecordBuilder(memory.DefaultAllocator, arrow.NewSchema(source.Fields()[:2], nil))
	for _, k := range rng.Perm(keys) {
		b.Field(0).(*array.Int64Builder).Append(int64(k))
		b.Field(1).(*array.TimestampBuilder).Append(arrow.Timestamp(keys))
	}
	entities := b.NewRecord()
	table := &partsTable{schema: source, batch: 1000}
	for lo := int64(0); lo < keys; lo += 7000 {
		table.parts = append(table.parts, table.copy(rows, lo, min(lo+7000, keys)))
	}
	view := joins.View{Name: "wide", EventTime: "ts", Keys: []joins.Key{{Entity: "k", Source: "k"}},
		Features: []joins.Feature{{Source: "text", Name: "text"}}, Table: gatherTable{table}}
	return joins.Entities{Schema: entities.Schema(), Records: []arrow.Record{entities}, Time: "ts"}, []joins.View{view}
}

// An answer that is wider than may be held at once comes in ranges: the same rows, in the memory that is allowed.
func TestGatherBytes(t *testing.T) {
	e, views := wideHistory(rand.New(rand.NewPCG(1, 1)))
	ask := func(gather, budget int64) (pit.Table, int64) {
		t.Helper()
		p := &purse{limit: budget, over: fault.Exhausted}
		opt := joins.Options{Threads: 2, Budget: p, GatherBytes: gather}
		schema, err := joins.AnswerSchema(e.Schema, e.Time, views)
		if err != nil {
			t.Fatal(err)
		}
		got, err := collect(schema, joins.PointInTime(t.Context(), e, views, opt))
		if err != nil {
			t.Fatalf("gather %d, budget %d: %v", gather, budget, err)
		}
		if p.held != 0 {
			t.Errorf("%d bytes were not given back", p.held)
		}
		return got, p.most
	}
	want, all := ask(0, 0)
	if all < 20_000_000 {
		t.Fatalf("the whole answer took %d bytes, which is no test", all)
	}
	for _, c := range []struct{ gather, budget, most int64 }{
		{8 << 20, 0, 14 << 20}, // beside it the index
		{1, 0, 11 << 20},       // the smallest range is 4096 rows
		{0, 12 << 20, 12 << 20},
	} {
		got, most := ask(c.gather, c.budget)
		if most > c.most {
			t.Errorf("gather %d, budget %d: %d bytes were held, want at most %d", c.gather, c.budget, most, c.most)
		}
		if d := pit.Diff(want, got, false); d != "" {
			t.Errorf("gather %d, budget %d: %s", c.gather, c.budget, d)
		}
	}
}

// Neighbouring small parts become batches of some size.
func TestSmallPartsAreCoalesced(t *testing.T) {
	e, _ := wideHistory(rand.New(rand.NewPCG(1, 1)))
	table := &partsTable{schema: e.Schema, batch: 10}
	for lo := int64(0); lo < 20_000; lo += 10 {
		table.parts = append(table.parts, table.copy(e.Records[0], lo, lo+10))
	}
	columns := []joins.Feature{{Source: "k", Name: "k"}, {Source: "ts", Name: "ts"}}
	view := joins.View{Name: "small", EventTime: "ts", Keys: []joins.Key{{Entity: "k", Source: "k"}}, Table: gatherTable{table}}
	whole := pit.Table{Schema: e.Schema, Records: e.Records}
	for name, records := range map[string]func(func(arrow.Record, error) bool){
		"all":    joins.All(t.Context(), view, columns, joins.Window{}, joins.Share{}, joins.Options{}),
		"latest": joins.Latest(t.Context(), view, columns, joins.Window{}, joins.Options{}),
	} {
		got, err := collect(e.Schema, records)
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Records) > 3 {
			t.Errorf("%s: %d records of 320 KB", name, len(got.Records))
		}
		if d := pit.Diff(whole, got, false); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}
