package joins

import (
	"math"
	"sync"
)

// best are the best feature rows of all slots of a view so far. Threads may share them: each partition has a lock.
type best struct {
	view     *boundView
	time     []int64
	tag      []uint64 // 0: none yet
	created  []int64  // nil: the view has no created time
	seen     []bool   // first slot of a group -> some row with a time has its key; nil: nobody asks
	improved []uint64 // tags of rows that became a slot's best
	keep     bool     // whether improved is wanted
	locks    []sync.Mutex
}

func newBest(v *boundView, report, keep bool) *best {
	slots := len(v.index.row)
	b := &best{view: v, time: make([]int64, slots), tag: make([]uint64, slots), locks: make([]sync.Mutex, v.index.parts), keep: keep}
	for i := range b.time {
		b.time[i] = math.MinInt64
	}
	if v.createdAt >= 0 {
		b.created = make([]int64, slots)
	}
	if report {
		b.seen = make([]bool, slots)
	}
	return b
}

// bestBytes is what best takes for each slot.
func (v *boundView) bestBytes(report bool) int64 {
	n := int64(16)
	if v.createdAt >= 0 {
		n += 8
	}
	if report {
		n++
	}
	return n
}

// match lets the rows of one partition compete for its slots. It implements sink.
func (b *best) match(part int, blocks []*block) error {
	b.locks[part].Lock()
	defer b.locks[part].Unlock()
	if b.view.index.parts > 1 && len(blocks) > 2 {
		b.warm(part)
	}
	plain := !b.view.index.twins && b.view.created == nil && b.seen == nil && !b.keep
	for _, rows := range blocks {
		if plain {
			b.plain(part, rows)
		} else {
			b.whole(part, rows)
		}
	}
	return nil
}

// warm reads a partition once from one end to the other: the cache's prefetcher brings it in much faster than the rows,
// which come in no order, would.
func (b *best) warm(part int) (sum uint64) {
	x := b.view.index
	const line = 64
	region := x.table[part*x.region : (part+1)*x.region]
	for i := 0; i < len(region); i += line / 16 {
		sum += region[i].hash
	}
	lo, hi := x.bounds[part], x.bounds[part+1]
	for i := lo; i < hi; i += line / 8 {
		sum += uint64(b.view.bounds.upper[i]) + uint64(b.time[i]) + b.tag[i]
	}
	if x.texts != nil {
		for i := 0; i < len(x.texts[part]); i += line {
			sum += uint64(x.texts[part][i])
		}
	}
	return sum
}

// plain is for groups that each have a hash of their own, without questions about what has been seen or was known when. A
// row whose hash is that of a group may still have another key, if the hash is not the key: that is asked only of rows that
// would become the best, because what is there to compare is far away.
func (b *best) plain(part int, rows *block) {
	x := b.view.index
	table, shift, mask := x.table, x.shift&63, uint64(x.region-1)
	exact := x.keys.form <= packed
	for i := range rows.rows[:rows.n] {
		row := &rows.rows[i]
		hash := row.hash
		at := hash >> shift
		g := &table[at]
		for g.hash != hash && g.n != 0 {
			at = at&^mask | (at+1)&mask
			g = &table[at]
		}
		if g.n == 0 {
			continue
		}
		t := row.time
		slot := b.view.slotOf(g, t)
		if slot == g.start+g.n {
			continue
		}
		if t < b.time[slot] {
			continue
		}
		if b.created != nil {
			c, now := candidate{time: t, created: rows.created[i], tag: row.tag}, b.at(slot)
			if c.beats(&now) && (exact || x.holds(part, g.start, rows, i)) {
				b.set(slot, &c)
			}
			continue
		}
		if (t > b.time[slot] || row.tag > b.tag[slot]) && (exact || x.holds(part, g.start, rows, i)) {
			b.time[slot], b.tag[slot] = t, row.tag
		}
	}
}

// countBelow is how many of ascending values are below v.
func countBelow(values []int64, v int64) uint32 {
	const few = 8
	lo := 0
	for len(values) > few {
		half := len(values) / 2
		if values[half-1] < v {
			lo += half
			values = values[half:]
		} else {
			values = values[:half]
		}
	}
	n := uint32(lo)
	for _, w := range values {
		if w < v {
			n++
		}
	}
	return n
}

// whole is for everything.
func (b *best) whole(part int, rows *block) {
	v, x := b.view, b.view.index
	exact := x.keys.form <= packed
	for i := range rows.rows[:rows.n] {
		row := &rows.rows[i]
		hash := row.hash
		at := hash >> x.shift
		g := &x.table[at]
		for g.n != 0 && (g.hash != hash || !exact && !x.holds(part, g.start, rows, i)) {
			at = x.next(at)
			g = &x.table[at]
		}
		if g.n == 0 {
			continue
		}
		if b.seen != nil {
			b.seen[g.start] = true
		}
		t := row.time
		end := g.start + g.n
		slot := v.slotOf(g, t)
		if v.created != nil {
			if row.tag&hasCreated == 0 {
				continue // not known when it was created: not known at any time
			}
			slot = max(slot, g.start+countBelow(v.created[g.start:end], rows.created[i]))
			for slot < end && v.createdNone != nil && v.createdNone[slot] {
				slot++
			}
		}
		if slot == end {
			continue
		}
		c := candidate{time: t, tag: row.tag}
		if b.created != nil {
			c.created = rows.created[i]
		}
		if now := b.at(slot); c.beats(&now) {
			b.set(slot, &c)
			if b.keep {
				b.improved = append(b.improved, c.tag)
			}
		}
	}
}

// at is the best row of a slot so far.
func (b *best) at(slot uint32) candidate {
	c := candidate{time: b.time[slot], tag: b.tag[slot]}
	if b.created != nil {
		c.created = b.created[slot]
	}
	return c
}

func (b *best) set(slot uint32, c *candidate) {
	b.time[slot], b.tag[slot] = c.time, c.tag
	if b.created != nil {
		b.created[slot] = c.created
	}
}

// merge takes over what another thread found.
func (b *best) merge(other *best) {
	for slot := range other.tag {
		c, now := other.at(uint32(slot)), b.at(uint32(slot))
		if c.beats(&now) {
			b.set(uint32(slot), &c)
		}
	}
	for i, seen := range other.seen {
		b.seen[i] = b.seen[i] || seen
	}
}
