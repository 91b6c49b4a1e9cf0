package joins

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"
	"math/bits"
	"math/rand/v2"

	"github.com/apache/arrow/go/v15/arrow"
)

// groups gives every distinct key tuple of the entity rows a number, its group. Keys are hashed with a seed of the
// process, because they come from clients who could otherwise choose keys that collide.
type groups struct {
	spaces []space
	words  bool     // every key column is a word
	table  []entry  // open addressing, a power of two; at most two thirds full
	keys   []uint64 // len(spaces) words for each group
	texts  [][]byte // one encoded tuple for each group, where words do not suffice
	n      int      // groups so far

	textBytes int64 // of texts that nobody has reserved memory for yet
}

// entry holds the hash, so that most misses are seen without a look at the key itself. For a single word the hash is a
// bijection of the key and equal hashes are equal keys.
type entry struct {
	hash  uint64
	group int32 // group + 1; 0: empty
}

var (
	wordSeed = rand.Uint64()
	textSeed = maphash.MakeSeed()
)

// hashWord is a bijection on 64 bits: the finalizer of MurmurHash3 (public domain) after a secret offset.
func hashWord(w uint64) uint64 {
	w ^= wordSeed
	w ^= w >> 33
	w *= 0xff51afd7ed558ccd
	w ^= w >> 33
	w *= 0xc4ceb9fe1a85ec53
	return w ^ w>>33
}

// unhashWord is the word that has a hash.
func unhashWord(w uint64) uint64 {
	w ^= w >> 33
	w *= 0x9cb4b2f8129337db // times 0xc4ceb9fe1a85ec53 is 1
	w ^= w >> 33
	w *= 0x4f74430c22a54005 // times 0xff51afd7ed558ccd is 1
	return w ^ w>>33 ^ wordSeed
}

// tuples are the encoded keys of one batch: for each row its state, its hash and, where the hash does not say it all,
// its encoded key.
type tuples struct {
	columns []keyColumn
	state   []uint8
	hash    []uint64
	texts   [][]byte
	arena   []byte
}

// hashRows hashes the encoded columns of every row.
func (t *tuples) hashRows(spaces []space, rows int) {
	t.hash = grow(t.hash, rows)
	switch {
	case !allWords(spaces):
		t.hashTexts(spaces, rows)
	case len(spaces) == 0:
		clear(t.hash)
	default:
		for i, w := range t.columns[0].words[:rows] {
			t.hash[i] = hashWord(w)
		}
		for _, col := range t.columns[1:] {
			for i, w := range col.words[:rows] {
				t.hash[i] = hashWord(bits.RotateLeft64(t.hash[i], 29) ^ w)
			}
		}
	}
}

// encodeValues fills t from the key columns of one batch. For de-duplication null is a value like any other: every row is usable, and a last
// column of words, one bit for each key column, tells null from the value that stands in its place.
func (t *tuples) encodeValues(arrays []arrow.Array, spaces []space, rows int) error {
	if len(t.columns) == 0 {
		t.columns = make([]keyColumn, len(spaces))
	}
	last := len(spaces) - 1
	nulls := grow(t.columns[last].words, rows)
	clear(nulls)
	t.columns[last].words = nulls
	t.state = grow(t.state, rows)
	for i, a := range arrays {
		clear(t.state)
		if err := t.columns[i].encode(a, spaces[i], t.state); err != nil {
			return err
		}
		for row, state := range t.state {
			if state == usable {
				continue
			}
			nulls[row] |= 1 << i
			if spaces[i].word() {
				t.columns[i].words[row] = 0
			} else {
				t.columns[i].text[row] = nil
			}
		}
	}
	clear(t.state)
	t.hashRows(spaces, rows)
	return nil
}

// hashTexts joins the columns of each row into one byte string, with lengths, so that no two tuples give the same.
func (t *tuples) hashTexts(spaces []space, rows int) {
	t.texts = grow(t.texts, rows)
	if len(spaces) == 1 {
		copy(t.texts, t.columns[0].text[:rows])
	} else {
		t.arena = t.arena[:0]
		ends := make([]int, rows)
		for i := range rows {
			if t.state[i] == usable {
				for c, s := range spaces {
					if s.word() {
						t.arena = binary.LittleEndian.AppendUint64(t.arena, t.columns[c].words[i])
					} else {
						t.arena = binary.AppendUvarint(t.arena, uint64(len(t.columns[c].text[i])))
						t.arena = append(t.arena, t.columns[c].text[i]...)
					}
				}
			}
			ends[i] = len(t.arena)
		}
		from := 0
		for i, end := range ends {
			t.texts[i], from = t.arena[from:end], end
		}
	}
	for i, text := range t.texts {
		if t.state[i] == usable {
			t.hash[i] = maphash.Bytes(textSeed, text)
		}
	}
}

func newGroups(spaces []space, rows int64) *groups {
	return &groups{spaces: spaces, words: allWords(spaces), table: make([]entry, tableSize(rows))}
}

func allWords(spaces []space) bool {
	for _, s := range spaces {
		if !s.word() {
			return false
		}
	}
	return true
}

// tableSize is a power of two that holds as many groups at most two thirds full.
func tableSize(groups int64) int64 {
	size := int64(8)
	for size < groups+groups/2 {
		size *= 2
	}
	return size
}

// takeTextBytes is how many bytes of texts have been added since it was last asked.
func (g *groups) takeTextBytes() int64 {
	n := g.textBytes
	g.textBytes = 0
	return n
}

// find returns the group of a row's key, -1 if no entity row has it. The row must be usable.
func (g *groups) find(t *tuples, row int) int32 {
	mask := uint64(len(g.table) - 1)
	hash := t.hash[row]
	for at := hash & mask; ; at = (at + 1) & mask {
		b := &g.table[at]
		if b.group == 0 {
			return -1
		}
		if b.hash == hash && g.same(b.group-1, t, row) {
			return b.group - 1
		}
	}
}

func (g *groups) same(group int32, t *tuples, row int) bool {
	switch {
	case len(g.spaces) < 2 && g.words:
		return true
	case g.words:
		key := g.keys[int(group)*len(g.spaces):][:len(g.spaces)]
		for i, w := range key {
			if t.columns[i].words[row] != w {
				return false
			}
		}
		return true
	}
	return bytes.Equal(g.texts[group], t.texts[row])
}

// add returns the group of a row's key, a new one if it has not been seen.
func (g *groups) add(t *tuples, row int) int32 {
	if group := g.find(t, row); group >= 0 {
		return group
	}
	if 3*g.n >= 2*len(g.table) {
		g.enlarge()
	}
	g.n++
	g.insert(entry{hash: t.hash[row], group: int32(g.n)})
	switch {
	case len(g.spaces) < 2 && g.words:
	case g.words:
		for i := range g.spaces {
			g.keys = append(g.keys, t.columns[i].words[row])
		}
	default:
		g.texts = append(g.texts, bytes.Clone(t.texts[row]))
		g.textBytes += int64(len(t.texts[row]))
	}
	return int32(g.n - 1)
}

func (g *groups) insert(b entry) {
	mask := uint64(len(g.table) - 1)
	at := b.hash & mask
	for g.table[at].group != 0 {
		at = (at + 1) & mask
	}
	g.table[at] = b
}

func (g *groups) enlarge() {
	old := g.table
	g.table = make([]entry, 2*len(old))
	for _, b := range old {
		if b.group != 0 {
			g.insert(b)
		}
	}
}
