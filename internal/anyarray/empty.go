// Package anyarray does for arrays of every type what v15 of Arrow does for most, and panics for the others.
package anyarray

import (
	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
)

// EmptyRecord is a record without rows.
func EmptyRecord(schema *arrow.Schema) arrow.Record {
	columns := make([]arrow.Array, len(schema.Fields()))
	for i, f := range schema.Fields() {
		columns[i] = Empty(f.Type)
	}
	return array.NewRecord(schema, columns, 0)
}

// Empty is an array without rows. v15's builders would do, but for dictionaries of some types, large texts among them, there
// are none.
func Empty(t arrow.DataType) arrow.Array { return array.MakeFromData(empty(t)) }

func empty(t arrow.DataType) *array.Data {
	switch t := t.(type) {
	case *arrow.DictionaryType:
		return array.NewDataWithDictionary(t, 0, []*memory.Buffer{nil, memory.NewBufferBytes(nil)}, 0, 0, empty(t.ValueType))
	case arrow.ExtensionType:
		return array.NewExtensionArrayWithStorage(t, Empty(t.StorageType())).Data().(*array.Data)
	case arrow.NestedType:
		var children []arrow.ArrayData
		for _, f := range t.Fields() {
			children = append(children, empty(f.Type))
		}
		buffers := []*memory.Buffer{nil}
		switch t.(type) {
		case *arrow.ListType, *arrow.MapType, *arrow.LargeListType:
			buffers = append(buffers, memory.NewBufferBytes(make([]byte, 8)))
		case *arrow.SparseUnionType:
			buffers = append(buffers, memory.NewBufferBytes(nil))
		case *arrow.DenseUnionType:
			buffers = append(buffers, memory.NewBufferBytes(nil), memory.NewBufferBytes(nil))
		}
		return array.NewData(t, 0, buffers, children, 0, 0)
	}
	builder := array.NewBuilder(memory.DefaultAllocator, t)
	defer builder.Release()
	made := builder.NewArray()
	made.Data().Retain()
	defer made.Release()
	return made.Data().(*array.Data)
}
