package parquetio

import (
	"errors"
	"fmt"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/flightd/flightd/internal/arrowsize"
	"github.com/flightd/flightd/internal/fault"
)

// nested reads a column of lists, structs or maps: for every leaf the levels and slots of some rows, and then the arrays
// of all nodes from them. What the levels mean is in the Dremel paper (Melnik et al., 2010).
type nested struct {
	root   *node
	leaves []*nestedLeaf // in the order of the columns of the file
}

// nestedLeaf is one leaf with what has been collected of it.
type nestedLeaf struct {
	*leafReader
	column     column
	defs, reps []byte
	entries    int
	pads       []pad
	padded     int   // bytes that the pads of these entries will take
	taken      int64 // bytes that count in what the reader holds
}

// pad is a list of a fixed length: one that is null has elements in its array, though none in the file.
type pad struct {
	from, to int // the definition levels at which there is a list, and it is null: from <= level < to
	bytes    int
}

// mostPad bounds what counts of a list, so that the sum of many does not overflow; one of them is too much already.
const mostPad = 2 * nestedMax

// pad notes at the leaves below a node which lists of a fixed length begin with them. def is the level at which the node has
// a slot.
func (c *nested) pad(n *node, def int) {
	if t, ok := n.typ.(*arrow.FixedSizeListType); ok {
		l := c.first(n)
		l.pads = append(l.pads, pad{from: def, to: n.elemDef, bytes: int(min(mostPad, arrowsize.NullBytes(t, 1)))})
	}
	if n.kind == listNode {
		def = n.elemDef
	}
	for _, child := range n.children {
		c.pad(child, def)
	}
}

// nestedMax bounds the bytes that one batch of rows of a nested column may take: a single row can be as large as it likes.
const nestedMax = 256 << 20

var errNestedMax = fault.New(fault.Exhausted, "a row, or few of them, takes more than %d MiB in this column", nestedMax>>20)

func (c *nested) close() {
	for _, l := range c.leaves {
		l.close()
	}
}

// read takes the next n rows, or fewer once it has enough bytes. What rows take shows when they have been taken: it begins
// with one.
func (c *nested) read(n, enough int) (arrow.Array, error) {
	for _, l := range c.leaves { // the batch before is gone
		l.held.give(l.taken)
		l.taken = 0
	}
	done, step := 0, min(n, 1)
	for done < n {
		for _, l := range c.leaves {
			if err := l.rowsNext(step, true); err != nil {
				return nil, err
			}
		}
		done += step
		size := c.size()
		if size >= enough {
			break
		}
		step = min(n-done, max(1, min(2*step, (enough-size)/(1+size/done))))
	}
	return c.finish(done)
}

// pick takes rows in ascending order.
func (c *nested) pick(rows []int64) (arrow.Array, error) {
	for _, l := range c.leaves {
		for i := 0; i < len(rows); {
			run := 1
			for i+run < len(rows) && rows[i+run] == rows[i]+int64(run) {
				run++
			}
			if err := l.skipTo(rows[i]); err != nil {
				return nil, err
			}
			if err := l.rowsNext(run, true); err != nil {
				return nil, err
			}
			i += run
		}
	}
	return c.finish(len(rows))
}

func (c *nested) size() int {
	size := 0
	for _, l := range c.leaves {
		size += l.size()
	}
	return size
}

func (l *nestedLeaf) size() int { return l.column.size() + len(l.defs) + len(l.reps) + l.padded }

// skipTo passes over the rows before a row.
func (l *nestedLeaf) skipTo(row int64) error {
	if err := l.jumpTo(row); err != nil || row == l.row {
		return err
	}
	return l.rowsNext(int(row-l.row), false)
}

// jumpTo goes to the page in which a row begins, if that is known and the page is not the current one.
func (l *nestedLeaf) jumpTo(row int64) error {
	at, err := l.jump(row, l.row)
	if err != nil || at == l.row {
		return err
	}
	l.row, l.page, l.entry, l.slot = at, page{}, 0, 0
	l.left = l.chunk.values // of which some are behind: then the pages end before they do
	return nil
}

// rowsNext passes the next n rows, and collects them if they are wanted.
func (l *nestedLeaf) rowsNext(n int, wanted bool) error {
	l.row += int64(n)
	for begins := true; ; begins = false {
		if l.entry == l.page.entries {
			if n == 0 && l.leaf.maxRep == 0 {
				return nil
			}
			switch err := l.advancePage(); {
			case errors.Is(err, errLast):
				if n > 0 {
					return errTooFew
				}
				return nil
			case err != nil:
				return err
			}
		}
		if begins && l.page.reps != nil && l.page.reps[l.entry] != 0 {
			return errors.New("a row that begins in the middle of a list")
		}
		end, left := l.rowsEnd(n)
		if end > l.entry {
			if err := l.take(end, wanted); err != nil {
				return err
			}
		}
		if n = left; l.entry < l.page.entries {
			return nil // the next row begins here
		}
	}
}

