package parquetio

import (
	"context"
	"encoding/base64"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/flightd/flightd/internal/ipcguard"
)

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
