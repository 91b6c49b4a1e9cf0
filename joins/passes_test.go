package joins_test

import (
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/flightd/flightd/internal/fault"
	"github.com/flightd/flightd/internal/oracle"
	"github.com/flightd/flightd/joins"
	"github.com/flightd/flightd/testdata/pit"
)

// With less memory than all entity rows take at once, they are joined in passes: the same answer and report. With far too
// little the call is refused, and gives back what it had.
func TestRandomPasses(t *testing.T) {
	passes, refused := 0, 0
	eachSeed(t, func(t *testing.T, rng *rand.Rand) {
		defer joins.Partition()()
		c := oracle.Random(rng)
		want, outcomes, err := oracle.Answer(c.Entities, c.Time, c.Views, c.KnownAt)
		if err != nil {
			t.Fatal(err)
		}
		e := joins.Entities{Schema: c.Entities.Schema(), Records: batches(rng, c.Entities), Time: c.Time}
		views := engineViews(rng, c.Views)
		schema, err := joins.AnswerSchema(e.Schema, e.Time, views)
		if err != nil {
			t.Fatal(err)
		}
		opt, budget := randomOptions(rng, c)
		budget.over = fault.New(fault.Exhausted, "over")
		whole := int64(0) // rows read in one pass
		for divisor := int64(1); divisor <= 16; divisor *= 2 {
			if divisor > 1 {
				budget.limit = budget.most / 2
			}
			budget.most = 0
			opt.Report, opt.NoPrune, opt.Trace = new(joins.Report), true, new(joins.Trace)
			got, err := collect(schema, joins.PointInTime(t.Context(), e, views, opt))
			if budget.held != 0 {
				t.Errorf("%d bytes of the budget were not given back", budget.held)
			}
			if errors.Is(err, fault.Exhausted) && budget.limit > 0 {
				refused++
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if d := pit.Diff(asTable(want), got, false); d != "" {
				t.Error(d)
			}
			checkReport(t, opt.Report, outcomes)
			if whole == 0 {
				whole = opt.Trace.RowsRead
			} else if opt.Trace.RowsRead > whole {
				passes++
			}
		}
	})
	if *cases >= 100 && (passes == 0 || refused == 0) {
		t.Errorf("of %d questions %d were answered in passes and %d refused", *cases, passes, refused)
	}
}
