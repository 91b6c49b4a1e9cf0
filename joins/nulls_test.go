package joins_test

import (
	"context"
	"iter"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/flightd/flightd/internal/arrowsize"
	"github.com/flightd/flightd/internal/fault"
	"github.com/flightd/flightd/joins"
)

// thinTable has parts of one row for each key, with the time 0 and one feature that is null in all of them. It makes what it is
// asked for, and remembers the most rows.
type thinTable struct {
	schema *arrow.Schema
	keys   [][]int64
	most   atomic.Int64
}

func newThinTable(feature arrow.DataType, keys ...[]int64) *thinTable {
	return &thinTable{keys: keys, schema: arrow.NewSchema([]arrow.Field{{Name: "k", Type: arrow.PrimitiveTypes.Int64},
		{Name: "ts", Type: arrow.FixedWidthTypes.Timestamp_us}, {Name: "x", Type: feature, Nullable: true}}, nil)}
}

func (t *thinTable) Schema() *arrow.Schema { return t.schema }

func (t *thinTable) Parts() []joins.Part {
	parts := make([]joins.Part, len(t.keys))
	for i, keys := range t.keys {
		parts[i] = joins.Part{Rows: int64(len(keys)), Name: "part"}
	}
	return parts
}

func (t *thinTable) Read(ctx context.Context, part int, sel joins.Selection) iter.Seq2[arrow.Record, error] {
	rows := make([]int64, len(t.keys[part]))
	for i := range rows {
		rows[i] = int64(i)
	}
	return func(yield func(arrow.Record, error) bool) { yield(t.Gather(ctx, part, rows, sel.Columns)) }
}

func (t *thinTable) Gather(_ context.Context, part int, rows []int64, columns []string) (arrow.Record, error) {
	var fields []arrow.Field
	var arrays []arrow.Array
	for _, name := range columns {
		f, _ := t.schema.FieldsByName(name)
		b := array.NewInt64Builder(memory.DefaultAllocator)
		for _, row := range rows {
			b.Append(t.keys[part][row])
		}
		fields = append(fields, f[0])
		switch name {
		case "k":
			arrays = append(arrays, b.NewArray())
		case "ts":
			arrays = append(arrays, array.NewTimestampData(array.NewData(f[0].Type, len(rows), []*memory.Buffer{nil, memory.NewBufferBytes(make([]byte, 8*len(rows)))}, nil, 0, 0)))
		default:
			if n := int64(len(rows)); n > t.most.Load() {
				t.most.Store(n)
			}
			arrays = append(arrays, array.MakeArrayOfNull(memory.DefaultAllocator, f[0].Type, len(rows)))
		}
	}
	return array.NewRecord(arrow.NewSchema(fields, nil), arrays, int64(len(rows))), nil
}

func (t *thinTable) view() joins.View {
	return joins.View{Name: "thin", EventTime: "ts", Keys: []joins.Key{{Entity: "k", Source: "k"}},
		Features: []joins.Feature{{Source: "x", Name: "x"}}, Table: t}
}

// asks are entity rows with keys.
func asks(t *testing.T, keys []int64) joins.Entities {
	rec, err := newThinTable(arrow.Null, keys).Gather(t.Context(), 0, upTo(len(keys)), []string{"k", "ts"})
	if err != nil {
		t.Fatal(err)
	}
	return joins.Entities{Schema: rec.Schema(), Records: []arrow.Record{rec}, Time: "ts"}
}

func upTo(n int) []int64 {
	numbers := make([]int64, n)
	for i := range numbers {
		numbers[i] = int64(i)
	}
	return numbers
}

// wideTypes are types whose nulls take 32 KiB or a little more.
func wideTypes() []arrow.DataType {
	i64 := arrow.PrimitiveTypes.Int64
	return []arrow.DataType{
		arrow.FixedSizeListOf(4096, i64), &arrow.FixedSizeBinaryType{ByteWidth: 32 << 10},
		arrow.FixedSizeListOf(64, arrow.FixedSizeListOf(64, i64)), arrow.FixedSizeListOf(4096, arrow.BinaryTypes.LargeString),
		arrow.StructOf(arrow.Field{Name: "a", Type: arrow.FixedSizeListOf(4096, i64), Nullable: true}, arrow.Field{Name: "b", Type: i64, Nullable: true}),
	}
}

// Entity rows without features have nulls of the features' types, which may be wide: then batches are short.
func TestWideNullsAreFewAtOnce(t *testing.T) {
	const row = 40 << 10
	for _, typ := range wideTypes() {
		e := asks(t, slices.Concat([]int64{1}, slices.Repeat([]int64{7}, 4999)))
		rows := int64(0)
		for rec, err := range joins.PointInTime(t.Context(), e, []joins.View{newThinTable(typ, []int64{1}).view()}, joins.Options{Threads: 1}) {
			if err != nil {
				t.Fatal(err)
			}
			if size := arrowsize.Record(rec); size > 4<<20+row {
				t.Fatalf("%s: %d rows of %d MiB in a batch", typ, rec.NumRows(), size>>20)
			}
			if rows += rec.NumRows(); rec.Column(2).NullN() != int(rec.NumRows()) {
				t.Fatalf("%s: values came of nulls", typ)
			}
		}
		if rows != 5000 {
			t.Errorf("%s: %d rows of 5000", typ, rows)
		}
	}
}

