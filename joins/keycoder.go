package joins

import (
	"context"
	"math"
	"math/bits"

	"github.com/apache/arrow/go/v15/arrow"
)

// keyForm is what a key tuple becomes before it is hashed.
type keyForm int

const (
	single keyForm = iota // one word, or none: the hash is a bijection, equal hashes are equal keys
	packed                // words that fit one together, after the least value of each has been subtracted
	wide                  // several words
	text                  // at least one byte string
)

// keyCoder turns key columns, of entity rows and of feature rows alike, into hashes.
type keyCoder struct {
	spaces []space
	form   keyForm
	ranges []keyRange // of the entity rows' words; what lies outside matches nothing
	shifts []uint     // of a packed key: where each column's bits begin
	dense  uint       // bits of a packed key whose values are mostly there, so that each has a place of its own; 0: it is not
}

// spread is the multiplier of dense keys: odd, so that different keys stay different, and near to 2^64 divided by the golden
// ratio (Knuth, The Art of Computer Programming, 6.4), so that neighbours, of which often all are hot, come far from each other.
const (
	spread   = 0x9e3779b97f4a7c15
	unspread = 0xf1de83e19937733d // times spread is 1
)

// keyRange is the range of the words of one key column over all entity rows, as signed numbers where the space has signs.
type keyRange struct {
	lo, hi uint64
	known  bool // false for texts, and where no entity row has a usable value
}

// holds reports whether a word is in the range, with signs or without.
func (k *keyRange) holds(w uint64) bool { return w-k.lo <= k.hi-k.lo }

func (s space) signed() bool { return s.kind != uint64s && s.kind != floats }

// newKeyCoder looks at the entity rows' keys and chooses the form; hashed says that it may not be dense.
func newKeyCoder(ctx context.Context, keys *keyRecords, hashed bool) (c *keyCoder, err error) {
	c = &keyCoder{spaces: keys.spaces}
	if !allWords(c.spaces) {
		c.form = text
	}
	if c.ranges, err = keys.ranges(ctx); err != nil {
		return nil, err
	}
	var width uint
	for i, s := range c.spaces {
		if s.word() {
			c.shifts = append(c.shifts, width)
			width += uint(bits.Len64(c.ranges[i].hi - c.ranges[i].lo))
		}
	}
	if c.form != text && len(c.spaces) > 1 {
		if c.form = packed; width > 64 {
			c.form = wide
		}
	}
	if c.form <= packed && len(c.spaces) > 0 && !hashed && width < 32 && 1<<width <= partitioning.dense*tableSize(keys.entities.Rows()) {
		c.form, c.dense = packed, max(1, width)
	}
	return c, nil
}

// widen makes room for the usable ones of some words.
func (k *keyRange) widen(s space, words []uint64, state []uint8) {
	for row, w := range words {
		switch {
		case state[row] != usable:
		case !k.known:
			*k = keyRange{w, w, true}
		case s.signed():
			k.lo, k.hi = uint64(min(int64(k.lo), int64(w))), uint64(max(int64(k.hi), int64(w)))
		default:
			k.lo, k.hi = min(k.lo, w), max(k.hi, w)
		}
	}
}

// include makes room for another range.
func (k *keyRange) include(s space, other keyRange) {
	if other.known {
		k.widen(s, []uint64{other.lo, other.hi}, make([]uint8, 2))
	}
}

// encode fills t with the hashes of rows, their states and, where the hash does not say it all, their keys.
func (c *keyCoder) encode(t *tuples, arrays []arrow.Array, rows int) error {
	t.state = grow(t.state, rows)
	clear(t.state)
	if len(t.columns) == 0 {
		t.columns = make([]keyColumn, len(c.spaces))
	}
	for i, a := range arrays {
		if err := t.columns[i].encode(a, c.spaces[i], t.state); err != nil {
			return err
		}
	}
	if c.form == packed {
		c.pack(t, rows)
		return nil
	}
	t.hashRows(c.spaces, rows)
	return nil
}

// pack puts the words of a row into one and hashes that.
func (c *keyCoder) pack(t *tuples, rows int) {
	t.hash = grow(t.hash, rows)
	clear(t.hash)
	for i := range c.spaces {
		shift, least, span := c.shifts[i], c.ranges[i].lo, c.ranges[i].hi-c.ranges[i].lo
		for row, w := range t.columns[i].words[:rows] {
			if w -= least; w > span {
				worsen(t.state, row, unmatchable)
				continue
			}
			t.hash[row] |= w << (shift & 63)
		}
	}
	if c.dense > 0 {
		for row, w := range t.hash {
			t.hash[row] = w * spread << (-c.dense & 63)
		}
		return
	}
	for row, w := range t.hash {
		t.hash[row] = hashWord(w)
	}
}

// tableSize is the number of buckets of a table for as many rows.
func (c *keyCoder) tableSize(rows int64) int64 {
	if c.dense > 0 {
		return 1 << c.dense
	}
	return tableSize(rows)
}

// bytes is what keep takes for one row, texts apart.
func (c *keyCoder) bytes() int64 {
	switch c.form {
	case wide:
		return 8 + 16*int64(len(c.spaces))
	case text:
		return 8 + 8 + 4 + lengthBytes
	}
	return 8
}

// textBytes is what texts take that keep copies, and then the groups of the index.
func (c *keyCoder) textBytes(t *tuples) (n int64) {
	if c.form != text {
		return 0
	}
	for i, key := range t.texts {
		if t.state[i] == usable {
			n += 2 * int64(len(key))
		}
	}
	return n
}

// room makes room for the keys of n entity rows.
func (c *keyCoder) room(n int) *encodedRows {
	r := &encodedRows{hash: make([]uint64, n)}
	switch c.form {
	case wide:
		for range c.spaces {
			r.words = append(r.words, make([]uint64, n))
		}
	case text:
		r.texts = &textKeys{ends: make([]int, 0, n)}
	}
	return r
}

// keep copies encoded keys to where entity rows from at on have theirs.
func (c *keyCoder) keep(r *encodedRows, t *tuples, at, rows int) {
	copy(r.hash[at:], t.hash[:rows])
	for i := range r.words {
		copy(r.words[i][at:], t.columns[i].words[:rows])
	}
	if r.texts == nil {
		return
	}
	for i, key := range t.texts[:rows] {
		if t.state[i] == usable {
			r.texts.bytes = append(r.texts.bytes, key...)
		}
		r.texts.ends = append(r.texts.ends, len(r.texts.bytes))
	}
}

// holds reports whether a group of a partition has the key that stands at i in a block.
func (x *index) holds(part int, start uint32, b *block, i int) bool {
	switch x.keys.form {
	case wide:
		n := len(x.keys.spaces)
		for k, w := range x.words[int(start)*n:][:n] {
			if b.words[k][i] != w {
				return false
			}
		}
	case text:
		return x.texts[part].is(x.textAt[start], b.text(i))
	}
	return true
}

// signedRange is the range of an integer key column of the entity rows; not ok if it says nothing.
func (c *keyCoder) signedRange(i int) (lo, hi int64, ok bool) {
	r := &c.ranges[i]
	if !r.known || c.spaces[i].kind != int64s {
		return math.MinInt64, math.MaxInt64, false
	}
	return int64(r.lo), int64(r.hi), true
}
