package joins_test

import (
	"context"
	"flag"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/flightd/flightd/internal/oracle"
	"github.com/flightd/flightd/joins"
	"github.com/flightd/flightd/testdata/pit"
)

var (
	seed  = flag.Uint64("seed", 0, "the first random question; 0: another one each time")
	cases = flag.Int("cases", 400, "how many random questions of each kind are compared with the oracle")
)

// eachSeed runs a test for many random questions and says which one failed: go test -run NAME -seed N -cases 1.
func eachSeed(t *testing.T, run func(t *testing.T, rng *rand.Rand)) {
	first := *seed
	if first == 0 {
		first = uint64(time.Now().UnixNano())
	}
	for i := range uint64(*cases) {
		undo := func() {}
		if (first+i)%2 == 0 {
			undo = joins.Partition()
		}
		undense := joins.Dense([]int64{0, 2, 1 << 10}[(first+i)/2%3])
		run(t, rand.New(rand.NewPCG(first+i, 0)))
		undense()
		if undo(); t.Failed() {
			t.Fatalf("seed %d", first+i)
		}
	}
}

func randomOptions(rng *rand.Rand, c oracle.Case) (joins.Options, *purse) {
	budget := new(purse)
	opt := joins.Options{Threads: 1 + rng.IntN(3), NoPrune: rng.IntN(2) == 0, KnownAt: c.KnownAt, Budget: budget, Trace: new(joins.Trace)}
	return opt, budget
}

// engineViews are the oracle's views with tables of random abilities, cut at random.
func engineViews(rng *rand.Rand, views []oracle.View) []joins.View {
	out := make([]joins.View, len(views))
	for i, v := range views {
		out[i] = joins.View{
			Name: v.Name, EventTime: v.EventTime, Created: v.Created, TTL: v.TTL,
			Table: randomTable(rng, v.Rows.Schema(), v.Rows),
		}
		for _, k := range v.Keys {
			out[i].Keys = append(out[i].Keys, joins.Key(k))
		}
		for _, f := range v.Features {
			out[i].Features = append(out[i].Features, joins.Feature(f))
		}
	}
	return out
}

func asTable(rec arrow.Record) pit.Table {
	return pit.Table{Schema: rec.Schema(), Records: []arrow.Record{rec}}
}

// batches cuts entity rows at random.
func batches(rng *rand.Rand, rec arrow.Record) []arrow.Record {
	var out []arrow.Record
	for lo := int64(0); lo < rec.NumRows(); {
		hi := lo + 1 + rng.Int64N(rec.NumRows()-lo)
		out = append(out, rec.NewSlice(lo, hi))
		lo = hi
	}
	return out
}

func TestRandomPointInTime(t *testing.T) {
	eachSeed(t, func(t *testing.T, rng *rand.Rand) {
		defer joins.Cached()()
		c := oracle.Random(rng)
		want, outcomes, err := oracle.Answer(c.Entities, c.Time, c.Views, c.KnownAt)
		if err != nil {
			t.Fatal(err)
		}
		opt, budget := randomOptions(rng, c)
		if rng.IntN(2) == 0 {
			opt.Report, opt.NoPrune = new(joins.Report), true
		}
		e := joins.Entities{Schema: c.Entities.Schema(), Records: batches(rng, c.Entities), Time: c.Time}
		views := engineViews(rng, c.Views)
		schema, err := joins.AnswerSchema(e.Schema, e.Time, views)
		if err != nil {
			t.Fatal(err)
		}
		opt.Indexes = randomCache(rng)
		for range askings(opt) {
			if opt.Report != nil {
				*opt.Report = joins.Report{}
			}
			got, err := collect(schema, joins.PointInTime(t.Context(), e, views, opt))
			if err != nil {
				t.Fatal(err)
			}
			if d := pit.Diff(asTable(want), got, false); d != "" {
				t.Error(d)
			}
			if opt.Report != nil {
				checkReport(t, opt.Report, outcomes)
			}
		}
		if budget.held != 0 {
			t.Errorf("%d bytes of the budget were not given back", budget.held)
		}
	})
}

func checkReport(t *testing.T, report *joins.Report, outcomes [][]oracle.Outcome) {
	for i, view := range outcomes {
		count := make(map[oracle.Reason]int64)
		for _, o := range view {
			count[o.Reason]++
		}
		r := report.Views[i]
		want := joins.ViewReport{
			View: r.View, Rows: int64(len(view)), Matched: count[oracle.Matched], Expired: count[oracle.Expired],
			NotYet: count[oracle.NotYet], UnknownKey: count[oracle.UnknownKey], NullKey: count[oracle.NullKey],
		}
		if r != want {
			t.Errorf("report\n  want %+v\n  got  %+v", want, r)
		}
	}
}

// pullColumns asks for all columns of a view under other names, one of them twice.
func pullColumns(rec arrow.Record) (columns []joins.Feature, same []oracle.Feature) {
	for _, f := range rec.Schema().Fields() {
		columns = append(columns, joins.Feature{Source: f.Name, Name: "my " + f.Name})
	}
	columns = append(columns, joins.Feature{Source: "id", Name: "id again"})
	for _, c := range columns {
		same = append(same, oracle.Feature(c))
	}
	return columns, same
}

