// Package storetest is the contract of a store as a suite of tests. A store, inside this module or outside, is put
// through it in a few lines:
//
//	func TestContract(t *testing.T) {
//		storetest.Run(t, storetest.Harness{Open: openWithTables})
//	}
//
// Every check is one sentence of the contract in package stores; a failure prints the sentence that was broken and what
// was found. Abilities beyond OfflineStore are found by assertion and tested where they are; questions are also asked
// with the abilities hidden, and the answers must not differ. What does not concern a store is not run, and named once at
// the end (go test -v shows it), so that a test which passed has tested something.
package storetest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/flightd/flightd/stores"
)

// Table is what a harness loads into a store: rows in order, in any number of records.
type Table struct {
	Schema  *arrow.Schema
	Records []arrow.Record
}

// Harness tells the suite how to make a store of the type under test.
type Harness struct {
	// Open returns a new store with exactly these tables by name, each with its rows in the order given. The suite closes
	// the store; whatever else has to be removed goes to t.Cleanup.
	Open func(t *testing.T, tables map[string]Table) stores.OfflineStore

	// Source is the text that names a table in the configuration; nil: the table's name itself. It is also asked for
	// tables that were not loaded.
	Source func(table string) string

	// Holds says whether the store can hold a column of this name and type and give it back with the same type; nil: all
	// that the suite tries. Other columns are loaded with the nearest type that the store holds (an int8 as int64, a naive
	// time as UTC), and left out if there is none. A time, an integer and a text are the least it takes.
	Holds func(arrow.Field) bool

	// Earliest and Latest are the ends of the times that the store can hold, where its types have narrower ones than 64
	// bits in their unit. Zero: they have not.
	Earliest, Latest time.Time

	// Unordered is for engines without an order of rows. Rows are then compared as a multiset, and full ties not at all.
	Unordered bool

	// Reopen closes a store and opens another one on the same data, as a restart does. nil: what is written does not
	// outlive the store, or is not tested for it.
	Reopen func(t *testing.T, s stores.OfflineStore) stores.OfflineStore
}

// check is one sentence of the contract and the test that a store fails which does not keep it.
type check struct {
	name     string
	sentence string
	needs    need // nil: it concerns every store
	run      func(t *testing.T, h Harness) error
}

// Run puts a store through the whole suite.
func Run(t *testing.T, h Harness) {
	t.Helper()
	run, vectors, left, err := h.plan(t)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range run {
		t.Run(c.name, func(t *testing.T) { t.Helper(); c.test(t, h) })
	}
	t.Run("vectors", func(t *testing.T) {
		for _, c := range vectors {
			t.Run(c.name, func(t *testing.T) { t.Helper(); c.test(t, h) })
		}
	})
	if left != nil {
		t.Logf("left out:\n%s", left)
	}
}

func (c check) test(t *testing.T, h Harness) {
	t.Helper()
	if err := c.run(t, h); err != nil {
		t.Errorf("broken: %s\nfound:  %v", c.sentence, err)
	}
}

// plan finds out which checks and vectors concern the store, and says what is left out and why.
func (h Harness) plan(t *testing.T) (run, vectors []check, left leftOut, err error) {
	if h.Open == nil {
		return nil, nil, nil, fmt.Errorf("the harness has no Open")
	}
	if missing := h.leastColumns(); missing != "" {
		return nil, nil, nil, fmt.Errorf("Holds says that the store cannot hold %s, or anything like it; nothing can be tested without", missing)
	}
	can, err := h.abilities(t)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("the store does not open: %w", err)
	}
	for _, c := range checks() {
		if c.needs != nil {
			if why := c.needs(h, can); why != "" {
				left = append(left, omission{c.name, why})
				continue
			}
		}
		run = append(run, c)
	}
	vectors, more := h.vectorChecks()
	if len(vectors) == 0 {
		return nil, nil, nil, fmt.Errorf("none of the vectors can be put to this store:\n%s", more)
	}
	return run, vectors, slices.Concat(left, more, h.columnsLeftOut()), nil
}

// omission is a check that does not concern a store.
type omission struct{ what, why string }

type leftOut []omission

// String has a line for each reason.
func (l leftOut) String() string {
	var reasons []string
	what := make(map[string][]string)
	for _, o := range l {
		if what[o.why] == nil {
			reasons = append(reasons, o.why)
		}
		what[o.why] = append(what[o.why], o.what)
	}
	for i, why := range reasons {
		reasons[i] = fmt.Sprintf("  %s: %s", why, strings.Join(what[why], ", "))
	}
	return strings.Join(reasons, "\n")
}

// leastColumns names a type without which no check makes sense.
func (h Harness) leastColumns() string {
	for _, name := range []string{"event_timestamp", "driver_id", "note"} {
		f, _ := historySchema.FieldsByName(name)
		if _, ok := h.standIn(f[0]); !ok {
			return f[0].Type.String()
		}
	}
	return ""
}

// columnsLeftOut are the columns of the checks of types that the store cannot hold.
func (h Harness) columnsLeftOut() (left leftOut) {
	for _, c := range slices.Concat(matrix, clocks(), oddColumns()) {
		if !h.holds(arrow.Field{Name: c.name, Type: c.typ, Nullable: true}) {
			left = append(left, omission{c.name, "columns that it cannot hold"})
		}
	}
	return left
}

func checks() []check {
	var all []check
	for _, some := range [][]check{
		sourceChecks, scanChecks, typeChecks, tableChecks, identityChecks, gatherChecks, partChecks(), planChecks, appendChecks, replaceChecks, compactChecks, closeChecks, questionChecks,
	} {
		all = append(all, some...)
	}
	return all
}
