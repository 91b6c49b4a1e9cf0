package joins

import (
	"context"
	"math"
)

// filter says of most feature rows that no entity row sees them: for each value of the hash's top bits, how late the last slot
// of such a key is, of 254 steps of time. It is asked before a feature row goes on its way, because rows of keys that nobody
// asked for, or after all that somebody asked for, are often the most.
type filter struct {
	last  []uint8 // step of the last slot + 1; 0: no entity row has the hash
	shift uint    // hash >> shift is the place in last
	least int64   // where the first step begins
	step  uint    // (time - least) >> step is the step of a time
}

// maxFilterBits keeps the filter within a core's cache.
const maxFilterBits = 21

// lastStep is the last step of time.
const lastStep = 253

// filterBits are the bits of a hash that the filter of an index looks at.
func (x *index) filterBits() uint {
	log := partitioning.filter
	if x.keys.dense > 0 {
		return min(max(log, x.keys.dense), maxFilterBits) // each key has a place of its own
	}
	for 1<<log < 4*x.groups && log < maxFilterBits {
		log++
	}
	return log
}

// newFilter makes the filter of all groups; none if so many share a place that it says little. Where somebody counts the rows
// that are too late, it only says which keys there are.
func (v *boundView) newFilter(ctx context.Context, threads int) (f filter, err error) {
	x := v.index
	log := x.filterBits()
	if len(x.keys.spaces) == 0 || len(x.row) == 0 || x.groups > 2<<log {
		return filter{}, nil
	}
	f = filter{last: make([]uint8, 1<<log), shift: 64 - log, step: 63}
	if v.late < math.MaxInt64 {
		f.least, _ = floor(x.least, x.unit, v.timeUnit)
		for f.step = 0; (uint64(v.late)-uint64(f.least))>>f.step > lastStep; {
			f.step++
		}
	}
	return f, inParallel(ctx, threads, x.parts, func(part int) error {
		for i := range x.table[part*x.region : (part+1)*x.region] {
			g := &x.table[part*x.region+i]
			if g.n == 0 {
				continue
			}
			last := &f.last[g.hash>>(f.shift&63)]
			if *last = max(*last, 1+f.stepOf(v.bounds.upper[g.start+g.n-1])); v.late == math.MaxInt64 {
				*last = math.MaxUint8
			}
		}
		return nil
	})
}

// stepOf is the step of a time that is not after the last one.
func (f *filter) stepOf(t int64) uint8 {
	return uint8((uint64(max(t, f.least)) - uint64(f.least)) >> (f.step & 63))
}

// may reports whether an entity row may see a row of a key with a hash.
func (f *filter) may(hash uint64, t int64) bool {
	return f.stepOf(t) < f.last[hash>>(f.shift&63)]
}