func TestRandomLatest(t *testing.T) {
	eachSeed(t, func(t *testing.T, rng *rand.Rand) {
		c := oracle.Random(rng)
		view := c.Views[0]
		columns, same := pullColumns(view.Rows)
		want := oracle.Pull(view, same, oracle.Latest(view, c.Window))
		opt, budget := randomOptions(rng, c)
		v := engineViews(rng, c.Views)[0]
		got, err := collect(want.Schema(), joins.Latest(t.Context(), v, columns, joins.Window(c.Window), opt))
		if err != nil {
			t.Fatal(err)
		}
		if d := pit.Diff(asTable(want), got, true); d != "" {
			t.Error(d)
		}
		if budget.held != 0 {
			t.Errorf("%d bytes of the budget were not given back", budget.held)
		}
	})
}

func TestRandomAll(t *testing.T) {
	eachSeed(t, func(t *testing.T, rng *rand.Rand) {
		c := oracle.Random(rng)
		view := c.Views[0]
		columns, same := pullColumns(view.Rows)
		if rng.IntN(2) == 0 { // the time may be needed without being asked for
			columns, same = columns[:1], same[:1]
		}
		want := oracle.Pull(view, same, oracle.All(view, c.Window))
		opt, budget := randomOptions(rng, c)
		v := engineViews(rng, c.Views)[0]
		of := rng.IntN(4)
		got := pit.Table{Schema: want.Schema()}
		for i := range max(of, 1) {
			share := joins.Share{Index: i, Of: of}
			some, err := collect(want.Schema(), joins.All(t.Context(), v, columns, joins.Window(c.Window), share, opt))
			if err != nil {
				t.Fatal(err)
			}
			got.Records = append(got.Records, some.Records...)
		}
		if d := pit.Diff(asTable(want), got, of > 0); d != "" {
			t.Error(d)
		}
		if budget.held != 0 {
			t.Errorf("%d bytes of the budget were not given back", budget.held)
		}
	})
}

func TestRandomTimeline(t *testing.T) { eachSeed(t, randomHistory(joins.Timeline, oracle.Timeline)) }

func TestRandomSnapshot(t *testing.T) {
	eachSeed(t, func(t *testing.T, rng *rand.Rand) {
		randomHistory(joins.Snapshot, func(views []oracle.View, w oracle.Window) []oracle.Point {
			if w.End.IsZero() {
				return nil
			}
			return oracle.Snapshot(views, w)
		})(t, rng)
	})
}

type makesEntities = func(context.Context, []joins.View, joins.Window, int64, joins.Options) (joins.Entities, error)

// randomHistory compares entity rows made of history, and the features joined to them.
func randomHistory(engine makesEntities, want func([]oracle.View, oracle.Window) []oracle.Point) func(*testing.T, *rand.Rand) {
	return func(t *testing.T, rng *rand.Rand) {
		c := oracle.RandomKeyed(rng)
		for c.Window.End.IsZero() {
			c.Window = oracle.RandomKeyed(rng).Window
		}
		opt, budget := randomOptions(rng, c)
		views := engineViews(rng, c.Views)
		e, err := engine(t.Context(), views, joins.Window(c.Window), 0, opt)
		if err != nil {
			t.Fatal(err)
		}
		entities := oracle.Entities(c.Views, want(c.Views, c.Window))
		got := pit.Table{Schema: e.Schema, Records: e.Records}
		if d := pit.Diff(asTable(entities), got, false); d != "" {
			t.Fatal("entity rows: ", d)
		}
		answer, _, err := oracle.Answer(entities, "event_timestamp", c.Views, c.KnownAt)
		if err != nil {
			t.Fatal(err)
		}
		if got, err = collect(answer.Schema(), joins.PointInTime(t.Context(), e, views, opt)); err != nil {
			t.Fatal(err)
		}
		if d := pit.Diff(asTable(answer), got, false); d != "" {
			t.Error(d)
		}
		if budget.held != 0 {
			t.Errorf("%d bytes of the budget were not given back", budget.held)
		}
	}
}

// Shares of entity rows are contiguous, disjoint and together everything, for any number of rows.
func TestShareRange(t *testing.T) {
	for _, n := range []int64{0, 1, 2, 7, 1 << 40, 1<<63 - 1} {
		for _, of := range []int{1, 2, 3, 7, 1000} {
			var at int64
			for i := range of {
				lo, hi := (joins.Share{Index: i, Of: of}).Range(n)
				if lo != at || hi < lo || hi-lo-1 > n/int64(of) {
					t.Fatalf("share %d of %d of %d rows is [%d, %d), want it to begin at %d", i, of, n, lo, hi, at)
				}
				at = hi
			}
			if at != n {
				t.Errorf("%d shares of %d rows end at %d", of, n, at)
			}
		}
	}
	if lo, hi := (joins.Share{}).Range(5); !slices.Equal([]int64{lo, hi}, []int64{0, 5}) {
		t.Errorf("the zero share of 5 rows is [%d, %d)", lo, hi)
	}
}
