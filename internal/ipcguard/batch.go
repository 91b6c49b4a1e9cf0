package ipcguard

import (
	"encoding/binary"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/bitutil"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/flightd/flightd/internal/fault"
)

// A node may have this many values without bytes that stand for them: a batch of nulls only. Beyond that, a batch has at
// most one value per bit.
const weightless = 1 << 20

// nodeCost is reserved for the structures of one array, whatever it holds.
const nodeCost = 512

// batch is a record batch, or the values of a dictionary, while it is decoded.
type batch struct {
	*body
	r       *Reader
	version int
	rows    int64
	nodes   []byte // pairs of length and null count
	longest int64  // values that a node can plausibly have
}

// newBatch checks everything about a batch that can be checked without its values, and reserves what they will take.
func (r *Reader) newBatch(m message, t table, data []byte) (*batch, error) {
	b := &batch{r: r, version: m.version, rows: t.i64(0), nodes: t.vector(1, 16)}
	views := t.vector(4, 8)
	var err error
	b.body, err = newBody(t, data)
	switch {
	case t.f.err != nil:
		return nil, t.f.err
	case err != nil:
		return nil, err
	case len(views) > 0:
		return nil, fault.New(fault.Invalid, "the batch has buffers for views, its schema has no views")
	}
	b.longest = max(weightless, 8*min(b.claimed, 1<<50))
	if b.rows < 0 || b.rows > b.longest {
		return nil, fault.New(fault.Invalid, "%d rows do not fit into a body of %d bytes", b.rows, b.claimed)
	}
	cost := nodeCost * int64(len(b.nodes)/16)
	if b.codec != codecNone {
		cost += b.claimed
	}
	if !isAligned(data) {
		cost += int64(len(data))
	}
	if err := r.reserve(cost); err != nil {
		return nil, err
	}
	if !isAligned(data) {
		b.data = append(aligned(len(data))[:0], data...)
	}
	return b, nil
}

// finish checks that nothing is left over.
func (b *batch) finish() error {
	if len(b.nodes) > 0 || 16*b.next != len(b.layout) {
		return fault.New(fault.Invalid, "the batch has %d arrays and %d buffers more than its schema needs", len(b.nodes)/16, len(b.layout)/16-b.next)
	}
	return nil
}

// span is the part of a node that its parent refers to: only that part is checked and becomes the array, so that every
// array begins at 0, and has buffers of just its length and a known null count.
type span struct{ lo, n int64 }

// whole stands for all values of a node.
var whole = span{n: -1}

// node reads the length and null count of the next node and cuts it.
func (b *batch) node(f *field, s span) (_ span, length, nulls int64, err error) {
	if len(b.nodes) == 0 {
		return s, 0, 0, b.invalid(f, "the batch has no array for it")
	}
	length, nulls = int64(binary.LittleEndian.Uint64(b.nodes)), int64(binary.LittleEndian.Uint64(b.nodes[8:]))
	b.nodes = b.nodes[16:]
	if length < 0 || length > b.longest {
		return s, 0, 0, b.invalid(f, "%d values do not fit into a body of %d bytes", length, b.claimed)
	}
	if nulls < 0 || nulls > length {
		return s, 0, 0, b.invalid(f, "%d nulls in %d values", nulls, length)
	}
	if s == whole {
		s.n = length
	}
	if s.lo > length-s.n {
		return s, 0, 0, b.invalid(f, "it has %d values, at least %d are referred to", length, s.lo+s.n)
	}
	return s, length, nulls, nil
}

// load decodes the next node, and those below it, as an array of f.
func (b *batch) load(f *field, s span) (*array.Data, error) {
	s, length, nulls, err := b.node(f, s)
	if err != nil {
		return nil, err
	}
	var valid *memory.Buffer
	if b.hasValidity(f.Type) {
		if valid, nulls, err = b.validity(f, s, length, nulls); err != nil {
			return nil, err
		}
	}
	switch t := f.Type.(type) {
	case *arrow.NullType:
		return array.NewData(t, int(s.n), []*memory.Buffer{nil}, nil, int(s.n), 0), nil
	case *arrow.BooleanType:
		bits, err := b.bits(f, s)
		return array.NewData(t, int(s.n), []*memory.Buffer{valid, bits}, nil, int(nulls), 0), err
	case *arrow.DictionaryType:
		return b.loadDictionary(f, t, s, valid, nulls)
	case arrow.UnionType:
		if valid != nil {
			return nil, fault.New(fault.Unimplemented, "column %.200q: unions with nulls of their own (before Arrow 1.0) cannot be read", f.path())
		}
		return b.loadUnion(f, t, s)
	case *arrow.StringType, *arrow.BinaryType:
		return loadText[int32](b, f, s, valid, nulls)
	case *arrow.LargeStringType, *arrow.LargeBinaryType:
		return loadText[int64](b, f, s, valid, nulls)
	case *arrow.ListType, *arrow.MapType:
		return loadList[int32](b, f, s, valid, nulls)
	case *arrow.LargeListType:
		return loadList[int64](b, f, s, valid, nulls)
	case *arrow.FixedSizeListType:
		width := int64(t.Len())
		if length > b.longest/width {
			return nil, b.invalid(f, "%d lists of %d values do not fit into a body of %d bytes", length, width, b.claimed)
		}
		return b.loadChildren(f, s, []*memory.Buffer{valid}, nulls, span{s.lo * width, s.n * width})
	case *arrow.StructType:
		return b.loadChildren(f, s, []*memory.Buffer{valid}, nulls, s)
	case arrow.FixedWidthDataType:
		return b.loadFixed(f, t, s, valid, nulls)
	}
	return nil, fault.New(fault.Unimplemented, "column %.200q: type %s cannot be read", f.path(), f.Type)
}

