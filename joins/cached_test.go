package joins_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/flightd/flightd/internal/fault"
	"github.com/flightd/flightd/internal/oracle"
	"github.com/flightd/flightd/joins"
	"github.com/flightd/flightd/testdata/pit"
)

// randomCache is a cache with room for everything, for some indexes, or for none; or there is no cache.
func randomCache(rng *rand.Rand) *joins.IndexCache {
	switch rng.IntN(6) {
	case 0:
		return nil
	case 1:
		return joins.NewIndexCache(rng.Int64N(4 << 10))
	}
	return joins.NewIndexCache(1 << 20)
}

// askings is how often a question is put: with a cache, once more when there are indexes.
func askings(opt joins.Options) int {
	if opt.Indexes == nil {
		return 1
	}
	return 2
}

// heap is a table made of some parts of a greater one, which keep their identities.
type heap struct {
	gatherTable
	ids []string
}

func (h heap) Identity(part int) string { return h.ids[part] }

func (h heap) Parts() []joins.Part {
	parts := h.gatherTable.Parts()
	for i := range parts {
		parts[i].Rows = h.parts[i].NumRows()
	}
	return parts
}

// pick is a table of the parts of t for which choose says so, in their order, or sometimes in another one.
func pick(rng *rand.Rand, t *partsTable, choose func() bool) heap {
	some := &partsTable{schema: t.schema, batch: t.batch}
	h := heap{gatherTable: gatherTable{some}}
	for i, part := range t.parts {
		if choose() {
			id := fmt.Sprintf("table %d part %d", t.id, i)
			if rng.IntN(6) == 0 {
				id = ""
			}
			some.parts, h.ids = append(some.parts, part), append(h.ids, id)
		}
	}
	if rng.IntN(8) == 0 {
		rng.Shuffle(len(h.ids), func(i, j int) {
			h.ids[i], h.ids[j] = h.ids[j], h.ids[i]
			some.parts[i], some.parts[j] = some.parts[j], some.parts[i]
		})
	}
	return h
}

// Parts come and go between calls, in tables that share a cache of any size. Every answer is the one without a cache, and the
// cache never takes more than it may.
func TestCachedIndexOfChangingTables(t *testing.T) {
	defer joins.Cached()()
	eachSeed(t, func(t *testing.T, rng *rand.Rand) {
		defer joins.Cached()()
		bound := 500 + rng.Int64N(20<<10)
		cache := joins.NewIndexCache(bound)
		c := oracle.Random(rng)
		e := joins.Entities{Schema: c.Entities.Schema(), Records: batches(rng, c.Entities), Time: c.Time}
		views := engineViews(rng, c.Views)
		whole := make([]*partsTable, len(views))
		for i, v := range c.Views {
			whole[i] = newPartsTable(rng, v.Rows.Schema(), []arrow.Record{v.Rows})
		}
		schema, err := joins.AnswerSchema(e.Schema, e.Time, views)
		if err != nil {
			t.Fatal(err)
		}
		for range 6 {
			share := rng.Float64()
			for i := range views {
				views[i].Table = pick(rng, whole[i], func() bool { return rng.Float64() < share })
			}
			opt, _ := randomOptions(rng, c)
			want, err := collect(schema, joins.PointInTime(t.Context(), e, views, opt))
			if err != nil {
				t.Fatal(err)
			}
			opt.Indexes = cache
			got, err := collect(schema, joins.PointInTime(t.Context(), e, views, opt))
			if err != nil {
				t.Fatal(err)
			}
			if d := pit.Diff(want, got, false); d != "" {
				t.Error(d)
			}
			if cache.Bytes() > bound {
				t.Errorf("%d bytes of %d", cache.Bytes(), bound)
			}
		}
	})
}

