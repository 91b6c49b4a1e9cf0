package joins

import "math"

// steps says of most feature rows, when the newest of each key are looked for, that a newer one of their key has come along
// before: for each key, the step of time of the newest so far. It is asked before a row goes on its way. Each thread has
// its own.
type steps struct {
	newest []uint8 // key -> step
	shift  uint    // hash >> shift is the key
	least  int64   // where the first step begins
	step   uint    // (time - least) >> step is the step of a time
}

// maxStepBits keeps the steps within a core's cache.
const maxStepBits = 21

// newSteps makes steps for dense keys, of at most maxStepBits bits, and times in a range; none if that is empty. A time outside of the range counts
// as the first or the last step, so that it is no error.
func newSteps(keys *keyCoder, lo, hi int64) *steps {
	if keys.dense == 0 || lo > hi {
		return nil
	}
	s := &steps{newest: make([]uint8, 1<<keys.dense), shift: 64 - keys.dense, least: lo}
	for (uint64(hi)-uint64(lo))>>s.step > math.MaxUint8 {
		s.step++
	}
	return s
}

// of is the step of a time.
func (s *steps) of(t int64) uint8 {
	return uint8(min((uint64(max(t, s.least))-uint64(s.least))>>(s.step&63), math.MaxUint8))
}

// pass notes a row, and reports whether it may be the newest of its key.
func (s *steps) pass(hash uint64, step uint8) bool {
	newest := &s.newest[hash>>(s.shift&63)]
	before := *newest
	*newest = max(before, step)
	return step >= before
}
