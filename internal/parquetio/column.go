package parquetio

import (
	"fmt"
	"slices"
	"unsafe"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/flightd/flightd/internal/fault"
)

// column collects slots of a leaf's pages into an Arrow array.
type column interface {
	// append takes slots [lo, hi) of a page and returns how many it took: all, or fewer once it has enough bytes.
	append(g *page, lo, hi int) (int, error)
	// pick takes single slots of a page, ascending; first is subtracted from each.
	pick(g *page, slots []int64, first int64) error
	// reserve makes room for so many slots.
	reserve(n int)
	// size is the number of bytes collected.
	size() int
	// finish returns what was collected and starts anew. The array uses the column's buffers: if they are to be used
	// again, the array is gone with the next append.
	finish(reuse bool) (arrow.Array, error)
}

// widthMax bounds the width of fixed byte strings: nulls take as much, and nothing in the file.
const widthMax = 16 << 20

// newColumn makes the column of a leaf. enough is the number of bytes of byte strings after which append stops; those that
// are picked count in what the reader holds.
func newColumn(n *node, enough int, h *held) (column, error) {
	switch t := n.typ.(type) {
	case *arrow.NullType:
		return &nulls{}, nil
	case *arrow.BooleanType:
		return &bools{fixed: fixed[uint8]{typ: t}}, nil
	case *arrow.StringType, *arrow.BinaryType:
		return &texts[int32]{typ: t, enough: enough, held: h}, nil
	case *arrow.LargeStringType, *arrow.LargeBinaryType:
		return &texts[int64]{typ: t, enough: enough, held: h}, nil
	case *arrow.FixedSizeBinaryType:
		if t.ByteWidth > widthMax {
			return nil, fault.New(fault.Unimplemented, "values of %d bytes each; more than %d MiB cannot be read", t.ByteWidth, widthMax>>20)
		}
		return &fixedBytes{typ: t, width: t.ByteWidth, enough: enough, held: h}, nil
	case arrow.FixedWidthDataType:
		switch t.Bytes() {
		case 1:
			return &fixed[uint8]{typ: t}, nil
		case 2:
			return &fixed[uint16]{typ: t}, nil
		case 4:
			return &fixed[uint32]{typ: t}, nil
		case 8:
			return &fixed[uint64]{typ: t}, nil
		case 16:
			return &fixed[[16]byte]{typ: t}, nil
		case 32:
			return &fixed[[32]byte]{typ: t}, nil
		}
	}
	return nil, fmt.Errorf("a column of type %s has no reader", n.typ)
}

// cell is a value of a fixed width, whatever it means.
type cell interface {
	uint8 | uint16 | uint32 | uint64 | [16]byte | [32]byte
}

// fixed is a column of values of a fixed width.
type fixed[T cell] struct {
	validity
	typ    arrow.DataType
	values []T
}

// extend makes room for n more values and returns it.
func (c *fixed[T]) extend(n int) []T {
	at := len(c.values)
	c.values = slices.Grow(c.values, n)[:at+n]
	return c.values[at:]
}

func (c *fixed[T]) reserve(n int) { c.values = slices.Grow(c.values, n) }

func (c *fixed[T]) size() int {
	var one T
	return len(c.values) * int(unsafe.Sizeof(one))
}

func (c *fixed[T]) append(g *page, lo, hi int) (int, error) {
	out := c.extend(hi - lo)
	values := view[T](g.values.raw, g.values.n, false)
	if g.some == nil {
		c.valid(len(out))
		if g.indexes == nil {
			copy(out, values[lo:hi])
			return len(out), nil
		}
		for i, at := range g.indexes[lo:hi] {
			out[i] = values[at]
		}
		return len(out), nil
	}
	some := g.some[lo:hi]
	c.mark(some)
	first := g.rank(lo)
	switch {
	case g.present == 0:
		clear(out)
	case g.indexes == nil:
		spread(out, view[T](g.values.raw, g.values.n, true)[first:], some)
	default:
		spreadIndexed(out, values, g.indexes[first:g.present+1], some)
	}
	return len(out), nil
}

// spread puts values into the slots that have one, and zeros into the others. There is one more element than values.
func spread[T cell](out, values []T, some []byte) {
	var zero T
	at := 0
	for i, one := range some[:len(out)] {
		v := values[at]
		if one == 0 {
			v = zero
		}
		out[i] = v
		at += int(one)
	}
}

// spreadIndexed is spread with indexes into a dictionary that is not empty. There is one more index than values.
func spreadIndexed[T cell](out, dictionary []T, indexes []int32, some []byte) {
	var zero T
	at := 0
	for i, one := range some[:len(out)] {
		v := dictionary[indexes[at]]
		if one == 0 {
			v = zero
		}
		out[i] = v
		at += int(one)
	}
}