// drivers is a question about integer keys: entity rows, and a view of parts of so many rows each.
func drivers(t *testing.T, parts, rows int) (joins.Entities, joins.View, *partsTable) {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, 2))
	record := func(rows int) arrow.Record {
		b := array.NewRecordBuilder(memory.DefaultAllocator, arrow.NewSchema([]arrow.Field{
			{Name: "driver", Type: arrow.PrimitiveTypes.Int64},
			{Name: "ts", Type: arrow.FixedWidthTypes.Timestamp_ms},
			{Name: "x", Type: arrow.PrimitiveTypes.Int64},
		}, nil))
		for range rows {
			b.Field(0).(*array.Int64Builder).Append(rng.Int64N(100))
			b.Field(1).(*array.TimestampBuilder).Append(arrow.Timestamp(rng.Int64N(20)))
			b.Field(2).(*array.Int64Builder).Append(rng.Int64())
		}
		return b.NewRecord()
	}
	table := &partsTable{batch: 64, id: tables.Add(1)}
	var ids []string
	for range parts {
		rec := record(rows)
		table.schema, table.parts = rec.Schema(), append(table.parts, rec)
		ids = append(ids, fmt.Sprintf("table %d part %d", table.id, len(ids)))
	}
	rec := record(200)
	view := joins.View{
		Name: "stats", Keys: []joins.Key{{Entity: "driver", Source: "driver"}}, EventTime: "ts",
		Features: []joins.Feature{{Source: "x", Name: "stats__x"}},
		Table:    heap{gatherTable{table}, ids},
	}
	return joins.Entities{Schema: rec.Schema(), Records: []arrow.Record{rec}, Time: "ts"}, view, table
}

// answer asks once; the plan says how it was answered.
func answer(ctx context.Context, e joins.Entities, view joins.View, opt joins.Options) (pit.Table, string, error) {
	opt.Trace = new(joins.Trace)
	schema, err := joins.AnswerSchema(e.Schema, e.Time, []joins.View{view})
	if err != nil {
		return pit.Table{}, "", err
	}
	got, err := collect(schema, joins.PointInTime(ctx, e, []joins.View{view}, opt))
	return got, strings.Join(opt.Trace.Plan, "\n"), err
}

func TestCachedIndexPlan(t *testing.T) {
	defer joins.Cached()()
	e, view, table := drivers(t, 3, 500)
	cache := joins.NewIndexCache(1 << 20)
	want, plan, err := answer(t.Context(), e, view, joins.Options{})
	if err != nil || strings.Contains(plan, "index") {
		t.Fatal(plan, err)
	}
	for i, say := range []string{"3 parts read to build an index", "stats: 3 parts by a kept index of 100 keys and 1500 rows"} {
		before := table.reads.Load()
		got, plan, err := answer(t.Context(), e, view, joins.Options{Indexes: cache})
		if err != nil || !strings.Contains(plan, say) || !strings.Contains(plan, "stats: 0 of 3 parts") {
			t.Errorf("call %d: plan\n%s\nwant it to say %q; %v", i, plan, say, err)
		}
		if d := pit.Diff(want, got, false); d != "" {
			t.Error(d)
		}
		if reads := table.reads.Load() - before; (reads > 0) != (i == 0) {
			t.Errorf("call %d: %d reads of history", i, reads)
		}
	}
	small := joins.NewIndexCache(1500 * 12)
	for range 2 { // the keys are what is too much, which is known only when they have been found
		got, plan, err := answer(t.Context(), e, view, joins.Options{Indexes: small})
		if err != nil || !strings.Contains(plan, "an index is not built: ") || !strings.Contains(plan, "stats: 3 of 3 parts") {
			t.Errorf("plan\n%s\n%v", plan, err)
		}
		if d := pit.Diff(want, got, false); d != "" {
			t.Error(d)
		}
	}
	if small.Bytes() != 0 || small.Built() != 0 {
		t.Errorf("%d bytes in a cache without an index", small.Bytes())
	}
}

