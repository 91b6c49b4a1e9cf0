package joins

// guides shorten the search in large groups. Where a few keys have most of the rows, on both sides, most rows would search
// a hundred thousand times, step by step through memory; times are spread evenly enough that a look at the right place
// leaves a handful.
type guides struct {
	of   []int32 // guide of the group in which the slot i x partitioning.large lies, if it is a large one
	list []guide
}

// guide cuts the time from the first bound of a group to the last one into buckets of equal length.
type guide struct {
	first int64
	shift uint     // bucket of a time: (time - first) >> shift
	below []uint32 // bucket -> bounds of the group before it; and one more
}

// boundsOfBucket is how many bounds a bucket has on average.
const boundsOfBucket = 4

// guidesFor makes guides of the ascending bounds of every group that is large enough.
func (x *index) guidesFor(bounds []int64) guides {
	var g guides
	every := partitioning.large
	for i := range x.table {
		b := &x.table[i]
		if int(b.n) < every {
			continue
		}
		if g.of == nil {
			g.of = make([]int32, len(bounds)/every+1)
		}
		g.of[x.guideAt(b.start)] = int32(len(g.list))
		g.list = append(g.list, newGuide(bounds[b.start:b.start+b.n]))
	}
	return g
}

// guideAt is where in guides.of a large group has its guide: at the first multiple in it, which no other group has.
func (x *index) guideAt(start uint32) int {
	return (int(start) + partitioning.large - 1) / partitioning.large
}

func newGuide(bounds []int64) guide {
	g := guide{first: bounds[0]}
	span := uint64(bounds[len(bounds)-1]) - uint64(g.first)
	for span>>g.shift >= uint64(max(1, len(bounds)/boundsOfBucket)) {
		g.shift++
	}
	buckets := int(span>>g.shift) + 1
	g.below = make([]uint32, buckets+1)
	for _, v := range bounds {
		g.below[(uint64(v)-uint64(g.first))>>g.shift+1]++
	}
	for i := range buckets {
		g.below[i+1] += g.below[i]
	}
	return g
}

// countBelow is how many of the group's bounds are below t.
func (g *guide) countBelow(bounds []int64, t int64) uint32 {
	if t <= g.first {
		return 0
	}
	bucket := (uint64(t) - uint64(g.first)) >> g.shift
	if bucket >= uint64(len(g.below)-1) {
		return uint32(len(bounds))
	}
	lo, hi := g.below[bucket], g.below[bucket+1]
	return lo + countBelow(bounds[lo:hi], t)
}

// slotOf is the first slot of a group whose bound is not before t, or the group's end.
func (v *boundView) slotOf(g *bucket, t int64) uint32 {
	upper := v.bounds.upper
	if g.n <= 4 { // most are: without a branch for each, which nobody could foresee
		first, last := g.start, g.start+g.n-1
		n := one(upper[first] < t) + one(upper[min(first+1, last)] < t) + one(upper[min(first+2, last)] < t) + one(upper[last] < t)
		return min(first+uint32(n), last+1)
	}
	bounds := upper[g.start : g.start+g.n]
	if int(g.n) < partitioning.large {
		return g.start + countBelow(bounds, t)
	}
	guides := &v.bounds.guides
	return g.start + guides.list[guides.of[v.index.guideAt(g.start)]].countBelow(bounds, t)
}
