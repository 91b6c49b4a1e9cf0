package joins

// filter says of most hashes that no entity row has, that none has: one bit for each value of the hash's top bits. It is
// asked before a feature row goes on its way, because rows of keys that nobody asked for are often the most.
type filter struct {
	bits  []uint64
	shift uint // hash >> shift is the number of a bit
}

// maxFilterBits keeps the filter within half of a core's cache.
const maxFilterBits = 21

// newFilter makes the filter of all groups; none if so many bits would be set that it says little.
func (x *index) newFilter() filter {
	log := uint(6)
	for 1<<log < 8*x.groups && log < maxFilterBits {
		log++
	}
	if len(x.keys.spaces) == 0 || x.groups > 1<<(maxFilterBits-1) {
		return filter{}
	}
	f := filter{bits: make([]uint64, 1<<log/64), shift: 64 - log}
	for i := range x.table {
		if b := &x.table[i]; b.n > 0 {
			at := b.hash >> f.shift
			f.bits[at/64] |= 1 << (at % 64)
		}
	}
	return f
}

// may reports whether an entity row may have a hash.
func (f *filter) may(hash uint64) bool {
	at := hash >> f.shift
	return f.bits[at/64]>>(at%64)&1 != 0
}
