package joins

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/bitutil"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/flightd/flightd/internal/fault"
)

// Ref is one row of a list of arrays: the array and the row in it. A negative Chunk is a null.
type Ref struct{ Chunk, Row int32 }

var nullRef = Ref{Chunk: -1}

// errTooLong says that a result of 32-bit offsets would hold more bytes than they can count; fewer rows at a time may fit.
var errTooLong = fault.New(fault.Exhausted, "more than 2 GiB of values in one array of an answer; ask for fewer columns, or for rows whose values are shorter")

// Take builds one array of the rows that refs name, in their order, in fresh memory and with its null count known. All
// chunks have type t; dictionaries are decoded. It is own code because v15's kernel is slow on numbers, quadratic on
// strings, and lacks types.
func Take(t arrow.DataType, chunks []arrow.Array, refs []Ref) (arrow.Array, error) {
	if err := plain(t); err != nil {
		return nil, err
	}
	data, err := take(t, chunks, refs)
	if err != nil {
		return nil, err
	}
	defer data.Release()
	return array.MakeFromData(data), nil
}

// plain refuses the types that no store here makes.
func plain(t arrow.DataType) error {
	switch t := t.(type) {
	case arrow.UnionType, *arrow.RunEndEncodedType, *arrow.StringViewType, *arrow.BinaryViewType, *arrow.ListViewType, *arrow.LargeListViewType:
		return fmt.Errorf("a feature of type %s: %w", t, errors.ErrUnsupported)
	case *arrow.DictionaryType:
		return plain(t.ValueType)
	case arrow.NestedType:
		for _, f := range t.Fields() {
			if err := plain(f.Type); err != nil {
				return err
			}
		}
	}
	return nil
}

func take(t arrow.DataType, chunks []arrow.Array, refs []Ref) (*array.Data, error) {
	n := len(refs)
	if t.ID() == arrow.NULL {
		return array.NewData(t, n, []*memory.Buffer{nil}, nil, n, 0), nil
	}
	switch t := t.(type) {
	case *arrow.DictionaryType:
		return takeDictionary(t, chunks, refs)
	case arrow.ExtensionType:
		return takeExtension(t, chunks, refs)
	}
	validity, nulls := takeValidity(chunks, refs)
	buffers := []*memory.Buffer{validity}
	var children []arrow.ArrayData
	var err error
	switch t := t.(type) {
	case *arrow.BooleanType:
		buffers = append(buffers, takeBits(chunks, refs))
	case *arrow.StringType, *arrow.BinaryType:
		buffers, err = takeBinary[int32](buffers, chunks, refs)
	case *arrow.LargeStringType, *arrow.LargeBinaryType:
		buffers, err = takeBinary[int64](buffers, chunks, refs)
	case *arrow.ListType:
		buffers, children, err = takeList[int32](t.Elem(), buffers, chunks, refs)
	case *arrow.MapType:
		buffers, children, err = takeList[int32](t.Elem(), buffers, chunks, refs)
	case *arrow.LargeListType:
		buffers, children, err = takeList[int64](t.Elem(), buffers, chunks, refs)
	case *arrow.FixedSizeListType:
		children, err = takeFixedList(t, chunks, refs)
	case *arrow.StructType:
		children, err = takeStruct(t, chunks, func(t arrow.DataType, values []arrow.Array) (*array.Data, error) { return take(t, values, refs) })
	case arrow.FixedWidthDataType:
		buffers = append(buffers, takeFixed(t.Bytes(), chunks, refs))
	default:
		err = fmt.Errorf("a feature of type %s: %w", t, errors.ErrUnsupported)
	}
	if err != nil {
		return nil, err
	}
	data := array.NewData(t, n, buffers, children, nulls, 0)
	for _, c := range children {
		c.Release()
	}
	return data, nil
}

// takeNumbers is Take for numbers. validity and nulls are foundOf(refs), which columns without nulls share.
func takeNumbers(t arrow.DataType, chunks []arrow.Array, refs []Ref, validity *memory.Buffer, nulls int) arrow.Array {
	if slices.ContainsFunc(chunks, nullable) {
		validity, nulls = takeValidity(chunks, refs)
	}
	values := takeBits
	if t.ID() != arrow.BOOL {
		width := t.(arrow.FixedWidthDataType).Bytes()
		values = func(chunks []arrow.Array, refs []Ref) *memory.Buffer { return takeFixed(width, chunks, refs) }
	}
	data := array.NewData(t, len(refs), []*memory.Buffer{validity, values(chunks, refs)}, nil, nulls, 0)
	defer data.Release()
	return array.MakeFromData(data)
}

