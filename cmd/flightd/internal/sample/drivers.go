package sample

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"sort"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
)

const firstDriver = 1001

// stat is one row of driver_stats.
type stat struct {
	driver  int64
	at      time.Time
	created time.Time
	conv    float64
	acc     float64
	trips   int32
}

// fleet is the history of all drivers.
type fleet struct {
	of [Drivers][]stat // in time order
}

// newFleet gives every driver equally many rows. A few drivers begin late, and for some the statistics are missing for
// days, longer than the ttl.
func newFleet(rng *rand.Rand) *fleet {
	f := new(fleet)
	const rows = History / Drivers
	for d := range f.of {
		start, gapAt, gap := 0.0, 0.0, 0.0 // in days
		if rng.Float64() < 0.06 {
			start = 3 + 30*rng.Float64()
		}
		if rng.Float64() < 0.25 {
			gap = 2 + 5*rng.Float64()
			gapAt = start + (days-start-gap)*rng.Float64()
		}
		step := (days - start - gap) / rows
		skill, form := rng.NormFloat64(), 0.0
		for i := range rows {
			at := start + step*(float64(i)+0.3*rng.Float64())
			if gap > 0 && at > gapAt {
				at += gap
			}
			form = 0.9*form + 0.4*rng.NormFloat64()
			row := stat{
				driver: firstDriver + int64(d), at: moment(at),
				conv: round(sigmoid(0.3+0.5*skill+0.3*form), 3), acc: round(sigmoid(1.2+0.4*skill+0.3*form), 3),
				trips: int32(max(0, 9+3*skill+2*form+rng.NormFloat64())),
			}
			row.created = row.at.Add(time.Duration(60+rng.IntN(900)) * time.Second)
			if i > 0 && rng.Float64() < 0.02 { // a correction of the row before, found out days later
				before := f.of[d][i-1]
				row.at, row.trips = before.at, before.trips+1
				row.created = before.created.Add(time.Duration(24+rng.IntN(48)) * time.Hour)
			}
			f.of[d] = append(f.of[d], row)
		}
	}
	return f
}

// convAt is the rate of a driver as it was known at a time; none before the first row.
func (f *fleet) convAt(driver int64, at time.Time) (rate float64, ok bool) {
	if driver < firstDriver || driver >= firstDriver+Drivers {
		return 0, false
	}
	rows := f.of[driver-firstDriver]
	after := sort.Search(len(rows), func(i int) bool { return rows[i].at.After(at) })
	if after == 0 {
		return 0, false
	}
	return rows[after-1].conv, true
}

// record is the history in the order of time, as a job that runs again and again would have written it.
func (f *fleet) record() arrow.Record {
	var all []stat
	for _, rows := range f.of {
		all = append(all, rows...)
	}
	slices.SortFunc(all, func(a, b stat) int {
		return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.driver, b.driver), a.created.Compare(b.created))
	})
	b := newColumns(
		column{"driver_id", arrow.PrimitiveTypes.Int64}, column{"event_timestamp", utc}, column{"created", utc},
		column{"conv_rate", arrow.PrimitiveTypes.Float64}, column{"acc_rate", arrow.PrimitiveTypes.Float64},
		column{"avg_daily_trips", arrow.PrimitiveTypes.Int32})
	for _, s := range all {
		b.row(s.driver, s.at, s.created, s.conv, s.acc, s.trips)
	}
	return b.record()
}

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

func round(x float64, digits int) float64 {
	scale := math.Pow10(digits)
	return math.Round(x*scale) / scale
}
