package joins

import (
	"bytes"
	"encoding/binary"
)

// textKeys are the keys of entity rows, if keys are texts: one after the other, without a pointer for each, which the
// garbage collector would look at again and again.
type textKeys struct {
	bytes []byte
	ends  []int // row -> where its text ends
}

func (t *textKeys) of(row int32) []byte {
	from := 0
	if row > 0 {
		from = t.ends[row-1]
	}
	return t.bytes[from:t.ends[row]]
}

// groupTexts are the keys of the groups of one partition, each after its length. They are copies that lie together, so
// that they are in the cache when the rows of the partition are matched.
type groupTexts []byte

// lengthBytes is what the length of a text takes.
const lengthBytes = 4

// add adds a key and returns where it is.
func (g *groupTexts) add(key []byte) (at uint32) {
	at = uint32(len(*g))
	*g = binary.LittleEndian.AppendUint32(*g, uint32(len(key)))
	*g = append(*g, key...)
	return at
}

// is reports whether the key at a place is the given one.
func (g groupTexts) is(at uint32, key []byte) bool {
	n := int(binary.LittleEndian.Uint32(g[at:]))
	return n == len(key) && bytes.Equal(g[at+lengthBytes:][:n], key)
}
