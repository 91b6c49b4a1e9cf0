package filestore

import (
	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
)

// sameShape finds the type that holds two nested types which differ only in how the elements of lists are called (item,
// element, array: every writer has its own word) and in what may be null. Names are those of the first, and null may be
// what may be null in either.
func sameShape(a, b arrow.DataType) (arrow.DataType, bool) {
	switch a := a.(type) {
	case *arrow.MapType:
		b, ok := b.(*arrow.MapType)
		if !ok {
			return nil, false
		}
		key, ok := sameShape(a.KeyType(), b.KeyType())
		if !ok {
			return nil, false
		}
		item, ok := sameField(a.ItemField(), b.ItemField())
		if !ok {
			return nil, false
		}
		t := arrow.MapOf(key, item.Type)
		t.SetItemNullable(item.Nullable)
		return t, true
	case *arrow.StructType:
		b, ok := b.(*arrow.StructType)
		if !ok || len(a.Fields()) != len(b.Fields()) {
			return nil, false
		}
		fields := make([]arrow.Field, len(a.Fields()))
		for i := range fields {
			if a.Field(i).Name != b.Field(i).Name {
				return nil, false
			}
			if fields[i], ok = sameField(a.Field(i), b.Field(i)); !ok {
				return nil, false
			}
		}
		return arrow.StructOf(fields...), true
	case *arrow.ListType:
		if b, ok := b.(*arrow.ListType); ok {
			element, ok := sameField(a.ElemField(), b.ElemField())
			return arrow.ListOfField(element), ok
		}
		return nil, false
	case *arrow.LargeListType:
		if b, ok := b.(*arrow.LargeListType); ok {
			element, ok := sameField(a.ElemField(), b.ElemField())
			return arrow.LargeListOfField(element), ok
		}
		return nil, false
	case *arrow.FixedSizeListType:
		if b, ok := b.(*arrow.FixedSizeListType); ok && a.Len() == b.Len() {
			element, ok := sameField(a.ElemField(), b.ElemField())
			return arrow.FixedSizeListOfField(a.Len(), element), ok
		}
		return nil, false
	}
	return a, arrow.TypeEqual(a, b)
}

func sameField(a, b arrow.Field) (arrow.Field, bool) {
	t, ok := sameShape(a.Type, b.Type)
	if !ok {
		t = arrow.Null // for who makes a type of the field before looking at ok
	}
	return arrow.Field{Name: a.Name, Type: t, Nullable: a.Nullable || b.Nullable}, ok
}

// relabel gives an array a type of the same shape. Nothing is copied.
func relabel(a arrow.Array, to arrow.DataType) arrow.Array {
	data := relabelData(a.Data(), to)
	defer data.Release()
	return array.MakeFromData(data)
}

func relabelData(data arrow.ArrayData, to arrow.DataType) arrow.ArrayData {
	var types []arrow.DataType
	switch to := to.(type) {
	case *arrow.StructType:
		for _, f := range to.Fields() {
			types = append(types, f.Type)
		}
	case arrow.ListLikeType: // a map too, whose element is the struct of its entries
		types = append(types, to.Elem())
	}
	children := make([]arrow.ArrayData, len(types))
	for i, t := range types {
		children[i] = relabelData(data.Children()[i], t)
		defer children[i].Release()
	}
	return array.NewData(to, data.Len(), data.Buffers(), children, data.NullN(), data.Offset())
}
