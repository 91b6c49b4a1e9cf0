package joins

import (
	"strings"
	"time"
)

// bounds are the slots' times as one view sees them: in the unit of its event timestamps.
type bounds struct {
	upper []int64 // slot -> last instant that it may see
	lower []int64 // slot -> first instant that is not too old; nil: no ttl
	early []bool  // slot -> sees nothing, because it is before all that the unit can say; nil: none is
	late  []bool  // slot -> everything is too old, because its lower bound is after all that the unit can say; nil: none is

	guides guides // to upper
}

func (x *index) boundsFor(ttl time.Duration, to unit) *bounds {
	b := &bounds{upper: x.time}
	mark := func(slots *[]bool, slot int) {
		if *slots == nil {
			*slots = make([]bool, len(x.time))
		}
		(*slots)[slot] = true
	}
	if x.unit != to {
		b.upper = make([]int64, len(x.time))
		for i, v := range x.time {
			u, over := floor(v, x.unit, to)
			if b.upper[i] = u; over < 0 {
				mark(&b.early, i)
			}
		}
	}
	if ttl > 0 {
		b.lower = make([]int64, len(x.time))
		for i, v := range x.time {
			l, over := lowest(v, x.unit, ttl, to)
			if b.lower[i] = l; over > 0 {
				mark(&b.late, i)
			}
		}
	}
	return b
}

// signature tells which views can share an index: those with the same key columns in the same spaces.
func signature(keys []string, spaces []space) string {
	var sb strings.Builder
	for i, k := range keys {
		sb.WriteString(k)
		sb.WriteByte(0)
		sb.WriteByte(byte(spaces[i].kind))
		sb.WriteString(time.Duration(spaces[i].unit).String())
		sb.WriteByte(0)
	}
	return sb.String()
}