// Tables are asked for few rows at a time if all are wide.
func TestWideRowsAreFetchedFewAtOnce(t *testing.T) {
	const rows, gather = 6000, 16 << 20
	for _, typ := range wideTypes() {
		for name, ask := range map[string]func(v joins.View, opt joins.Options) iter.Seq2[arrow.Record, error]{
			"historical": func(v joins.View, opt joins.Options) iter.Seq2[arrow.Record, error] {
				return joins.PointInTime(t.Context(), asks(t, upTo(rows)), []joins.View{v}, opt)
			},
			"latest": func(v joins.View, opt joins.Options) iter.Seq2[arrow.Record, error] {
				return joins.Latest(t.Context(), v, v.Features, joins.Window{}, opt)
			},
		} {
			table := newThinTable(typ, upTo(rows))
			got := int64(0)
			budget := &purse{limit: 64 << 20, over: fault.New(fault.Exhausted, "over")}
			for rec, err := range ask(table.view(), joins.Options{Threads: 1, GatherBytes: gather, Budget: budget}) {
				if err != nil {
					t.Fatalf("%s of %s: %v", name, typ, err)
				}
				got += rec.NumRows()
			}
			if got != rows || table.most.Load() > gather/(32<<10) || budget.held != 0 {
				t.Errorf("%s of %s: %d rows of %d, %d at once, %d bytes held", name, typ, got, rows, table.most.Load(), budget.held)
			}
		}
	}
}

// A row may be wider than any batch, and is refused if it is wider than the memory of the call.
func TestOneWideRow(t *testing.T) {
	for _, c := range []struct {
		length int32
		kind   fault.Kind
	}{{1 << 20, fault.Unknown}, {1 << 24, fault.Exhausted}} {
		budget := &purse{limit: 32 << 20, over: fault.New(fault.Exhausted, "the purse is empty")}
		view := newThinTable(arrow.FixedSizeListOf(c.length, arrow.PrimitiveTypes.Int64), []int64{1}).view()
		rows, kind := int64(0), fault.Unknown
		for rec, err := range joins.PointInTime(t.Context(), asks(t, []int64{7, 8}), []joins.View{view}, joins.Options{Threads: 1, Budget: budget}) {
			if err != nil {
				kind = fault.KindOf(err)
				if !strings.Contains(err.Error(), "purse") {
					t.Error(err)
				}
				continue
			}
			rows += rec.NumRows()
		}
		if kind != c.kind || c.kind == fault.Unknown && rows != 2 || budget.held != 0 {
			t.Errorf("lists of %d: kind %v, %d rows, %d bytes held", c.length, kind, rows, budget.held)
		}
	}
}

// A long list that won for many entity rows is as often in the answer: it counts as what it takes, not as the mean.
func TestLongListsCountThemselves(t *testing.T) {
	const long, rows = 64 << 10, 2000
	b := array.NewListBuilder(memory.DefaultAllocator, arrow.PrimitiveTypes.Int64)
	for k := range 1000 {
		b.Append(true)
		for i := 0; k == 1 && i < long; i++ {
			b.ValueBuilder().(*array.Int64Builder).Append(int64(i))
		}
	}
	lists := b.NewArray()
	keys := asks(t, upTo(1000)).Records[0]
	fields := append(keys.Schema().Fields(), arrow.Field{Name: "x", Type: lists.DataType(), Nullable: true})
	rec := array.NewRecord(arrow.NewSchema(fields, nil), append(slices.Clone(keys.Columns()), lists), 1000)
	table := &partsTable{schema: rec.Schema(), batch: 1000, parts: []arrow.Record{rec}}
	view := newThinTable(arrow.Null).view()
	view.Table = gatherTable{table}
	got := int64(0)
	for rec, err := range joins.PointInTime(t.Context(), asks(t, slices.Concat(upTo(1000), slices.Repeat([]int64{1}, rows-1000))), []joins.View{view}, joins.Options{Threads: 1}) {
		if err != nil {
			t.Fatal(err)
		}
		if size := arrowsize.Record(rec); size > 5<<20 {
			t.Fatalf("a batch of %d MiB", size>>20)
		}
		got += rec.NumRows()
	}
	if got != rows {
		t.Errorf("%d rows of %d", got, rows)
	}
}

// Wide rows of parts that are read ahead wait for their turn: what is copied of them is reserved, and is never much.
func TestWideRowsAreCopiedInTurn(t *testing.T) {
	for _, c := range []struct {
		length int32
		kind   fault.Kind
	}{{1 << 20, fault.Unknown}, {1 << 23, fault.Exhausted}} {
		row := int64(c.length) * 8
		budget := &purse{limit: 48 << 20, over: fault.New(fault.Exhausted, "the purse is empty")}
		v := newThinTable(arrow.FixedSizeListOf(c.length, arrow.PrimitiveTypes.Int64), slices.Repeat([][]int64{{1}}, 16)...).view()
		rows, kind := int64(0), fault.Unknown
		for rec, err := range joins.All(t.Context(), v, v.Features, joins.Window{}, joins.Share{}, joins.Options{Threads: 8, GatherBytes: 32<<20 - 8, Budget: budget}) {
			if err != nil {
				kind = fault.KindOf(err)
				continue
			}
			rows += rec.NumRows()
		}
		if kind != c.kind || kind == fault.Unknown && (rows != 16 || budget.most < row) || budget.held != 0 {
			t.Errorf("lists of %d: kind %v, %d rows, %d bytes were held, and are %d", c.length, kind, rows, budget.most, budget.held)
		}
	}
}
