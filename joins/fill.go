package joins

import (
	"context"
	"sync"
)

// noWinner marks an entity row for which a view has no value.
const noWinner = ^Position(0)

// fill turns the best row of each slot into the winner of each entity row: within a group a running maximum along time,
// because what one slot may see every later slot may see too. The ttl is asked of the winner alone: if the row with the
// greatest event time is too old, all are.
func (v *boundView) fill(ctx context.Context, found *best, rows int, opt Options) ([]Position, ViewReport, error) {
	winners := make([]Position, rows)
	for i := range winners {
		winners[i] = noWinner
	}
	var total ViewReport
	var mu sync.Mutex
	err := inParallel(ctx, opt.threads(), v.index.parts, func(part int) error {
		var report *ViewReport
		if opt.Report != nil {
			report = new(ViewReport)
		}
		for i := range v.index.region {
			if g := &v.index.table[part*v.index.region+i]; g.n > 0 {
				v.fillGroup(found, g, winners, report)
			}
		}
		if report != nil {
			mu.Lock()
			defer mu.Unlock()
			total.add(report)
		}
		return nil
	})
	if err != nil || opt.Report == nil {
		return winners, total, err
	}
	total.View, total.Rows = v.Name, int64(rows)
	for _, reason := range v.index.reason {
		switch reason {
		case isNull:
			total.NullKey++
		case unmatchable:
			total.UnknownKey++
		}
	}
	return winners, total, nil
}

func (v *boundView) fillGroup(found *best, g *bucket, winners []Position, report *ViewReport) {
	var best candidate
	b := v.bounds
	for slot := g.start; slot < g.start+g.n; slot++ {
		if c := found.at(slot); c.beats(&best) {
			best = c
		}
		hit := best.tag != 0 && !(b.early != nil && b.early[slot])
		expired := hit && (b.late != nil && b.late[slot] || b.lower != nil && best.time < b.lower[slot])
		if hit && !expired {
			winners[v.index.row[slot]] = best.position()
		}
		if report != nil {
			report.count(hit, expired, found.seen[g.start])
		}
	}
}

func (r *ViewReport) count(found, expired, seen bool) {
	switch {
	case expired:
		r.Expired++
	case found:
		r.Matched++
	case seen:
		r.NotYet++
	default:
		r.UnknownKey++
	}
}

func (r *ViewReport) add(other *ViewReport) {
	r.Rows += other.Rows
	r.NullKey += other.NullKey
	r.Matched += other.Matched
	r.Expired += other.Expired
	r.NotYet += other.NotYet
	r.UnknownKey += other.UnknownKey
}