// hasValidity says which types have a buffer for nulls: unions had one up to V4.
func (b *batch) hasValidity(t arrow.DataType) bool {
	switch t.ID() {
	case arrow.NULL:
		return false
	case arrow.SPARSE_UNION, arrow.DENSE_UNION:
		return b.version < 4
	}
	return true
}

// validity returns the bitmap of a node and its true number of nulls. A null count of zero means that the buffer has no
// meaning; writers leave it empty.
func (b *batch) validity(f *field, s span, length, nulls int64) (*memory.Buffer, int64, error) {
	if nulls == 0 {
		return nil, 0, b.skip()
	}
	bits, err := b.take()
	if err != nil {
		return nil, 0, err
	}
	if int64(len(bits)) < bitutil.BytesForBits(length) {
		return nil, 0, b.invalid(f, "%d values and %d bytes of validity", length, len(bits))
	}
	if found := length - int64(bitutil.CountSetBits(bits, 0, int(length))); found != nulls {
		return nil, 0, b.invalid(f, "%d nulls are declared, %d are there", nulls, found)
	}
	cut, err := b.cutBits(bits, s)
	if err != nil {
		return nil, 0, err
	}
	if nulls = s.n - int64(bitutil.CountSetBits(cut, 0, int(s.n))); nulls == 0 {
		return nil, 0, nil
	}
	return memory.NewBufferBytes(cut), nulls, nil
}

// cutBits returns the bits of s, copied where they do not begin with a byte.
func (b *batch) cutBits(bits []byte, s span) ([]byte, error) {
	size := bitutil.BytesForBits(s.n)
	if s.lo%8 == 0 {
		return bits[s.lo/8 : s.lo/8+size : s.lo/8+size], nil
	}
	if err := b.r.reserve(size); err != nil {
		return nil, err
	}
	cut := aligned(int(size))
	bitutil.CopyBitmap(bits, int(s.lo), int(s.n), cut, 0)
	return cut, nil
}

// bits takes a buffer of bits.
func (b *batch) bits(f *field, s span) (*memory.Buffer, error) {
	bits, err := b.take()
	if err != nil {
		return nil, err
	}
	if int64(len(bits)) < bitutil.BytesForBits(s.lo+s.n) {
		return nil, b.invalid(f, "%d values in %d bytes", s.lo+s.n, len(bits))
	}
	bits, err = b.cutBits(bits, s)
	return memory.NewBufferBytes(bits), err
}

// values takes a buffer of values that are width bytes wide.
func (b *batch) values(f *field, s span, width int64) ([]byte, error) {
	values, err := b.take()
	if err != nil {
		return nil, err
	}
	if width > 0 && s.lo+s.n > int64(len(values))/width {
		return nil, b.invalid(f, "%d values of %d bytes in %d bytes", s.lo+s.n, width, len(values))
	}
	if width == 0 {
		return nil, nil
	}
	lo, hi := s.lo*width, (s.lo+s.n)*width
	return values[lo:hi:hi], nil
}

func (b *batch) loadFixed(f *field, t arrow.FixedWidthDataType, s span, valid *memory.Buffer, nulls int64) (*array.Data, error) {
	values, err := b.values(f, s, int64(t.Bytes()))
	if err != nil {
		return nil, err
	}
	d := array.NewData(t, int(s.n), []*memory.Buffer{valid, memory.NewBufferBytes(values)}, nil, int(nulls), 0)
	return d, b.checkDecimals(f, d)
}