// errLast says that there are no more pages.
var errLast = errors.New("no more pages")

func (l *nestedLeaf) advancePage() error {
	l.page, l.entry, l.slot = page{}, 0, 0
	if l.left == 0 || l.stream.offset() >= l.stream.end {
		return errLast
	}
	return l.advance()
}

// rowsEnd finds the entry of the page at which the n-th next row has ended, and how many rows are still to end or begin
// on later pages.
func (l *nestedLeaf) rowsEnd(n int) (end, left int) {
	g := &l.page
	if g.reps == nil {
		take := min(n, g.entries-l.entry)
		return l.entry + take, n - take
	}
	for i := l.entry; i < g.entries; i++ {
		if g.reps[i] == 0 {
			if n == 0 {
				return i, 0
			}
			n--
		}
	}
	return g.entries, n
}

// take moves to an entry of the page and collects what is before it.
func (l *nestedLeaf) take(end int, wanted bool) error {
	g := &l.page
	slots := end - l.entry
	if g.defs != nil && l.leaf.slotDef > 0 {
		slots = 0
		for _, d := range g.defs[l.entry:end] {
			if int(d) >= l.leaf.slotDef {
				slots++
			}
		}
	}
	if wanted {
		l.addPads(end)
		if l.size()+8*slots > nestedMax {
			return errNestedMax
		}
		if err := l.hold(8 * slots); err != nil {
			return err
		}
		if g.defs != nil {
			l.defs = append(l.defs, g.defs[l.entry:end]...)
		}
		if g.reps != nil {
			l.reps = append(l.reps, g.reps[l.entry:end]...)
		}
		l.entries += end - l.entry
		took, err := l.column.append(g, l.slot, l.slot+slots)
		if err != nil {
			return err
		}
		if took < slots {
			return errNestedMax
		}
		if err := l.hold(0); err != nil { // texts
			return err
		}
	}
	l.entry, l.slot = end, l.slot+slots
	return nil
}

// hold counts what has been collected and so many bytes more in what the reader holds: twice, for it moves when it grows.
// In lists of lists every entry can be a list, with offsets.
func (l *nestedLeaf) hold(more int) error {
	n := 2*int64(l.size()+more) - l.taken
	if l.leaf.maxRep > 1 {
		n += 12 * int64(l.entries)
	}
	if n <= 0 {
		return nil
	}
	if err := l.held.take(n); err != nil {
		return err
	}
	l.taken += n
	return nil
}

// addPads counts what is made up for the entries before one of the page.
func (l *nestedLeaf) addPads(end int) {
	for _, p := range l.pads {
		if l.page.defs == nil {
			continue // nothing is null
		}
		for _, d := range l.page.defs[l.entry:end] {
			if int(d) >= p.from && int(d) < p.to {
				l.padded += p.bytes
			}
		}
	}
}

// finish makes the array of n rows.
func (c *nested) finish(n int) (arrow.Array, error) {
	a, err := c.build(c.root, level{})
	for _, l := range c.leaves {
		l.defs, l.reps, l.entries, l.padded = l.defs[:0], l.reps[:0], 0, 0
	}
	if err == nil && a.Len() != n {
		err = fmt.Errorf("%d rows came of %d", a.Len(), n)
		a.Release()
	}
	return a, err
}

// level says where in the nesting a node is: the repetition level of the innermost list around it, and the definition
// level at which that list has an element.
type level struct{ rep, def int }

func (c *nested) first(n *node) *nestedLeaf {
	for n.kind != leafNode {
		n = n.children[0]
	}
	for _, l := range c.leaves {
		if l.leaf == n {
			return l
		}
	}
	panic("parquetio: a leaf that is not read")
}

func (c *nested) build(n *node, at level) (arrow.Array, error) {
	switch n.kind {
	case leafNode:
		return c.first(n).column.finish(false)
	case structNode:
		return c.buildStruct(n, at)
	}
	return c.buildList(n, at)
}

func (c *nested) buildStruct(n *node, at level) (arrow.Array, error) {
	var v validity
	c.first(n).each(at, func(def int) {
		if n.nullable && def < n.def {
			v.null()
		} else {
			v.valid(1)
		}
	})
	var children []arrow.ArrayData
	for _, child := range n.children {
		a, err := c.build(child, at)
		if err != nil {
			return nil, err
		}
		defer a.Release()
		if children = append(children, a.Data()); a.Len() != v.rows {
			return nil, fmt.Errorf("the fields of a struct have %d and %d rows", v.rows, a.Len())
		}
	}
	bits, rows, nulls := v.take(false)
	data := array.NewData(n.typ, rows, []*memory.Buffer{bits}, children, nulls, 0)
	defer data.Release()
	return array.MakeFromData(data), nil
}

