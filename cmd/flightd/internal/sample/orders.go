package sample

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
)

// quiet is how many days pass before the first order, so that most customers are known by then.
const quiet = 4

// orders are the rows to ask about: who, when, and what came of it. Good drivers are late less often, as far as anybody
// could know at the time of the order. Some drivers and customers have no history, and guests have no id at all.
func orders(rng *rand.Rand, drivers *fleet) arrow.Record {
	type order struct {
		driver   int64
		customer any // string; nil: a guest
		at       time.Time
		total    float64
		late     bool
	}
	all := make([]order, Orders)
	for i := range all {
		o := &all[i]
		o.driver = firstDriver + rng.Int64N(Drivers)
		if rng.Float64() < 0.015 {
			o.driver = firstDriver + Drivers + rng.Int64N(40)
		}
		o.customer = customerID(1 + rng.IntN(Customers))
		switch chance := rng.Float64(); {
		case chance < 0.01:
			o.customer = customerID(Customers + 1 + rng.IntN(50))
		case chance < 0.02:
			o.customer = nil
		}
		hour, rush := mealtime(rng)
		o.at = moment(float64(quiet+rng.IntN(days-quiet)) + hour/24)
		o.total = round(8+18*math.Exp(0.5*rng.NormFloat64()), 2)
		risk := -1.2 + 0.6*rush + 0.02*(o.total-25)
		if conv, ok := drivers.convAt(o.driver, o.at); ok {
			risk -= 4 * (conv - 0.55)
		}
		o.late = rng.Float64() < sigmoid(risk)
	}
	slices.SortFunc(all, func(a, b order) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.driver, b.driver)) })
	b := newColumns(
		column{"driver_id", arrow.PrimitiveTypes.Int64}, column{"customer_id", arrow.BinaryTypes.String}, column{"event_timestamp", utc},
		column{"order_total", arrow.PrimitiveTypes.Float64}, column{"late", arrow.FixedWidthTypes.Boolean})
	for _, o := range all {
		b.row(o.driver, o.customer, o.at, o.total, o.late)
	}
	return b.record()
}

// mealtime is an hour of the day and whether the kitchens are busy at it (1) or not (0).
func mealtime(rng *rand.Rand) (hour, rush float64) {
	switch chance := rng.Float64(); {
	case chance < 0.35:
		hour = 12.5 + 1.2*rng.NormFloat64()
	case chance < 0.85:
		hour = 19 + 1.5*rng.NormFloat64()
	default:
		return 10 + 13*rng.Float64(), 0
	}
	return min(max(hour, 9), 23.5), 1
}
