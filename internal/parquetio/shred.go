package parquetio

import (
	"fmt"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
)

// Shredding takes nested columns apart into leaves with levels, the reverse of assembling them (Melnik et al., 2010).

// shredded is one batch's array of a node of the schema.
type shredded struct {
	node     *node
	array    arrow.Array
	nulls    bool                     // there may be some
	index    func(i int) int          // of a dictionary: where the value of a row is, -1 for null; nil: it is no dictionary
	bounds   func(i int) (lo, hi int) // of a list: its elements
	leaf     *leafWriter              // of a leaf
	children []*shredded
}

// look makes the view of an array and of all below it.
func look(n *node, a arrow.Array, leaves []*leafWriter) (*shredded, error) {
	if x, ok := a.(array.ExtensionArray); ok {
		return look(n, x.Storage(), leaves)
	}
	v := &shredded{node: n, array: a, nulls: a.NullN() > 0 || a.DataType().ID() == arrow.NULL}
	switch n.kind {
	case leafNode:
		return v, v.lookAtLeaf(leaves[n.leaf])
	case structNode:
		return v, v.lookAtStruct(leaves)
	}
	return v, v.lookAtList(leaves)
}

func (v *shredded) lookAtLeaf(l *leafWriter) error {
	v.leaf = l
	d, ok := v.array.(*array.Dictionary)
	if !ok {
		return l.values.bind(v.array)
	}
	values := d.Dictionary()
	v.nulls = true
	v.index = func(i int) int {
		if d.IsNull(i) || values.IsNull(d.GetValueIndex(i)) {
			return -1
		}
		return d.GetValueIndex(i)
	}
	return l.values.bind(values)
}

func (v *shredded) lookAtStruct(leaves []*leafWriter) error {
	s, ok := v.array.(*array.Struct)
	if !ok || s.NumField() != len(v.node.children) {
		return fmt.Errorf("an array of type %s in a column of type %s", v.array.DataType(), v.node.typ)
	}
	return v.below(leaves, func(i int) arrow.Array { return s.Field(i) })
}

func (v *shredded) lookAtList(leaves []*leafWriter) error {
	var values arrow.Array
	switch a := v.array.(type) {
	case *array.FixedSizeList:
		n, first := int(a.DataType().(*arrow.FixedSizeListType).Len()), a.Data().Offset()
		values = a.ListValues()
		v.bounds = func(i int) (lo, hi int) { return (first + i) * n, (first + i + 1) * n }
	case array.ListLike: // lists, large lists and maps, whose entries are structs
		values = a.ListValues()
		v.bounds = func(i int) (lo, hi int) {
			from, to := a.ValueOffsets(i)
			return int(from), int(to)
		}
	default:
		return fmt.Errorf("an array of type %s in a column of type %s", v.array.DataType(), v.node.typ)
	}
	return v.below(leaves, func(int) arrow.Array { return values })
}

func (v *shredded) below(leaves []*leafWriter, child func(i int) arrow.Array) error {
	for i, n := range v.node.children {
		c, err := look(n, child(i), leaves)
		if err != nil {
			return err
		}
		v.children = append(v.children, c)
	}
	return nil
}

func (v *shredded) isNull(i int) bool {
	if v.index != nil {
		return v.index(i) < 0
	}
	return v.nulls && (v.array.IsNull(i) || v.array.DataType().ID() == arrow.NULL)
}

// run is how many rows from i on are there, before end and the next null.
func (v *shredded) run(i, end int) int {
	if !v.nulls {
		return end - i
	}
	n := 0
	for i+n < end && !v.isNull(i+n) {
		n++
	}
	return n
}

// append appends values of a leaf that are all there.
func (v *shredded) append(lo, hi int, rep byte) error {
	if v.index == nil {
		return v.leaf.append(lo, hi, rep)
	}
	for ; lo < hi; lo++ {
		at := v.index(lo)
		if err := v.leaf.append(at, at+1, rep); err != nil {
			return err
		}
	}
	return nil
}

// rows appends rows of a column of the table.
func (v *shredded) rows(lo, hi int) error {
	if v.leaf != nil {
		return v.leaf.flat(v, lo, hi)
	}
	for ; lo < hi; lo++ {
		if err := v.startRow(); err != nil {
			return err
		}
		if err := v.put(lo, 0); err != nil {
			return err
		}
	}
	return nil
}

func (v *shredded) startRow() error {
	if v.leaf != nil {
		return v.leaf.startRow()
	}
	for _, c := range v.children {
		if err := c.startRow(); err != nil {
			return err
		}
	}
	return nil
}

// put appends the value at an index, which follows its predecessor at a repetition level.
func (v *shredded) put(i int, rep byte) error {
	if v.isNull(i) {
		if !v.node.nullable {
			return errNotNull
		}
		v.missing(byte(v.node.def-1), rep)
		return nil
	}
	switch v.node.kind {
	case leafNode:
		return v.append(i, i+1, rep)
	case structNode:
		for _, c := range v.children {
			if err := c.put(i, rep); err != nil {
				return err
			}
		}
		return nil
	}
	return v.putList(i, rep)
}

func (v *shredded) putList(i int, rep byte) error {
	lo, hi := v.bounds(i)
	if lo == hi {
		v.missing(byte(v.node.elemDef-1), rep)
		return nil
	}
	element := v.children[0]
	for ; lo < hi; lo++ {
		if err := element.put(lo, rep); err != nil {
			return err
		}
		rep = byte(v.node.rep)
		if element.leaf != nil && !element.nulls && element.index == nil && lo+1 < hi { // the rest at once
			return element.append(lo+1, hi, rep)
		}
	}
	return nil
}

// missing appends what says that there is nothing here to every leaf below.
func (v *shredded) missing(def, rep byte) {
	if v.leaf != nil {
		v.leaf.missing(def, rep)
		return
	}
	for _, c := range v.children {
		c.missing(def, rep)
	}
}