// loadChildren decodes the children of f, all cut to the same span, and puts f's array above them.
func (b *batch) loadChildren(f *field, s span, own []*memory.Buffer, nulls int64, child span) (*array.Data, error) {
	children := make([]arrow.ArrayData, len(f.children))
	for i, c := range f.children {
		d, err := b.load(c, child)
		if err != nil {
			return nil, err
		}
		children[i] = d
	}
	if _, ok := f.Type.(*arrow.MapType); ok {
		if err := b.checkEntries(f, children[0]); err != nil {
			return nil, err
		}
	}
	return array.NewData(f.Type, int(s.n), own, children, int(nulls), 0), nil
}

func (b *batch) loadDictionary(f *field, t *arrow.DictionaryType, s span, valid *memory.Buffer, nulls int64) (*array.Data, error) {
	width := t.IndexType.(arrow.FixedWidthDataType).Bytes()
	indices, err := b.values(f, s, int64(width))
	if err != nil {
		return nil, err
	}
	values, err := b.r.resolve(f.dict)
	if err != nil {
		return nil, fault.New(fault.KindOf(err), "column %.200q: %w", f.path(), err)
	}
	if err := b.checkIndices(f, t.IndexType, indices, valid, values.Len()); err != nil {
		return nil, err
	}
	return array.NewDataWithDictionary(t, int(s.n), []*memory.Buffer{valid, memory.NewBufferBytes(indices)}, int(nulls), 0, values), nil
}

func (b *batch) loadUnion(f *field, t arrow.UnionType, s span) (*array.Data, error) {
	codes, err := b.values(f, s, 1)
	if err != nil {
		return nil, err
	}
	if err := b.checkCodes(f, t, codes); err != nil {
		return nil, err
	}
	own := []*memory.Buffer{nil, memory.NewBufferBytes(codes)}
	if t.Mode() == arrow.SparseMode {
		return b.loadChildren(f, s, own, 0, s)
	}
	offsets, err := b.values(f, s, 4)
	if err != nil {
		return nil, err
	}
	d, err := b.loadChildren(f, s, append(own, memory.NewBufferBytes(offsets)), 0, whole)
	if err != nil {
		return nil, err
	}
	return d, b.checkUnionOffsets(f, t, d)
}

// offsets takes a buffer of offsets and returns it beginning at 0, with the span of values it refers to. v15's writer
// sends arrays whose first offset is not 0 wrongly.
func offsets[T int32 | int64](b *batch, f *field, s span) (*memory.Buffer, span, error) {
	width := int64(arrow.GetDataType[T]().(arrow.FixedWidthDataType).Bytes())
	if s.n == 0 { // the format allows an empty buffer here, v15's accessors need one offset
		return memory.NewBufferBytes(aligned(int(width))), span{}, b.skip()
	}
	raw, err := b.values(f, span{s.lo, s.n + 1}, width)
	if err != nil {
		return nil, span{}, err
	}
	values := arrow.GetData[T](raw)
	first, last := values[0], values[0]
	for i, v := range values {
		if v < last {
			return nil, span{}, b.invalid(f, "offset %d is %d, after %d", i, v, last)
		}
		last = v
	}
	if first < 0 {
		return nil, span{}, b.invalid(f, "its first offset is %d", first)
	}
	refers := span{int64(first), int64(last - first)}
	if first == 0 {
		return memory.NewBufferBytes(raw), refers, nil
	}
	if err := b.r.reserve(int64(len(raw))); err != nil {
		return nil, span{}, err
	}
	rebased := aligned(len(raw))
	for i, v := range values {
		arrow.GetData[T](rebased)[i] = v - first
	}
	return memory.NewBufferBytes(rebased), refers, nil
}

func loadList[T int32 | int64](b *batch, f *field, s span, valid *memory.Buffer, nulls int64) (*array.Data, error) {
	ends, refers, err := offsets[T](b, f, s)
	if err != nil {
		return nil, err
	}
	return b.loadChildren(f, s, []*memory.Buffer{valid, ends}, nulls, refers)
}

func loadText[T int32 | int64](b *batch, f *field, s span, valid *memory.Buffer, nulls int64) (*array.Data, error) {
	ends, refers, err := offsets[T](b, f, s)
	if err != nil {
		return nil, err
	}
	text, err := b.values(f, refers, 1)
	if err != nil {
		return nil, err
	}
	switch f.Type.ID() {
	case arrow.STRING, arrow.LARGE_STRING:
		if i := notUTF8(text, arrow.GetData[T](ends.Bytes()), valid); i >= 0 {
			return nil, b.invalid(f, "value %d is not UTF-8", i)
		}
	}
	return array.NewData(f.Type, int(s.n), []*memory.Buffer{valid, ends, memory.NewBufferBytes(text)}, nil, int(nulls), 0), nil
}

func (b *batch) invalid(f *field, format string, args ...any) error {
	return fault.New(fault.Invalid, "column %.200q: %w", f.path(), fault.New(fault.Invalid, format, args...))
}