// An index that is too small to pay is not built, nor is one of more groups than rows.
func TestCachedIndexPays(t *testing.T) {
	e, view, _ := drivers(t, 3, 500)
	cache := joins.NewIndexCache(1 << 20)
	if _, plan, err := answer(t.Context(), e, view, joins.Options{Indexes: cache}); err != nil || cache.Built() != 0 {
		t.Errorf("an index of 1500 rows was built: %v\n%s", err, plan)
	}
}

// The least recently used index goes first, and one is used by who found it even when it is gone.
func TestCachedIndexEviction(t *testing.T) {
	defer joins.Cached()()
	cache := joins.NewIndexCache(60 << 10)
	type asked struct {
		e    joins.Entities
		view joins.View
	}
	var all []asked
	for range 3 {
		e, view, _ := drivers(t, 2, 1000)
		all = append(all, asked{e, view})
	}
	for i, want := range []struct {
		table int
		built int64
	}{{0, 1}, {1, 2}, {0, 2}, {2, 3}, {0, 3}, {1, 4}} {
		q := all[want.table]
		if _, plan, err := answer(t.Context(), q.e, q.view, joins.Options{Indexes: cache}); err != nil || cache.Built() != want.built {
			t.Errorf("step %d: %d indexes built, want %d; %v\n%s", i, cache.Built(), want.built, err, plan)
		}
		if cache.Bytes() > 60<<10 {
			t.Errorf("step %d: %d bytes", i, cache.Bytes())
		}
	}
}