func nullable(a arrow.Array) bool { return a.NullBitmapBytes() != nil && a.Data().NullN() != 0 }

// foundOf is the validity of values none of which is null where there is one.
func foundOf(refs []Ref) (*memory.Buffer, int) {
	return validityOf(refs, func(r Ref) bool { return r.Chunk >= 0 })
}

// takeValidity is nil where nothing is null.
func takeValidity(chunks []arrow.Array, refs []Ref) (*memory.Buffer, int) {
	if !slices.ContainsFunc(chunks, nullable) {
		return foundOf(refs)
	}
	return validityOf(refs, func(r Ref) bool { return r.Chunk >= 0 && chunks[r.Chunk].IsValid(int(r.Row)) })
}

func validityOf(refs []Ref, valid func(Ref) bool) (*memory.Buffer, int) {
	var bits []byte
	nulls := 0
	for i, r := range refs {
		if valid(r) {
			continue
		}
		if bits == nil {
			bits = make([]byte, bitutil.BytesForBits(int64(len(refs))))
			for b := range bits {
				bits[b] = 0xff
			}
		}
		bitutil.ClearBit(bits, i)
		nulls++
	}
	if bits == nil {
		return nil, 0
	}
	return memory.NewBufferBytes(bits), nulls
}

func takeFixed(width int, chunks []arrow.Array, refs []Ref) *memory.Buffer {
	switch width {
	case 8:
		return takeValues(arrow.Uint64Traits.CastFromBytes, arrow.Uint64Traits.CastToBytes, 8, chunks, refs)
	case 4:
		return takeValues(arrow.Uint32Traits.CastFromBytes, arrow.Uint32Traits.CastToBytes, 4, chunks, refs)
	case 2:
		return takeValues(arrow.Uint16Traits.CastFromBytes, arrow.Uint16Traits.CastToBytes, 2, chunks, refs)
	case 1:
		return takeValues(func(b []byte) []byte { return b }, func(b []byte) []byte { return b }, 1, chunks, refs)
	}
	out := make([]byte, width*len(refs))
	for i, r := range refs {
		if r.Chunk >= 0 {
			at := (chunks[r.Chunk].Data().Offset() + int(r.Row)) * width
			copy(out[i*width:(i+1)*width], chunks[r.Chunk].Data().Buffers()[1].Bytes()[at:])
		}
	}
	return memory.NewBufferBytes(out)
}

func takeValues[T any](cast func([]byte) []T, raw func([]T) []byte, width int, chunks []arrow.Array, refs []Ref) *memory.Buffer {
	values := make([][]T, len(chunks))
	for i, c := range chunks {
		if c.Len() > 0 {
			values[i] = cast(c.Data().Buffers()[1].Bytes()[c.Data().Offset()*width:])
		}
	}
	out := make([]T, len(refs))
	for i, r := range refs {
		if r.Chunk >= 0 {
			out[i] = values[r.Chunk][r.Row]
		}
	}
	return memory.NewBufferBytes(raw(out))
}

func takeBits(chunks []arrow.Array, refs []Ref) *memory.Buffer {
	bits := make([]byte, bitutil.BytesForBits(int64(len(refs))))
	for i, r := range refs {
		if r.Chunk >= 0 && chunks[r.Chunk].(*array.Boolean).Value(int(r.Row)) {
			bitutil.SetBit(bits, i)
		}
	}
	return memory.NewBufferBytes(bits)
}

// offset is an Arrow offset of 32 or 64 bits.
type offset interface{ int32 | int64 }

func offsetBytes[T offset](offsets []T) []byte {
	switch o := any(offsets).(type) {
	case []int32:
		return arrow.Int32Traits.CastToBytes(o)
	case []int64:
		return arrow.Int64Traits.CastToBytes(o)
	}
	return nil
}

