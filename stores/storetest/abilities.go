package storetest

import (
	"errors"
	"testing"

	"github.com/flightd/flightd/joins"
	"github.com/flightd/flightd/stores"
)

// abilities are what a store can do beyond OfflineStore, found by assertion, as those who call a store find them.
type abilities struct {
	tables, gathers, gives, slices, ranges, identifies bool
	plans                                              bool
	appends                                            bool
	refuses                                            bool // there is an Append, and it says ErrUnsupported
	replaces                                           bool
	compacts                                           bool
}

// hidden is a store without its optional abilities.
type hidden struct{ stores.OfflineStore }

func (h Harness) abilities(t *testing.T) (a abilities, err error) {
	s, err := h.open(t, history(1, 5))
	if err != nil {
		return a, err
	}
	a.plans = s.plansAny(t.Context())
	if ts, ok := s.OfflineStore.(stores.TableStore); ok {
		table, err := ts.Table(t.Context(), s.src)
		if err != nil {
			return a, err
		}
		a.tables = true
		_, a.gathers = table.(joins.Gatherer)
		_, a.gives = table.(joins.Giver)
		_, a.slices = table.(joins.Slicer)
		_, a.ranges = table.(joins.Ranger)
		_, a.identifies = table.(joins.Identified)
	}
	if ws, ok := s.OfflineStore.(stores.WritableStore); ok {
		_, err := ws.Append(t.Context(), s.src, "anything to write?", rowsOf(s.table.zeroRows(), nil))
		a.refuses = errors.Is(err, errors.ErrUnsupported)
		a.appends = !a.refuses
	}
	_, a.compacts = s.OfflineStore.(stores.CompactingStore)
	if rs, ok := s.OfflineStore.(stores.ReplacingStore); ok {
		made, err := s.Source(h.sourceText("anything to replace?"))
		if err != nil {
			return a, err
		}
		_, err = rs.Replace(t.Context(), made, false, rowsOf(s.table.zeroRows(), nil))
		a.replaces = !errors.Is(err, errors.ErrUnsupported)
	}
	return a, nil
}

// A need says why a check does not concern a store, or nothing if it does.
type need func(Harness, abilities) string

func unless(able bool, why string) string {
	if able {
		return ""
	}
	return why
}

func needsTables(_ Harness, a abilities) string {
	return unless(a.tables, "it is not a stores.TableStore")
}

func needsGather(_ Harness, a abilities) string {
	return unless(a.gathers, "its tables are not joins.Gatherer")
}

func needsGive(_ Harness, a abilities) string {
	return unless(a.gives, "its tables are not joins.Giver")
}

func needsSlice(_ Harness, a abilities) string {
	return unless(a.slices, "its tables are not joins.Slicer")
}

func needsRange(_ Harness, a abilities) string {
	return unless(a.ranges, "its tables are not joins.Ranger")
}

func needsIdentity(_ Harness, a abilities) string {
	return unless(a.identifies, "its tables are not joins.Identified")
}

func needsPlan(_ Harness, a abilities) string {
	return unless(a.plans, "it is not a stores.PlanningStore, or plans none of the requests")
}

func needsAppend(_ Harness, a abilities) string {
	return unless(a.appends, "it is not a stores.WritableStore, or read-only")
}

func needsReplace(_ Harness, a abilities) string {
	return unless(a.replaces, "it is not a stores.ReplacingStore, or its sources cannot be made")
}

func needsReopen(h Harness, _ abilities) string {
	return unless(h.Reopen != nil, "the harness has no Reopen")
}

func needsRefusal(_ Harness, a abilities) string {
	return unless(a.refuses, "it has no Append that says ErrUnsupported")
}

func needsOrder(h Harness, _ abilities) string {
	return unless(!h.Unordered, "it has no order of rows")
}

// needsAny wants at least one column of the table to be held.
func needsAny(table Table) need {
	return func(h Harness, _ abilities) string {
		return unless(len(h.held(table).Schema.Fields()) > 0, "columns that it cannot hold")
	}
}

// both is two needs.
func both(a, b need) need {
	return func(h Harness, can abilities) string {
		for _, n := range []need{a, b} {
			if n != nil {
				if why := n(h, can); why != "" {
					return why
				}
			}
		}
		return ""
	}
}