// Calls that need the same index at the same time build it once, and one that gives up does not fail the others.
func TestCachedIndexTogether(t *testing.T) {
	defer joins.Cached()()
	for _, gives := range []bool{false, true} {
		e, view, table := drivers(t, 4, 500)
		want, _, err := answer(t.Context(), e, view, joins.Options{})
		if err != nil {
			t.Fatal(err)
		}
		building, cancelled := make(chan struct{}), make(chan struct{})
		var once sync.Once
		table.fail = func(part int, row int64) error {
			once.Do(func() {
				close(building)
				if gives {
					<-cancelled
				}
			})
			return nil
		}
		cache := joins.NewIndexCache(1 << 20)
		first, cancel := context.WithCancel(t.Context())
		defer cancel()
		var group sync.WaitGroup
		ask := func(ctx context.Context) error {
			got, _, err := answer(ctx, e, view, joins.Options{Indexes: cache, Threads: 2})
			if err != nil {
				return err
			}
			if d := pit.Diff(want, got, false); d != "" {
				t.Error(d)
			}
			return nil
		}
		group.Go(func() {
			if err := ask(first); gives != errors.Is(err, context.Canceled) {
				t.Errorf("who began: %v", err)
			}
		})
		<-building
		for range 6 {
			group.Go(func() {
				if err := ask(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		if gives {
			cancel()
			close(cancelled)
		}
		group.Wait()
		if cache.Built() != 1 {
			t.Errorf("%d indexes were built", cache.Built())
		}
	}
}

// What cannot be read, or has no memory to be built, leaves nothing behind.
func TestCachedIndexFailures(t *testing.T) {
	defer joins.Cached()()
	e, view, table := drivers(t, 4, 200)
	want, _, err := answer(t.Context(), e, view, joins.Options{})
	if err != nil {
		t.Fatal(err)
	}
	cache := joins.NewIndexCache(1 << 20)
	broken := errors.New("broken")
	for after := range int64(300) {
		var reads atomic.Int64
		table.fail = func(int, int64) error {
			if reads.Add(1) > after {
				return broken
			}
			return nil
		}
		if _, _, err := answer(t.Context(), e, view, joins.Options{Indexes: cache}); err == nil && reads.Load() <= after {
			break
		} else if !errors.Is(err, broken) || cache.Bytes() != 0 {
			t.Fatalf("after %d reads: %v, and %d bytes are left", after, err, cache.Bytes())
		}
	}
	if cache.Built() != 1 {
		t.Fatal("it never went well")
	}
	table.fail = nil
	for limit := int64(20 << 10); ; limit += limit / 4 {
		cache := joins.NewIndexCache(1 << 20)
		budget := &purse{limit: limit, over: fault.New(fault.Exhausted, "no more")}
		got, plan, err := answer(t.Context(), e, view, joins.Options{Indexes: cache, Budget: budget, Threads: 2})
		if budget.held != 0 {
			t.Fatalf("%d bytes of the budget were not given back", budget.held)
		}
		if errors.Is(err, fault.Exhausted) {
			continue
		}
		if d := pit.Diff(want, got, false); d != "" || err != nil {
			t.Fatal(d, err)
		}
		if cache.Built() == 1 {
			break
		}
		if cache.Bytes() != 0 || !strings.Contains(plan, "an index is not built: ") {
			t.Fatalf("%d bytes in a cache without an index, and the plan is\n%s", cache.Bytes(), plan)
		}
	}
}

// some is a view of some parts of its table.
func some(view joins.View, parts ...int) joins.View {
	whole := view.Table.(heap)
	h := heap{gatherTable: gatherTable{&partsTable{schema: whole.schema, batch: whole.batch}}}
	for _, i := range parts {
		h.partsTable.parts, h.ids = append(h.partsTable.parts, whole.partsTable.parts[i]), append(h.ids, whole.ids[i])
	}
	view.Table = h
	return view
}

// Position decides between rows of one time, so an index of parts in one order does not answer for them in another.
func TestCachedIndexOrder(t *testing.T) {
	defer joins.Cached()()
	e, view, _ := drivers(t, 3, 500)
	cache := joins.NewIndexCache(1 << 20)
	for _, order := range [][]int{{0, 1, 2}, {2, 1, 0}, {0, 2}, {2, 0}, {0, 1, 2}} {
		want, _, err := answer(t.Context(), e, some(view, order...), joins.Options{})
		if err != nil {
			t.Fatal(err)
		}
		got, plan, err := answer(t.Context(), e, some(view, order...), joins.Options{Indexes: cache})
		if err != nil {
			t.Fatal(err)
		}
		if d := pit.Diff(want, got, false); d != "" {
			t.Errorf("parts %v: %s\n%s", order, d, plan)
		}
	}
}

// An index that a larger one has replaced while somebody used it counts until then, and no longer.
func TestCachedIndexReplacedInUse(t *testing.T) {
	defer joins.Cached()()
	e, view, _ := drivers(t, 3, 500)
	at := func(parts ...int) joins.View { return some(view, parts...) }
	cache, alone := joins.NewIndexCache(1<<20), joins.NewIndexCache(1<<20)
	ask := func(view joins.View, cache *joins.IndexCache) {
		if _, plan, err := answer(t.Context(), e, view, joins.Options{Indexes: cache}); err != nil {
			t.Error(plan, err)
		}
	}
	ask(at(0), cache)
	small := cache.Bytes()
	using, replaced := make(chan struct{}), make(chan struct{})
	user := at(0, 1)
	user.Table.(heap).ids[1] = "" // is streamed
	var once sync.Once
	user.Table.(heap).fail = func(int, int64) error {
		once.Do(func() { close(using); <-replaced })
		return nil
	}
	var group sync.WaitGroup
	group.Go(func() { ask(user, cache) })
	<-using
	ask(at(0, 1, 2), cache)
	ask(at(0, 1, 2), alone)
	if cache.Bytes() != alone.Bytes()+small {
		t.Errorf("%d bytes while both are in use, want %d and %d", cache.Bytes(), alone.Bytes(), small)
	}
	close(replaced)
	group.Wait()
	if cache.Bytes() != alone.Bytes() {
		t.Errorf("%d bytes, want %d", cache.Bytes(), alone.Bytes())
	}
}
