package parquetio

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/parquet-go/parquet-go/deprecated"
	"github.com/parquet-go/parquet-go/format"

	"github.com/flightd/flightd/internal/ipcguard"
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
	leaf     int // of a leaf: index of its column
	children []*node
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
		n := &node{name: e.Name, kind: listNode, def: def, rep: rep + 1, elemDef: def + 1}
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

// content reads what stands under an element, whose own repetition has been dealt with.
func (r *schemaReader) content(e *format.SchemaElement, def, rep, depth int) (*node, error) {
	n := &node{name: e.Name, def: def}
	if !e.NumChildren.Valid || e.NumChildren.V == 0 {
		if !e.Type.Valid {
			return nil, fmt.Errorf("column %q is a group without fields", e.Name)
		}
		n.leaf = r.leaves
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
	wraps := repeated.NumChildren.V == 1 && repeated.Name != "array" && repeated.Name != outer.Name+"_tuple"
	var item *node
	if wraps && !isMap(outer) {
		item, err = r.field(def+1, rep+1, depth+1)
	} else {
		item, err = r.content(repeated, def+1, rep+1, depth+1)
	}
	if err != nil {
		return nil, err
	}
	n.children = []*node{item}
	if isMap(outer) && item.kind == structNode && len(item.children) == 2 {
		n.typ = arrow.MapOf(item.children[0].typ, item.children[1].typ)
		item.typ = n.typ.(*arrow.MapType).Elem()
		return n, nil
	}
	n.typ = arrow.ListOfField(item.field())
	return n, nil
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

// leafType is the Arrow type of a column, as pyarrow maps it.
func leafType(e *format.SchemaElement) (arrow.DataType, error) {
	if e.LogicalType.Value != nil {
		if t := logicalType(e); t != nil {
			return t, nil
		}
	} else if e.ConvertedType.Valid {
		if t := convertedType(e); t != nil {
			return t, nil
		}
	}
	switch e.Type.V {
	case format.Boolean:
		return arrow.FixedWidthTypes.Boolean, nil
	case format.Int32:
		return arrow.PrimitiveTypes.Int32, nil
	case format.Int64:
		return arrow.PrimitiveTypes.Int64, nil
	case format.Int96:
		return &arrow.TimestampType{Unit: arrow.Nanosecond}, nil
	case format.Float:
		return arrow.PrimitiveTypes.Float32, nil
	case format.Double:
		return arrow.PrimitiveTypes.Float64, nil
	case format.ByteArray:
		return arrow.BinaryTypes.Binary, nil
	case format.FixedLenByteArray:
		if e.TypeLength.V <= 0 {
			return nil, fmt.Errorf("column %q has values of %d bytes", e.Name, e.TypeLength.V)
		}
		return &arrow.FixedSizeBinaryType{ByteWidth: int(e.TypeLength.V)}, nil
	}
	return nil, fmt.Errorf("column %q has the unknown physical type %d", e.Name, e.Type.V)
}

// logicalType is nil where the logical type does not fit the physical one: the physical type then stands for itself.
func logicalType(e *format.SchemaElement) arrow.DataType {
	physical := e.Type.V
	switch t := e.LogicalType.Value.(type) {
	case *format.StringType:
		if physical == format.ByteArray {
			return arrow.BinaryTypes.String
		}
	case *format.JsonType:
		if physical == format.ByteArray {
			return arrow.BinaryTypes.String
		}
	case *format.DecimalType:
		return decimalType(t.Precision, t.Scale)
	case *format.DateType:
		if physical == format.Int32 {
			return arrow.FixedWidthTypes.Date32
		}
	case *format.TimeType:
		u := unitOf(t.Unit)
		if physical == format.Int32 && u == arrow.Millisecond {
			return &arrow.Time32Type{Unit: u}
		}
		if physical == format.Int64 && u != arrow.Millisecond {
			return &arrow.Time64Type{Unit: u}
		}
	case *format.TimestampType:
		if physical == format.Int64 {
			return timestamp(unitOf(t.Unit), t.IsAdjustedToUTC)
		}
	case *format.IntType:
		return intType(physical, int(t.BitWidth), t.IsSigned)
	case *format.Float16Type:
		if physical == format.FixedLenByteArray && e.TypeLength.V == 2 {
			return arrow.FixedWidthTypes.Float16
		}
	case *format.NullType:
		return arrow.Null
	}
	return nil
}

func timestamp(u arrow.TimeUnit, utc bool) arrow.DataType {
	if utc {
		return &arrow.TimestampType{Unit: u, TimeZone: "UTC"}
	}
	return &arrow.TimestampType{Unit: u}
}

func unitOf(u format.TimeUnit) arrow.TimeUnit {
	switch u.Value.(type) {
	case *format.MilliSeconds:
		return arrow.Millisecond
	case *format.MicroSeconds:
		return arrow.Microsecond
	}
	return arrow.Nanosecond
}

func decimalType(precision, scale int32) arrow.DataType {
	switch {
	case precision > 0 && precision <= 38 && scale >= 0 && scale <= precision:
		return &arrow.Decimal128Type{Precision: precision, Scale: scale}
	case precision > 0 && precision <= 76 && scale >= 0 && scale <= precision:
		return &arrow.Decimal256Type{Precision: precision, Scale: scale}
	}
	return nil
}

func intType(physical format.Type, width int, signed bool) arrow.DataType {
	if physical == format.Int32 {
		switch {
		case width == 8 && signed:
			return arrow.PrimitiveTypes.Int8
		case width == 8:
			return arrow.PrimitiveTypes.Uint8
		case width == 16 && signed:
			return arrow.PrimitiveTypes.Int16
		case width == 16:
			return arrow.PrimitiveTypes.Uint16
		case width == 32 && signed:
			return arrow.PrimitiveTypes.Int32
		case width == 32:
			return arrow.PrimitiveTypes.Uint32
		}
	}
	if physical == format.Int64 && width == 64 {
		if signed {
			return arrow.PrimitiveTypes.Int64
		}
		return arrow.PrimitiveTypes.Uint64
	}
	return nil
}

// convertedType is for files that were written before there were logical types.
func convertedType(e *format.SchemaElement) arrow.DataType {
	physical := e.Type.V
	switch c := e.ConvertedType.V; c {
	case deprecated.UTF8, deprecated.Json:
		if physical == format.ByteArray {
			return arrow.BinaryTypes.String
		}
	case deprecated.Decimal:
		return decimalType(e.Precision.V, e.Scale.V)
	case deprecated.Date:
		if physical == format.Int32 {
			return arrow.FixedWidthTypes.Date32
		}
	case deprecated.TimeMillis:
		if physical == format.Int32 {
			return arrow.FixedWidthTypes.Time32ms
		}
	case deprecated.TimeMicros:
		if physical == format.Int64 {
			return arrow.FixedWidthTypes.Time64us
		}
	case deprecated.TimestampMillis:
		if physical == format.Int64 {
			return timestamp(arrow.Millisecond, true)
		}
	case deprecated.TimestampMicros:
		if physical == format.Int64 {
			return timestamp(arrow.Microsecond, true)
		}
	case deprecated.Uint8, deprecated.Uint16, deprecated.Uint32, deprecated.Uint64:
		return intType(physical, 8<<(c-deprecated.Uint8), false)
	case deprecated.Int8, deprecated.Int16, deprecated.Int32, deprecated.Int64:
		return intType(physical, 8<<(c-deprecated.Int8), true)
	}
	return nil
}

// applyStored refines the columns by the Arrow schema that the writer stored, as pyarrow does: zones, large types,
// durations. The stored schema is input like the rest of the file; where it does not fit, it is left aside.
func applyStored(columns []*node, encoded string) {
	raw, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return
	}
	r, err := ipcguard.NewReader(context.Background(), ipcguard.Bytes(raw), ipcguard.Limits{Message: 16 << 20})
	if err != nil || len(r.Schema().Fields()) != len(columns) {
		return
	}
	for i, f := range r.Schema().Fields() {
		if f.Name == columns[i].name {
			columns[i].refine(f.Type)
		}
	}
}

func (n *node) refine(stored arrow.DataType) {
	if _, ok := stored.(*arrow.DictionaryType); ok {
		return // pyarrow reads the values with the type that the file gives them
	}
	switch n.kind {
	case leafNode:
		n.refineLeaf(stored)
	case structNode:
		if s, ok := stored.(*arrow.StructType); ok && len(s.Fields()) == len(n.children) {
			fields := make([]arrow.Field, len(n.children))
			for i, c := range n.children {
				c.refine(s.Field(i).Type)
				fields[i] = c.field()
			}
			n.typ = arrow.StructOf(fields...)
		}
	case listNode:
		n.refineList(stored)
	}
}

func (n *node) refineList(stored arrow.DataType) {
	item := n.children[0]
	switch t := stored.(type) {
	case *arrow.MapType:
		if _, ok := n.typ.(*arrow.MapType); ok {
			item.children[0].refine(t.KeyType())
			item.children[1].refine(t.ItemType())
			n.typ = arrow.MapOf(item.children[0].typ, item.children[1].typ)
			item.typ = n.typ.(*arrow.MapType).Elem()
		}
	case arrow.ListLikeType:
		if _, ok := n.typ.(*arrow.ListType); !ok {
			return
		}
		item.refine(t.Elem())
		switch t := t.(type) {
		case *arrow.LargeListType:
			n.typ = arrow.LargeListOfField(item.field())
		case *arrow.FixedSizeListType:
			n.typ = arrow.FixedSizeListOfField(t.Len(), item.field())
		default:
			n.typ = arrow.ListOfField(item.field())
		}
	}
}

func (n *node) refineLeaf(stored arrow.DataType) {
	switch have := n.typ.(type) {
	case *arrow.TimestampType:
		if want, ok := stored.(*arrow.TimestampType); ok && have.TimeZone == "UTC" && want.TimeZone != "" {
			n.typ = &arrow.TimestampType{Unit: have.Unit, TimeZone: want.TimeZone}
		}
	case *arrow.Int64Type:
		if stored.ID() == arrow.DURATION {
			n.typ = stored
		}
	case *arrow.StringType:
		if stored.ID() == arrow.LARGE_STRING {
			n.typ = stored
		}
	case *arrow.BinaryType:
		if stored.ID() == arrow.LARGE_BINARY {
			n.typ = stored
		}
	case *arrow.Decimal128Type:
		if want, ok := stored.(*arrow.Decimal256Type); ok && want.Precision == have.Precision && want.Scale == have.Scale {
			n.typ = want
		}
	}
}