func (c *fixed[T]) pick(g *page, slots []int64, first int64) error {
	out := c.extend(len(slots))
	if g.values.place != nil {
		return c.pickInPlace(g, out, slots, first)
	}
	values := view[T](g.values.raw, g.values.n, false)
	if g.some != nil {
		return c.pickSome(g, out, values, slots, first)
	}
	c.valid(len(out))
	if g.indexes == nil {
		for i, slot := range slots {
			out[i] = values[slot-first]
		}
		return nil
	}
	for i, slot := range slots {
		out[i] = values[g.indexes[slot-first]]
	}
	return nil
}

// pickInPlace is pick for numbers in place: only columns of numbers have such pages.
func (c *fixed[T]) pickInPlace(g *page, out []T, slots []int64, first int64) error {
	var marks []byte
	switch out := any(out).(type) {
	case []uint32:
		marks = pickInPlace(g, out, slots, first)
	case []uint64:
		marks = pickInPlace(g, out, slots, first)
	}
	if marks == nil {
		c.valid(len(out))
	} else {
		c.mark(marks)
	}
	return nil
}

func (c *fixed[T]) pickSome(g *page, out, values []T, slots []int64, first int64) error {
	marks := make([]byte, len(slots))
	for i, slot := range slots {
		at := g.rank(int(slot - first))
		if marks[i] = g.some[slot-first]; marks[i] == 0 {
			var zero T
			out[i] = zero
			continue
		}
		if g.indexes != nil {
			at = int(g.indexes[at])
		}
		out[i] = values[at]
	}
	c.mark(marks)
	return nil
}

func (c *fixed[T]) finish(reuse bool) (arrow.Array, error) {
	values := c.values
	if c.values = nil; reuse {
		c.values = values[:0]
	}
	return c.build(c.typ, reuse, memory.NewBufferBytes(bytesOf(values))), nil
}

func bytesOf[T any](values []T) []byte {
	if len(values) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&values[0])), len(values)*int(unsafe.Sizeof(values[0])))
}

// build makes an array of a validity and the buffers after it.
func (v *validity) build(t arrow.DataType, reuse bool, buffers ...*memory.Buffer) arrow.Array {
	bits, rows, nulls := v.take(reuse)
	data := array.NewData(t, rows, append([]*memory.Buffer{bits}, buffers...), nil, nulls, 0)
	defer data.Release()
	return array.MakeFromData(data)
}

// bools are collected as bytes and become bits in the end.
type bools struct {
	fixed[uint8]
	bits []byte
}

func (c *bools) finish(reuse bool) (arrow.Array, error) {
	if !reuse {
		c.bits = nil
	}
	c.bits = slices.Grow(c.bits[:0], (len(c.values)+7)/8)[:(len(c.values)+7)/8]
	clear(c.bits)
	packBits(c.bits, 0, c.values)
	c.values = c.values[:0]
	return c.build(c.typ, reuse, memory.NewBufferBytes(c.bits)), nil
}

// fixedBytes is a column of byte strings of one width.
type fixedBytes struct {
	validity
	typ    arrow.DataType
	width  int
	data   []byte
	enough int // bytes
	held   *held
}

// reserve trusts the width, which the file says, only so far.
func (c *fixedBytes) reserve(n int) { c.data = slices.Grow(c.data, min(n*c.width, 1<<20)) }

func (c *fixedBytes) size() int { return len(c.data) }

func (c *fixedBytes) append(g *page, lo, hi int) (int, error) {
	hi = min(hi, lo+max(1, (c.enough-len(c.data))/c.width))
	for slot := lo; slot < hi; slot++ {
		c.add(g, slot)
	}
	return hi - lo, nil
}

func (c *fixedBytes) pick(g *page, slots []int64, first int64) error {
	if len(slots) > (textMax-len(c.data))/c.width {
		return errTextMax
	}
	if err := c.held.take(int64(len(slots) * c.width)); err != nil {
		return err
	}
	for _, slot := range slots {
		c.add(g, int(slot-first))
	}
	return nil
}

func (c *fixedBytes) add(g *page, slot int) {
	at := g.rank(slot)
	if g.some != nil && g.some[slot] == 0 {
		c.data = append(c.data, make([]byte, c.width)...)
		c.null()
		return
	}
	if g.indexes != nil {
		at = int(g.indexes[at])
	}
	c.data = append(c.data, g.values.raw[at*c.width:(at+1)*c.width]...)
	c.valid(1)
}

func (c *fixedBytes) finish(reuse bool) (arrow.Array, error) {
	data := c.data
	if c.data = nil; reuse {
		c.data = data[:0]
	}
	return c.build(c.typ, reuse, memory.NewBufferBytes(data)), nil
}

// nulls is a column that has a type but no values.
type nulls struct{ rows int }

func (c *nulls) reserve(int) {}

func (c *nulls) size() int { return 0 }

func (c *nulls) append(_ *page, lo, hi int) (int, error) {
	c.rows += hi - lo
	return hi - lo, nil
}

func (c *nulls) pick(_ *page, slots []int64, _ int64) error {
	c.rows += len(slots)
	return nil
}

func (c *nulls) finish(bool) (arrow.Array, error) {
	a := array.NewNull(c.rows)
	c.rows = 0
	return a, nil
}
