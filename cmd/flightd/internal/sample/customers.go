package sample

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
)

func customerID(n int) string { return fmt.Sprintf("C%05d", n) }

// customers is the history of all customers, in the order of time. Some of them are silent for weeks.
func customers(rng *rand.Rand) arrow.Record {
	type stat struct {
		id      string
		at      time.Time
		balance float64
		orders  int32
		segment string
	}
	const rows = History / Customers
	var all []stat
	for c := range Customers {
		start, gapAt, gap := 0.0, 0.0, 0.0 // in days
		if rng.Float64() < 0.08 {
			start = 60 * rng.Float64()
		}
		if rng.Float64() < 0.1 {
			gap = 18 + 12*rng.Float64()
			gapAt = start + (days-start-gap)*rng.Float64()
		}
		step := max(0.05, (days-start-gap)/rows)
		balance, eager := 20+60*rng.ExpFloat64(), 1+4*rng.ExpFloat64()
		for i := range rows {
			at := start + step*(float64(i)+0.8*rng.Float64())
			if gap > 0 && at > gapAt {
				at += gap
			}
			balance = math.Abs(balance + 6*rng.NormFloat64())
			orders := int32(max(0, eager+rng.NormFloat64()))
			all = append(all, stat{customerID(c + 1), moment(at), round(balance, 2), orders, segment(orders, start > 0 && at-start < 10)})
		}
	}
	slices.SortFunc(all, func(a, b stat) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.id, b.id)) })
	b := newColumns(
		column{"customer_id", arrow.BinaryTypes.String}, column{"event_timestamp", utc}, column{"balance", arrow.PrimitiveTypes.Float64},
		column{"orders_30d", arrow.PrimitiveTypes.Int32}, column{"segment", arrow.BinaryTypes.String})
	for _, s := range all {
		b.row(s.id, s.at, s.balance, s.orders, s.segment)
	}
	return b.record()
}

func segment(orders int32, newcomer bool) string {
	switch {
	case newcomer:
		return "new"
	case orders >= 8:
		return "gold"
	case orders >= 3:
		return "regular"
	}
	return "occasional"
}
