package joins

// noWinner marks an entity row for which a view has no value.
const noWinner = ^Position(0)

// fill turns the best candidate of each slot into the winner of each entity row: within a group a running maximum along
// time, because what one slot may see every later slot may see too. The ttl is asked of the winner alone: if the row
// with the greatest event time is too old, all are.
func (v *boundView) fill(m *matcher, rows int, report *ViewReport) []Position {
	winners := make([]Position, rows)
	for i := range winners {
		winners[i] = noWinner
	}
	s := v.slots
	for g := range s.groups.n {
		var best candidate
		for slot := s.start[g]; slot < s.start[g+1]; slot++ {
			if m.best[slot].beats(&best) {
				best = m.best[slot]
			}
			found := best.tag != 0 && !(v.bounds.early != nil && v.bounds.early[slot])
			expired := found && (v.bounds.late != nil && v.bounds.late[slot] || v.bounds.lower != nil && best.time < v.bounds.lower[slot])
			if found && !expired {
				winners[s.row[slot]] = best.position()
			}
			if report != nil {
				report.count(found, expired, m.seen[g])
			}
		}
	}
	if report != nil {
		report.Rows = int64(rows)
		for _, reason := range s.reason {
			switch reason {
			case isNull:
				report.NullKey++
			case unmatchable:
				report.UnknownKey++
			}
		}
	}
	return winners
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
