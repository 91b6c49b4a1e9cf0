package parquetio

import (
	"fmt"
	"math"
	"slices"
	"unicode/utf8"
	"unsafe"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/flightd/flightd/internal/fault"
)

// textMax bounds the text that is collected for one array: what offsets of four bytes can tell.
const textMax = math.MaxInt32

var errTextMax = fault.New(fault.Exhausted, "more than %d bytes of values in one stretch of rows", textMax)

// texts is a column of strings or bytes with offsets of type O.
type texts[O int32 | int64] struct {
	validity
	typ    arrow.DataType
	data   []byte
	ends   []O // the offsets, 0 first
	enough int // bytes
	held   *held

	picked []int32 // values of pick
	marks  []byte
}

func isText(t arrow.DataType) bool { return t.ID() == arrow.STRING || t.ID() == arrow.LARGE_STRING }

func (c *texts[O]) reserve(n int) { c.ends = slices.Grow(c.ends, n+1) }

func (c *texts[O]) size() int { return len(c.data) + len(c.ends)*int(unsafe.Sizeof(O(0))) }

func (c *texts[O]) append(g *page, lo, hi int) (int, error) {
	from := len(c.data)
	ends := c.extend(hi - lo)
	first := g.rank(lo)
	v, end, at, n := g.values, from, first, 0
	for ; n < len(ends) && end < c.enough; n++ { // sizes first: then there is room for all, and it is known how many
		if g.some == nil || g.some[lo+n] == 1 {
			k := at
			if g.indexes != nil {
				k = int(g.indexes[at])
			}
			end += int(v.offsets[k+1] - v.offsets[k] - v.lead)
			at++
		}
		ends[n] = O(end)
	}
	c.ends = c.ends[:len(c.ends)-len(ends)+n]
	data, err := c.room(end)
	if err != nil {
		return 0, err
	}
	pos := from
	for k := first; k < at; k++ {
		i := k
		if g.indexes != nil {
			i = int(g.indexes[k])
		}
		pos += put(data[pos:], v, i)
	}
	if g.some == nil {
		c.valid(n)
	} else {
		c.mark(g.some[lo : lo+n])
	}
	return n, c.check(g, len(c.ends)-n, from)
}

func (c *texts[O]) pick(g *page, slots []int64, first int64) error {
	from := len(c.data)
	ends := c.extend(len(slots))
	c.picked = slices.Grow(c.picked[:0], len(slots))
	if c.marks = nil; g.some != nil {
		c.marks = make([]byte, len(slots))
	}
	v, end := g.values, from
	for n, slot := range slots {
		at := g.rank(int(slot - first))
		if g.some != nil {
			c.marks[n] = g.some[slot-first]
		}
		if g.some == nil || c.marks[n] == 1 {
			if g.indexes != nil {
				at = int(g.indexes[at])
			}
			end += int(v.offsets[at+1] - v.offsets[at] - v.lead)
			c.picked = append(c.picked, int32(at))
		}
		ends[n] = O(end)
	}
	if err := c.held.take(int64(end - from)); err != nil {
		return err
	}
	data, err := c.room(end)
	if err != nil {
		return err
	}
	pos := from
	for _, at := range c.picked {
		pos += put(data[pos:], v, int(at))
	}
	if g.some == nil {
		c.valid(len(slots))
	} else {
		c.mark(c.marks)
	}
	return c.check(g, len(c.ends)-len(slots), from)
}

// extend makes room for n offsets, which are added, and returns them.
func (c *texts[O]) extend(n int) []O {
	if len(c.ends) == 0 {
		c.ends = append(slices.Grow(c.ends, n+1), 0)
	}
	at := len(c.ends)
	c.ends = slices.Grow(c.ends, n)[:at+n]
	return c.ends[at:]
}

// room makes the data end at an offset and returns it with a few bytes more, which put may write.
func (c *texts[O]) room(end int) ([]byte, error) {
	if end > textMax {
		return nil, errTextMax
	}
	c.data = slices.Grow(c.data, end-len(c.data)+short)[:end]
	return c.data[:end+short], nil
}

// short is the size of texts that are copied without a call.
const short = 16

// put copies the text at an index to the beginning of dst, which is longer than it by short, and returns its length.
func put(dst []byte, v *values, i int) int {
	lo, hi := int(v.offsets[i]+v.lead), int(v.offsets[i+1])
	if raw := v.raw; hi-lo <= short && lo+short <= cap(raw) {
		*(*[short]byte)(dst) = *(*[short]byte)(raw[lo : lo+short])
		return hi - lo
	}
	return copy(dst, v.raw[lo:hi])
}

// check looks at the texts from the offset with the given number on, which begin at from.
func (c *texts[O]) check(g *page, first, from int) error {
	if g.checked || !isText(c.typ) {
		return nil
	}
	if !utf8.Valid(c.data[from:]) {
		return errNotText
	}
	for _, end := range c.ends[first:] {
		if int(end) < len(c.data) && !utf8.RuneStart(c.data[end]) {
			return errNotText
		}
	}
	return nil
}

func (c *texts[O]) finish(reuse bool) (arrow.Array, error) {
	c.extend(0)
	data, ends := c.data, c.ends
	if c.rows != len(ends)-1 {
		return nil, fmt.Errorf("%d texts in %d rows", len(ends)-1, c.rows)
	}
	c.data, c.ends = nil, nil
	if reuse {
		c.data, c.ends = data[:0], ends[:0]
	}
	return c.build(c.typ, reuse, memory.NewBufferBytes(bytesOf(ends)), memory.NewBufferBytes(data)), nil
}
