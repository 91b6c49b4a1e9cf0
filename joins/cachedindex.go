package joins

import (
	"container/list"
	"context"
	"math"
	"math/bits"
	"sort"
	"unsafe"
)

// cachedIndex knows the keys and event times of all rows of some unchanging parts, so that the winner of a slot is found by a
// search and not by reading history. It is never changed once it is built. Rows are sorted by (hash of the key, event time,
// has a created time, created time, position), in one run for each key; the keys lie in the order of their hashes, which is
// the order in which an index of entity rows is walked.
type cachedIndex struct {
	signature string
	ids       []string // of the parts, in the order of their positions
	first     []uint32 // part -> its first row, as the parts' rows are numbered here; and one more
	coder     *keyCoder

	keys    []bucket // ascending by hash: where the rows of a key begin, and how many they are
	below   []uint32 // top bits of a hash -> keys whose top bits are lower; and one more
	shift   uint     // hash >> shift is where in below it is
	time    []int64
	row     []uint32 // number of the row, and withCreated
	created []int64  // nil: no created time

	bytes int64         // of the budget
	users int           // that have not released it
	place *list.Element // among the recently used; nil: it cannot be found any more
}

// A row's number has 31 bits, one is for whether it has a created time.
const (
	withCreated   = 1 << 31
	maxCachedRows = 1<<31 - 1
)

// What a cached index takes for each row, each row with a created time, key and part, identity apart.
const (
	cachedRowBytes     = 8 + 4
	cachedCreatedBytes = 8
	cachedKeyBytes     = int64(unsafe.Sizeof(bucket{}))
	cachedPartBytes    = 64
)

// rows is the number of rows of the parts, whether they have a key or not.
func (s *cachedIndex) rows() int64 { return int64(s.first[len(s.ids)]) }

// setDirectory makes the way from a hash to its key short.
func (s *cachedIndex) setDirectory() {
	log := directoryBits(len(s.keys))
	s.shift = 64 - log
	s.below = make([]uint32, 1<<log+1)
	for i := range s.keys {
		s.below[s.keys[i].hash>>s.shift+1]++
	}
	for i := range 1 << log {
		s.below[i+1] += s.below[i]
	}
}

// directoryBits are so many that a place in the directory has about two keys.
func directoryBits(keys int) uint { return uint(max(1, bits.Len(uint(keys/2)))) }

// find is the key of a hash; nil if there is none.
func (s *cachedIndex) find(hash uint64) *bucket {
	at := hash >> s.shift
	some := s.keys[s.below[at]:s.below[at+1]]
	for i := range some {
		if some[i].hash == hash {
			return &some[i]
		}
	}
	return nil
}

// cachedUse is a cached index as one table is answered from it.
type cachedUse struct {
	*cachedIndex
	part []int32 // part of the index -> part of the table; -1: the table does not have it any more
	gone bool    // there is one that the table does not have
}

// lookup lets the rows of the index compete for all slots, in parallel.
func (u *cachedUse) lookup(ctx context.Context, b *best, threads int) error {
	const shares = 8 // of each thread
	table := len(b.view.index.table)
	step := max(256, table/(shares*threads))
	return inParallel(ctx, threads, (table+step-1)/step, func(i int) error {
		u.buckets(b, i*step, min(table, (i+1)*step))
		return nil
	})
}

// ahead is how many keys are looked for at once. A search waits for memory again and again; done in steps for many keys, the
// waits overlap.
const ahead = 32

// search is the search for the rows of one group.
type search struct {
	group  *bucket
	hash   uint64
	rows   *bucket // of the index; nil: it has none
	lo, hi int64   // their first and last time
	guess  int     // about how many of them the group's first slot may see
}

// buckets finds the best rows for the groups in a range of the entity index's table.
func (u *cachedUse) buckets(b *best, lo, hi int) {
	x := b.view.index
	recode := u.coder.recoder(x.keys)
	var searches [ahead]search
	for lo < hi {
		n := 0
		for ; lo < hi && n < ahead; lo++ {
			g := &x.table[lo]
			if g.n == 0 {
				continue
			}
			hash, ok := g.hash, true
			if recode != nil {
				hash, ok = recode.hash(x, g)
			}
			if ok {
				searches[n] = search{group: g, hash: hash}
				n++
			}
		}
		u.searchAll(b, searches[:n])
	}
}

