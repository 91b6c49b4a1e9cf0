package parquetio

import (
	"encoding/base64"

	"github.com/apache/arrow/go/v15/arrow"
)

// applyStored refines the columns by the Arrow schema that the writer stored, as pyarrow does: zones, large types,
// durations, lists of a fixed length. The stored schema is input like the rest of the file; where it does not fit, it is
// left aside.
func applyStored(columns []*node, encoded string) {
	raw, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return
	}
	fields, ok := readStored(raw)
	if !ok || len(fields) != len(columns) {
		return
	}
	for i := range fields {
		if fields[i].name == columns[i].name {
			columns[i].refine(&fields[i])
		}
	}
}

func (n *node) refine(s *storedField) {
	if s.dictionary {
		return // pyarrow reads the values with the type that the file gives them
	}
	switch n.kind {
	case leafNode:
		n.refineLeaf(s)
	case structNode:
		if s.kind == storedStruct && len(s.children) == len(n.children) {
			fields := make([]arrow.Field, len(n.children))
			for i, c := range n.children {
				c.refine(&s.children[i])
				fields[i] = c.field()
			}
			n.typ = arrow.StructOf(fields...)
		}
	case listNode:
		n.refineList(s)
	}
}

func (n *node) refineList(s *storedField) {
	item := n.children[0]
	if len(s.children) != 1 {
		return
	}
	if s.kind == storedMap {
		if _, ok := n.typ.(*arrow.MapType); ok && len(s.children[0].children) == 2 {
			item.children[0].refine(&s.children[0].children[0])
			item.children[1].refine(&s.children[0].children[1])
			n.typ = mapOf(item)
		}
		return
	}
	if _, ok := n.typ.(*arrow.ListType); !ok {
		return
	}
	item.refine(&s.children[0])
	if s.extension { // pyarrow takes the type of an extension as the writer had it
		item.name = s.children[0].name
	}
	switch s.kind {
	case storedLargeList, storedLargeListView:
		n.typ = arrow.LargeListOfField(item.field())
	case storedFixedSizeList:
		if s.size > 0 && s.size <= 1<<20 {
			n.typ = arrow.FixedSizeListOfField(int32(s.size), item.field())
		}
	case storedList, storedListView:
		n.typ = arrow.ListOfField(item.field())
	}
}

func (n *node) refineLeaf(s *storedField) {
	switch have := n.typ.(type) {
	case *arrow.TimestampType:
		if s.kind == storedTimestamp && have.TimeZone == "UTC" && s.zone != "" {
			n.typ = &arrow.TimestampType{Unit: have.Unit, TimeZone: s.zone}
		}
	case *arrow.Int64Type:
		if s.kind == storedDuration && s.unit <= int(arrow.Nanosecond) {
			n.typ = &arrow.DurationType{Unit: arrow.TimeUnit(s.unit)}
		}
	case *arrow.StringType:
		if s.kind == storedLargeUtf8 {
			n.typ = arrow.BinaryTypes.LargeString
		}
	case *arrow.BinaryType:
		if s.kind == storedLargeBinary {
			n.typ = arrow.BinaryTypes.LargeBinary
		}
	case *arrow.Decimal128Type:
		if s.kind == storedDecimal && s.bits == 256 {
			n.typ = &arrow.Decimal256Type{Precision: have.Precision, Scale: have.Scale}
		}
	}
}
