package flightsvc

import (
	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
)

// emptyRecord is a record without rows, for metadata to travel with.
func emptyRecord(schema *arrow.Schema) arrow.Record {
	columns := make([]arrow.Array, len(schema.Fields()))
	for i, f := range schema.Fields() {
		columns[i] = array.MakeFromData(emptyData(f.Type))
	}
	return array.NewRecord(schema, columns, 0)
}

// emptyData is an array without rows. v15's builders would do, but for dictionaries of some types there are none.
func emptyData(t arrow.DataType) arrow.ArrayData {
	switch t := t.(type) {
	case *arrow.DictionaryType:
		dictionary := emptyData(t.ValueType).(*array.Data)
		return array.NewDataWithDictionary(t, 0, []*memory.Buffer{nil, memory.NewBufferBytes(nil)}, 0, 0, dictionary)
	case *arrow.StructType, *arrow.FixedSizeListType, *arrow.ListType, *arrow.MapType, *arrow.LargeListType:
		buffers := []*memory.Buffer{nil}
		if _, offsets := t.(arrow.OffsetsDataType); offsets {
			buffers = append(buffers, memory.NewBufferBytes(make([]byte, 8)))
		}
		var children []arrow.ArrayData
		for _, f := range t.(arrow.NestedType).Fields() {
			children = append(children, emptyData(f.Type))
		}
		return array.NewData(t, 0, buffers, children, 0, 0)
	}
	builder := array.NewBuilder(memory.DefaultAllocator, t)
	defer builder.Release()
	empty := builder.NewArray()
	empty.Data().Retain()
	defer empty.Release()
	return empty.Data()
}
