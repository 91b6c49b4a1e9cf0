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

var errTextMax = fault.New(fault.Exhausted, "more than %d bytes of text in one stretch of rows", textMax)

// texts is a column of strings or bytes with offsets of type O.
type texts[O int32 | int64] struct {
	validity
	typ    arrow.DataType
	data   []byte
	ends   []O // the offsets, 0 first
	enough int // bytes
}

func isText(t arrow.DataType) bool { return t.ID() == arrow.STRING || t.ID() == arrow.LARGE_STRING }

func (c *texts[O]) size() int { return len(c.data) + len(c.ends)*int(unsafe.Sizeof(O(0))) }

func (c *texts[O]) append(g *page, lo, hi int) (int, error) {
	first, from := c.begin(hi-lo), len(c.data)
	at := g.rank(lo)
	var err error
	slot := lo
	for ; slot < hi && len(c.data) < c.enough; slot++ {
		if g.some != nil && g.some[slot] == 0 {
			c.ends = append(c.ends, O(len(c.data)))
			continue
		}
		if err = c.add(g, at); err != nil {
			return 0, err
		}
		at++
	}
	if g.some == nil {
		c.valid(slot - lo)
	} else {
		c.mark(g.some[lo:slot])
	}
	return slot - lo, c.check(g, first, from)
}

func (c *texts[O]) pick(g *page, slots []int64, first int64) error {
	if err := c.reserve(g, slots, first); err != nil {
		return err
	}
	begin, from := c.begin(len(slots)), len(c.data)
	var marks []byte
	if g.some != nil {
		marks = make([]byte, len(slots))
	}
	for i, slot := range slots {
		at := g.rank(int(slot - first))
		if g.some != nil {
			if marks[i] = g.some[slot-first]; marks[i] == 0 {
				c.ends = append(c.ends, O(len(c.data)))
				continue
			}
		}
		if err := c.add(g, at); err != nil {
			return err
		}
	}
	if g.some == nil {
		c.valid(len(slots))
	} else {
		c.mark(marks)
	}
	return c.check(g, begin, from)
}

// reserve makes room for the text of slots, so that it is copied only once.
func (c *texts[O]) reserve(g *page, slots []int64, first int64) error {
	size, seen, before := 0, g.seen, g.before
	for _, slot := range slots {
		if g.some != nil && g.some[slot-first] == 0 {
			continue
		}
		size += len(g.text(g.rank(int(slot - first))))
	}
	if g.seen, g.before = seen, before; size > textMax-len(c.data) {
		return errTextMax
	}
	c.data = slices.Grow(c.data, size)
	return nil
}

// begin makes room for n offsets and returns how many there are.
func (c *texts[O]) begin(n int) int {
	if len(c.ends) == 0 {
		c.ends = append(slices.Grow(c.ends, n+1), 0)
	}
	c.ends = slices.Grow(c.ends, n)
	return len(c.ends)
}

// add appends the value at an index of the page.
func (c *texts[O]) add(g *page, at int) error {
	text := g.text(at)
	if len(text) > textMax-len(c.data) {
		return errTextMax
	}
	c.data = append(c.data, text...)
	c.ends = append(c.ends, O(len(c.data)))
	return nil
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
	c.begin(0)
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