func (u *cachedUse) searchAll(b *best, all []search) (sum int64) {
	for i := range all {
		all[i].rows = u.find(all[i].hash)
	}
	for i := range all {
		if s := &all[i]; s.rows != nil {
			s.lo, s.hi = u.time[s.rows.start], u.time[s.rows.start+s.rows.n-1]
		}
	}
	for i := range all {
		if s := &all[i]; s.rows != nil {
			s.guess = int(float64(s.rows.n) * share(s.lo, s.hi, b.view.bounds.upper[s.group.start]))
			near := int(s.rows.start) + max(0, s.guess-1)
			sum += u.time[near] + int64(u.row[near]) // here soon, without being waited for now
		}
	}
	for i := range all {
		if s := &all[i]; s.rows != nil {
			u.compete(b, s)
		}
	}
	return sum
}

// share is which part of the time from lo to hi is over at v.
func share(lo, hi, v int64) float64 {
	switch {
	case v < lo:
		return 0
	case v >= hi:
		return 1
	}
	return float64(uint64(v)-uint64(lo)) / float64(uint64(hi)-uint64(lo))
}

// compete lets the rows of one key compete for the slots of its group. What wins a slot need not be told to the later ones:
// fill passes it on.
func (u *cachedUse) compete(b *best, s *search) {
	g, start := s.group, s.rows.start
	times := u.time[start : start+s.rows.n]
	if b.seen != nil && u.last(start, len(times)) >= 0 {
		b.seen[g.start] = true
	}
	known, before := s.guess, -1
	for slot := g.start; slot < g.start+g.n; slot++ {
		known = countUpTo(times, b.view.bounds.upper[slot], known)
		at := u.last(start, known)
		if at == before {
			continue
		}
		before = at
		c := u.candidate(at)
		if now := b.at(slot); c.beats(&now) {
			b.set(slot, &c)
		}
	}
}

// countUpTo is how many of ascending values are not above v: about as many as the guess, near which it looks first.
func countUpTo(values []int64, v int64, guess int) int {
	lo, hi := guess, guess // values[:lo] are not above v, values[hi:] are, as far as the ends have been looked at
	for step := 4; lo > 0 && values[lo-1] > v; step *= 4 {
		hi = lo - 1
		lo = max(0, hi-step)
	}
	for step := 4; hi < len(values) && values[hi] <= v; step *= 4 {
		lo = hi + 1
		hi = min(len(values), lo+step)
	}
	if v == math.MaxInt64 {
		return len(values)
	}
	return lo + int(countBelow(values[lo:hi], v+1))
}

// last is the last of the first n rows of a key, which begin at start, that the table still has; -1 if there is none.
func (u *cachedUse) last(start uint32, n int) int {
	for n--; n >= 0; n-- {
		at := int(start) + n
		if !u.gone || u.part[u.partOf(u.row[at]&^withCreated)] >= 0 {
			return at
		}
	}
	return -1
}

// partOf is the part of the index that has a row.
func (u *cachedUse) partOf(row uint32) int {
	return sort.Search(len(u.ids), func(i int) bool { return u.first[i+1] > row })
}

// candidate is a row as it competes with those that are streamed.
func (u *cachedUse) candidate(at int) candidate {
	row := u.row[at] &^ withCreated
	part := u.partOf(row)
	position := At(int(u.part[part]), int64(row-u.first[part]))
	c := candidate{time: u.time[at], tag: tagOf(position, 0) | hasTime}
	if u.created != nil && u.row[at]&withCreated != 0 {
		c.created, c.tag = u.created[at], c.tag|hasCreated
	}
	return c
}

// recoder turns the keys of entity groups into hashes of a cached index, which packs them by ranges of its own.
type recoder struct {
	of, to *keyCoder
	masks  []uint64 // of keys that are packed: the bits of each column
}

// recoder is how hashes of another coder of the same spaces become those of this one; nil if they are the same.
func (c *keyCoder) recoder(of *keyCoder) *recoder {
	if c.form == single {
		return nil
	}
	r := &recoder{of: of, to: c}
	for i := range of.ranges {
		r.masks = append(r.masks, math.MaxUint64>>(64-bits.Len64(of.ranges[i].hi-of.ranges[i].lo)))
	}
	return r
}

// hash is the hash of a group's key; not ok if no row of the cached index can have it.
func (r *recoder) hash(x *index, g *bucket) (hash uint64, ok bool) {
	packed := unhashWord(g.hash)
	for i := range r.to.spaces {
		var w uint64
		if r.of.form == wide {
			w = x.words[int(g.start)*len(r.to.spaces)+i]
		} else {
			w = packed>>r.of.shifts[i]&r.masks[i] + r.of.ranges[i].lo
		}
		if !r.to.ranges[i].known || !r.to.ranges[i].holds(w) {
			return 0, false
		}
		hash |= (w - r.to.ranges[i].lo) << r.to.shifts[i]
	}
	return hashWord(hash), true
}
