package storetest

import (
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/flightd/flightd/stores"
	"github.com/flightd/flightd/stores/memstore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// loaded is a memory store with tables.
func loaded(t *testing.T, tables map[string]Table) *memstore.Store {
	s := memstore.New()
	for name, table := range tables {
		if err := s.Put(name, table.Schema, table.Records...); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func (f fault) harness() Harness {
	h := Harness{Reopen: f.reopen, Open: func(t *testing.T, tables map[string]Table) stores.OfflineStore { return f.breaks(loaded(t, tables)) }}
	if h.Reopen == nil {
		h.Reopen = func(_ *testing.T, s stores.OfflineStore) stores.OfflineStore { return s }
	}
	return h
}

// A suite that nothing fails proves nothing: here every sentence is broken by stores that keep all others well enough to
// be found out by that one.
func TestBrokenStoresAreFound(t *testing.T) {
	start := held()
	for _, f := range allFaults() {
		if err := start.settled(); err != nil { // what one store left must not be counted with the next
			t.Fatal(err)
		}
		t.Run(f.check+"/"+f.what, func(t *testing.T) {
			defer func(before time.Duration) { patience = before }(patience)
			patience = 50 * time.Millisecond // what these leave behind stays
			i := slices.IndexFunc(checks(), func(c check) bool { return c.name == f.check })
			if i < 0 {
				t.Fatalf("no check is called %q", f.check)
			}
			if err := checks()[i].run(t, f.harness()); err == nil {
				t.Error("not found")
			} else {
				t.Logf("found: %v", err)
			}
		})
	}
}

// The same checks find nothing in a store that differs from the broken ones by being whole.
func TestWholeStorePasses(t *testing.T) {
	for _, f := range []fault{
		{what: "with tables", breaks: func(s *memstore.Store) stores.OfflineStore { return &broken{Store: s} }},
		{what: "that plans", breaks: func(s *memstore.Store) stores.OfflineStore { return planning(s, plan{}) }},
		{what: "that scans", breaks: func(s *memstore.Store) stores.OfflineStore { return hidden{s} }},
	} {
		t.Run(f.what, func(t *testing.T) { Run(t, f.harness()) })
	}
}

// Every check is in the list of faults, so a new sentence comes with a store that breaks it.
func TestEveryCheckCanFail(t *testing.T) {
	all := allFaults()
	for _, c := range checks() {
		if !slices.ContainsFunc(all, func(f fault) bool { return f.check == c.name }) {
			t.Errorf("no broken store for %q: %s", c.name, c.sentence)
		}
	}
}

// A wrong answer of a store that plans is found by a vector, and so is a wrong scan of one that does not.
func TestVectorsFindWrongAnswers(t *testing.T) {
	for what, breaks := range map[string]func(*memstore.Store) stores.OfflineStore{
		"planned": func(s *memstore.Store) stores.OfflineStore { return planning(s, plan{rows: withoutLast}) },
		"scanned": lastRowLost,
	} {
		t.Run(what, func(t *testing.T) {
			h := fault{breaks: breaks}.harness()
			vectors, _ := h.vectorChecks()
			if !slices.ContainsFunc(vectors, func(c check) bool { return c.run(t, h) != nil }) {
				t.Error("all vectors pass")
			}
		})
	}
}

// What does not concern a store is not run, and is named.
func TestLeftOut(t *testing.T) {
	h := Harness{
		Open:      func(t *testing.T, tables map[string]Table) stores.OfflineStore { return hidden{loaded(t, tables)} },
		Holds:     fewTypes,
		Unordered: true,
	}
	run, vectors, left, err := h.plan(t)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []omission{
		{"parts", "it is not a stores.TableStore"}, {"projection of parts", "it is not a stores.TableStore"},
		{"gather", "its tables are not joins.Gatherer"}, {"bounds", "its tables are not joins.Ranger"},
		{"identity", "its tables are not joins.Identified"},
		{"plan", "it is not a stores.PlanningStore, or plans none of the requests"},
		{"append", "it is not a stores.WritableStore, or read-only"}, {"durable", "it is not a stores.WritableStore, or read-only"},
		{"read-only", "it has no Append that says ErrUnsupported"},
		{"random", "it has no order of rows"}, {"p12-position-across-parts", "it has no order of rows"},
		{"int8", "columns that it cannot hold"}, {"timestamp[ns]", "columns that it cannot hold"},
	} {
		if !slices.Contains(left, want) {
			t.Errorf("%q is not among what was left out:\n%s", want, left)
		}
	}
	for _, want := range []string{"missing", "schema", "projection", "range", "types", "clocks", "closed"} {
		if !slices.ContainsFunc(run, func(c check) bool { return c.name == want }) {
			t.Errorf("%q is not run", want)
		}
	}
	if len(vectors) < 40 {
		t.Errorf("only %d vectors can be put to a store of three types", len(vectors))
	}
}

// fewTypes are those of a small store: one integer, one text, one clock.
func fewTypes(f arrow.Field) bool {
	return f.Type.ID() == arrow.INT64 || f.Type.ID() == arrow.STRING || arrow.TypeEqual(f.Type, instant)
}

// A store of few types passes, its columns being loaded as those.
func TestStandIns(t *testing.T) {
	open := func(t *testing.T, tables map[string]Table) stores.OfflineStore {
		for name, table := range tables {
			for _, f := range table.Schema.Fields() {
				if !fewTypes(f) {
					t.Errorf("table %q came with column %q of type %s", name, f.Name, f.Type)
				}
			}
		}
		return loaded(t, tables)
	}
	Run(t, Harness{Open: open, Holds: fewTypes})
}

// A harness that holds next to nothing is told so, instead of passing a suite that has nothing to test.
func TestHarnessThatHoldsNothing(t *testing.T) {
	open := func(t *testing.T, tables map[string]Table) stores.OfflineStore { return loaded(t, tables) }
	for _, c := range []struct {
		h    Harness
		want string
	}{
		{Harness{}, "no Open"},
		{Harness{Open: open, Holds: func(arrow.Field) bool { return false }}, "timestamp"},
		{Harness{Open: open, Holds: func(f arrow.Field) bool { return f.Type.ID() != arrow.STRING && f.Type.ID() != arrow.LARGE_STRING }}, "utf8"},
		{Harness{Open: func(*testing.T, map[string]Table) stores.OfflineStore { return nil }}, "opened no store"},
	} {
		if _, _, _, err := c.h.plan(t); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
}