func takeBinary[T offset](buffers []*memory.Buffer, chunks []arrow.Array, refs []Ref) ([]*memory.Buffer, error) {
	columns := make([]array.BinaryLike, len(chunks))
	values := make([][]byte, len(chunks))
	first := make([]int64, len(chunks))
	for i, c := range chunks {
		columns[i] = c.(array.BinaryLike)
		if c.Len() > 0 {
			values[i], first[i] = columns[i].ValueBytes(), columns[i].ValueOffset64(0)
		}
	}
	offsets := make([]T, len(refs)+1)
	var total int64
	for i, r := range refs {
		if r.Chunk >= 0 && columns[r.Chunk].IsValid(int(r.Row)) {
			total += int64(columns[r.Chunk].ValueLen(int(r.Row)))
		}
		if total > math.MaxInt32 && int64(T(total)) != total {
			return nil, errTooLong
		}
		offsets[i+1] = T(total)
	}
	data := make([]byte, 0, total)
	for _, r := range refs {
		if r.Chunk >= 0 && columns[r.Chunk].IsValid(int(r.Row)) {
			lo := columns[r.Chunk].ValueOffset64(int(r.Row)) - first[r.Chunk]
			data = append(data, values[r.Chunk][lo:lo+int64(columns[r.Chunk].ValueLen(int(r.Row)))]...)
		}
	}
	return append(buffers, memory.NewBufferBytes(offsetBytes(offsets)), memory.NewBufferBytes(data)), nil
}

// takeList takes the elements of the wanted lists from the child arrays.
func takeList[T offset](elem arrow.DataType, buffers []*memory.Buffer, chunks []arrow.Array, refs []Ref) ([]*memory.Buffer, []arrow.ArrayData, error) {
	lists, values := make([]array.ListLike, len(chunks)), make([]arrow.Array, len(chunks))
	for i, c := range chunks {
		lists[i] = c.(array.ListLike)
		values[i] = lists[i].ListValues()
	}
	offsets := make([]T, len(refs)+1)
	var elements []run
	total := int64(0)
	for i, r := range refs {
		if r.Chunk >= 0 && lists[r.Chunk].IsValid(int(r.Row)) {
			lo, hi := lists[r.Chunk].ValueOffsets(int(r.Row))
			elements = addRun(elements, run{r.Chunk, lo, hi - lo})
			total += hi - lo
		}
		if total > math.MaxInt32 {
			return nil, nil, errTooLong
		}
		offsets[i+1] = T(total)
	}
	child, err := takeRuns(elem, values, elements)
	if err != nil {
		return nil, nil, err
	}
	return append(buffers, memory.NewBufferBytes(offsetBytes(offsets))), []arrow.ArrayData{child}, nil
}

func takeFixedList(t *arrow.FixedSizeListType, chunks []arrow.Array, refs []Ref) ([]arrow.ArrayData, error) {
	rows := make([]run, 0, len(refs))
	for _, r := range refs {
		rows = addRun(rows, run{r.Chunk, int64(r.Row), 1})
	}
	return takeListRuns(t, chunks, rows)
}

// takeStruct takes every field by itself.
func takeStruct(t *arrow.StructType, chunks []arrow.Array, take func(arrow.DataType, []arrow.Array) (*array.Data, error)) ([]arrow.ArrayData, error) {
	var children []arrow.ArrayData
	for f, field := range t.Fields() {
		values := make([]arrow.Array, len(chunks))
		for i, c := range chunks {
			values[i] = c.(*array.Struct).Field(f)
		}
		child, err := take(field.Type, values)
		if err != nil {
			return nil, err
		}
		children = append(children, child)
	}
	return children, nil
}

// takeDictionary decodes: it takes from the dictionaries themselves.
func takeDictionary(t *arrow.DictionaryType, chunks []arrow.Array, refs []Ref) (*array.Data, error) {
	dictionaries := make([]arrow.Array, len(chunks))
	for i, c := range chunks {
		dictionaries[i] = c.(*array.Dictionary).Dictionary()
	}
	values := make([]Ref, len(refs))
	for i, r := range refs {
		values[i] = nullRef
		if r.Chunk >= 0 && chunks[r.Chunk].IsValid(int(r.Row)) {
			values[i] = Ref{r.Chunk, int32(chunks[r.Chunk].(*array.Dictionary).GetValueIndex(int(r.Row)))}
		}
	}
	return take(t.ValueType, dictionaries, values)
}

func takeExtension(t arrow.ExtensionType, chunks []arrow.Array, refs []Ref) (*array.Data, error) {
	storage := make([]arrow.Array, len(chunks))
	for i, c := range chunks {
		storage[i] = c.(array.ExtensionArray).Storage()
	}
	data, err := take(t.StorageType(), storage, refs)
	if err != nil {
		return nil, err
	}
	defer data.Release()
	return array.NewData(t, data.Len(), data.Buffers(), data.Children(), data.NullN(), 0), nil
}
