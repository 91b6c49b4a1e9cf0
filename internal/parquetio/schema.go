package parquetio

import (
	"errors"
	"fmt"
	"strings"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/parquet-go/parquet-go/deprecated"
	"github.com/parquet-go/parquet-go/format"
)

// node is one field of the file's schema with what reading needs: its Arrow type and the levels at which it is there.
type node struct {
	name     string
	kind     nodeKind
	typ      arrow.DataType
	nullable bool
	def      int // definition level at which the field is not null
	rep      int // of a list: repetition level of its elements
	elemDef  int // of a list: definition level at which there is an element
	children []*node

	// Of a leaf:
	leaf     int         // index of its column
	physical format.Type // of its values in the file
	length   int         // of values of a fixed length
	maxRep   int         // repetition level of the innermost list around it
	slotDef  int         // definition level at which that list has an element
	nested   bool        // not a column of its own
}

// leaves are the leaves of a node in the order of the file's columns.
func (n *node) leaves() []*node {
	if n.kind == leafNode {
		return []*node{n}
	}
	var all []*node
	for _, c := range n.children {
		all = append(all, c.leaves()...)
	}
	return all
}

// nodes is the number of nodes from n on downwards.
func (n *node) nodes() int64 {
	count := int64(1)
	for _, c := range n.children {
		count += c.nodes()
	}
	return count
}

type nodeKind int

const (
	leafNode nodeKind = iota
	structNode
	listNode // lists and maps
)

// maxDepth bounds the nesting of a schema, which comes from the file.
const maxDepth = 32

// schemaReader walks the file's flat list of schema elements.
type schemaReader struct {
	elements []format.SchemaElement
	at       int
	leaves   int
	slotDef  int // of the innermost list around
}

// readSchema turns the file's schema into nodes, one for each column of the table.
func readSchema(elements []format.SchemaElement) ([]*node, error) {
	r := &schemaReader{elements: elements}
	root, err := r.next()
	if err != nil {
		return nil, err
	}
	var columns []*node
	for range root.NumChildren.V {
		n, err := r.field(0, 0, 0)
		if err != nil {
			return nil, err
		}
		for _, leaf := range n.leaves() {
			leaf.nested = leaf != n
		}
		columns = append(columns, n)
	}
	if r.at != len(r.elements) {
		return nil, errors.New("the schema has elements that belong to no column")
	}
	return columns, nil
}

func (r *schemaReader) next() (*format.SchemaElement, error) {
	if r.at == len(r.elements) {
		return nil, errors.New("the schema ends early")
	}
	r.at++
	return &r.elements[r.at-1], nil
}

// field reads one field below a parent with the given levels.
func (r *schemaReader) field(def, rep, depth int) (*node, error) {
	e, err := r.next()
	if err != nil {
		return nil, err
	}
	if depth > maxDepth {
		return nil, fmt.Errorf("column %q is nested more than %d deep", e.Name, maxDepth)
	}
	if e.RepetitionType.V == format.Repeated { // a list without the usual groups around it: never null
		n := &node{name: strings.Clone(e.Name), kind: listNode, def: def, rep: rep + 1, elemDef: def + 1}
		defer r.inside(def + 1)()
		item, err := r.content(e, def+1, rep+1, depth+1)
		if err != nil {
			return nil, err
		}
		n.children, n.typ = []*node{item}, arrow.ListOfField(item.field())
		return n, nil
	}
	nullable := e.RepetitionType.V == format.Optional
	if nullable {
		def++
	}
	n, err := r.content(e, def, rep, depth)
	if err != nil {
		return nil, err
	}
	n.nullable = nullable
	return n, nil
}

// inside notes that what is read is in a list whose elements have a definition level, until the returned function is called.
func (r *schemaReader) inside(elemDef int) func() {
	before := r.slotDef
	r.slotDef = elemDef
	return func() { r.slotDef = before }
}

// content reads what stands under an element, whose own repetition has been dealt with.
func (r *schemaReader) content(e *format.SchemaElement, def, rep, depth int) (*node, error) {
	n := &node{name: strings.Clone(e.Name), def: def}
	if !e.NumChildren.Valid || e.NumChildren.V == 0 {
		if !e.Type.Valid {
			return nil, fmt.Errorf("column %q is a group without fields", e.Name)
		}
		n.leaf, n.maxRep, n.slotDef = r.leaves, rep, r.slotDef
		n.physical, n.length = e.Type.V, int(e.TypeLength.V)
		r.leaves++
		var err error
		n.typ, err = leafType(e)
		return n, err
	}
	if int(e.NumChildren.V) > len(r.elements)-r.at || e.NumChildren.V < 0 {
		return nil, fmt.Errorf("column %q claims %d fields", e.Name, e.NumChildren.V)
	}
	if isList(e) && e.NumChildren.V == 1 && r.at < len(r.elements) && r.elements[r.at].RepetitionType.V == format.Repeated {
		return r.list(n, e, def, rep, depth)
	}
	n.kind = structNode
	var fields []arrow.Field
	for range e.NumChildren.V {
		child, err := r.field(def, rep, depth+1)
		if err != nil {
			return nil, err
		}
		n.children, fields = append(n.children, child), append(fields, child.field())
	}
	n.typ = arrow.StructOf(fields...)
	return n, nil
}

// list reads the repeated group of a LIST or MAP. Where writers differ, the format's rules for reading old files decide
// whether the repeated group is the element or only holds it.
func (r *schemaReader) list(n *node, outer *format.SchemaElement, def, rep, depth int) (*node, error) {
	repeated, err := r.next()
	if err != nil {
		return nil, err
	}
	n.kind, n.rep, n.elemDef = listNode, rep+1, def+1
	keysAlone := isMap(outer) && repeated.NumChildren.V == 1 // pyarrow makes a list of them
	wraps := repeated.NumChildren.V == 1 && repeated.Name != "array" && repeated.Name != outer.Name+"_tuple" && !isList(repeated) &&
		r.at < len(r.elements) && r.elements[r.at].RepetitionType.V != format.Repeated
	defer r.inside(def + 1)()
	var item *node
	if wraps && (keysAlone || !isMap(outer)) {
		item, err = r.field(def+1, rep+1, depth+1)
	} else {
		item, err = r.content(repeated, def+1, rep+1, depth+1)
	}
	if err != nil {
		return nil, err
	}
	n.children = []*node{item}
	if isMap(outer) && item.kind == structNode && len(item.children) == 2 {
		n.typ = mapOf(item)
		return n, nil
	}
	n.typ = arrow.ListOfField(item.field())
	return n, nil
}

// mapOf is the type of a map with the given entries, whose own type becomes the map's.
func mapOf(entries *node) arrow.DataType {
	t := arrow.MapOf(entries.children[0].typ, entries.children[1].typ)
	t.SetItemNullable(entries.children[1].nullable)
	entries.typ = t.Elem()
	return t
}

func (n *node) field() arrow.Field {
	return arrow.Field{Name: n.name, Type: n.typ, Nullable: n.nullable}
}

func isList(e *format.SchemaElement) bool {
	if _, ok := e.LogicalType.Value.(*format.ListType); ok {
		return true
	}
	return isMap(e) || e.ConvertedType.Valid && e.ConvertedType.V == deprecated.List
}

func isMap(e *format.SchemaElement) bool {
	if _, ok := e.LogicalType.Value.(*format.MapType); ok {
		return true
	}
	return e.ConvertedType.Valid && (e.ConvertedType.V == deprecated.Map || e.ConvertedType.V == deprecated.MapKeyValue)
}