// each calls do with the definition level of every slot that a node at a level has.
func (l *nestedLeaf) each(at level, do func(def int)) {
	for i := range l.entries {
		def := l.def(i)
		if l.rep(i) <= at.rep && def >= at.def {
			do(def)
		}
	}
}

func (l *nestedLeaf) def(i int) int {
	if l.leaf.def == 0 {
		return 0
	}
	return int(l.defs[i])
}

func (l *nestedLeaf) rep(i int) int {
	if l.leaf.maxRep == 0 {
		return 0
	}
	return int(l.reps[i])
}

// lists are the slots of a list node: the offsets of their elements, and which are null.
type lists struct {
	validity
	offsets []int64
}

func (c *nested) lists(n *node, at level) (*lists, error) {
	out := &lists{offsets: []int64{0}}
	l := c.first(n)
	elements := int64(0)
	for i := range l.entries {
		rep, def := l.rep(i), l.def(i)
		switch {
		case rep > n.rep || def < at.def: // inside an element, or of a list around that has none
			continue
		case rep == n.rep: // one more element
			if out.rows == 0 || def < n.elemDef {
				return nil, errors.New("levels of an element outside a list")
			}
			elements++
			out.offsets[out.rows] = elements
			continue
		}
		if n.nullable && def < n.def {
			out.null()
		} else {
			out.valid(1)
		}
		if def >= n.elemDef {
			elements++
		}
		out.offsets = append(out.offsets, elements)
	}
	return out, nil
}

func (c *nested) buildList(n *node, at level) (arrow.Array, error) {
	lists, err := c.lists(n, at)
	if err != nil {
		return nil, err
	}
	elements := lists.offsets[lists.rows]
	child, err := c.build(n.children[0], level{rep: n.rep, def: n.elemDef})
	if err != nil {
		return nil, err
	}
	defer child.Release()
	if int64(child.Len()) != elements {
		return nil, fmt.Errorf("lists of %d elements, of which there are %d", elements, child.Len())
	}
	if t, ok := n.typ.(*arrow.FixedSizeListType); ok {
		return lists.fixedSize(t, child)
	}
	var offsets []byte
	if n.typ.ID() == arrow.LARGE_LIST {
		offsets = bytesOf(lists.offsets)
	} else {
		narrow := make([]int32, len(lists.offsets))
		for i, v := range lists.offsets {
			narrow[i] = int32(v)
		}
		offsets = bytesOf(narrow)
	}
	bits, rows, nulls := lists.take(false)
	data := array.NewData(n.typ, rows, []*memory.Buffer{bits, memory.NewBufferBytes(offsets)}, []arrow.ArrayData{child.Data()}, nulls, 0)
	defer data.Release()
	return array.MakeFromData(data), nil
}

// fixedSize makes lists of a fixed length, whose nulls have elements too.
func (l *lists) fixedSize(t *arrow.FixedSizeListType, child arrow.Array) (arrow.Array, error) {
	size := int64(t.Len())
	var pieces []arrow.Array
	defer func() {
		for _, p := range pieces {
			p.Release()
		}
	}()
	from := int64(0) // of the elements that no piece has yet
	for i := range l.rows {
		switch length := l.offsets[i+1] - l.offsets[i]; {
		case l.nulls > 0 && !bitAt(l.bits, i):
			if from < l.offsets[i] {
				pieces = append(pieces, array.NewSlice(child, from, l.offsets[i]))
			}
			from = l.offsets[i]
			pieces = append(pieces, array.MakeArrayOfNull(memory.DefaultAllocator, t.Elem(), int(size)))
		case length != size:
			return nil, fmt.Errorf("a list of %d elements in a column of type %s", length, t)
		}
	}
	elements := child
	if len(pieces) > 0 {
		pieces = append(pieces, array.NewSlice(child, from, int64(child.Len())))
		joined, err := array.Concatenate(pieces, memory.DefaultAllocator)
		if err != nil {
			return nil, err
		}
		defer joined.Release()
		elements = joined
	}
	bits, rows, nulls := l.take(false)
	data := array.NewData(t, rows, []*memory.Buffer{bits}, []arrow.ArrayData{elements.Data()}, nulls, 0)
	defer data.Release()
	return array.MakeFromData(data), nil
}

func bitAt(bits []byte, i int) bool { return bits[i/8]>>(i%8)&1 == 1 }
