package parquetio

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/big"
	"unicode/utf8"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/bitutil"
	"github.com/apache/arrow/go/v15/arrow/decimal128"
	"github.com/apache/arrow/go/v15/arrow/decimal256"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/parquet-go/parquet-go/encoding"
	"github.com/parquet-go/parquet-go/format"
)

// column collects values of a flat column into an Arrow array. Rows of a page are appended as a range or one by one, in
// ascending order.
type column interface {
	appendRange(g *page, lo, hi int) error
	// finish returns what was appended and starts anew. The array uses the column's buffers: if they are to be used
	// again, the array is gone with the next append.
	finish(reuse bool) (arrow.Array, error)
}

func newColumn(n *node, physical format.Type) (column, error) {
	switch t := n.typ.(type) {
	case *arrow.NullType:
		return &nulls{}, nil
	case *arrow.BooleanType:
		return &bools{}, nil
	case *arrow.Int8Type:
		return narrow[int8](t), nil
	case *arrow.Uint8Type:
		return narrow[uint8](t), nil
	case *arrow.Int16Type:
		return narrow[int16](t), nil
	case *arrow.Uint16Type:
		return narrow[uint16](t), nil
	case *arrow.Int32Type, *arrow.Uint32Type, *arrow.Date32Type, *arrow.Time32Type:
		return &fixed[int32]{typ: t, of: (*encoding.Values).Int32, raw: arrow.Int32Traits.CastToBytes}, nil
	case *arrow.TimestampType:
		if physical == format.Int96 {
			return &int96s{fixed: fixed[int64]{typ: t, raw: arrow.Int64Traits.CastToBytes}}, nil
		}
		return &fixed[int64]{typ: t, of: (*encoding.Values).Int64, raw: arrow.Int64Traits.CastToBytes}, nil
	case *arrow.Int64Type, *arrow.Uint64Type, *arrow.Time64Type, *arrow.DurationType:
		return &fixed[int64]{typ: t, of: (*encoding.Values).Int64, raw: arrow.Int64Traits.CastToBytes}, nil
	case *arrow.Float32Type:
		return &fixed[float32]{typ: t, of: (*encoding.Values).Float, raw: arrow.Float32Traits.CastToBytes}, nil
	case *arrow.Float64Type:
		return &fixed[float64]{typ: t, of: (*encoding.Values).Double, raw: arrow.Float64Traits.CastToBytes}, nil
	case *arrow.StringType, *arrow.BinaryType, *arrow.LargeStringType, *arrow.LargeBinaryType:
		return &texts{typ: t}, nil
	case *arrow.FixedSizeBinaryType:
		return &fixedBytes{typ: t, width: t.ByteWidth}, nil
	case *arrow.Float16Type:
		return &fixedBytes{typ: t, width: 2}, nil
	case *arrow.Decimal128Type:
		return &decimals{fixedBytes: fixedBytes{typ: t, width: 16}, physical: physical}, nil
	case *arrow.Decimal256Type:
		return &decimals{fixedBytes: fixedBytes{typ: t, width: 32}, physical: physical}, nil
	}
	return nil, fmt.Errorf("a column of type %s has no reader", n.typ)
}

// validity is the null bitmap of a column under construction. It comes into being with the first null.
type validity struct {
	bits  []byte
	rows  int
	nulls int
}

func (v *validity) valid(n int) {
	if v.nulls > 0 {
		for i := v.rows; i < v.rows+n; i++ {
			v.put(i, true)
		}
	}
	v.rows += n
}

func (v *validity) null() {
	if v.nulls == 0 {
		v.bits = v.bits[:0]
		for i := range v.rows {
			v.put(i, true)
		}
	}
	v.put(v.rows, false)
	v.rows++
	v.nulls++
}

func (v *validity) put(i int, valid bool) {
	if i/8 == len(v.bits) {
		v.bits = append(v.bits, 0)
	}
	bitutil.SetBitTo(v.bits, i, valid)
}

// take returns the bitmap, nil if there is no null, and starts anew.
func (v *validity) take(reuse bool) (bits *memory.Buffer, rows, nulls int) {
	rows, nulls = v.rows, v.nulls
	if nulls > 0 {
		bits = memory.NewBufferBytes(v.bits)
	}
	spare := v.bits[:0:0]
	if reuse {
		spare = v.bits[:0]
	}
	*v = validity{bits: spare}
	return bits, rows, nulls
}

// each calls present or null for every row of a range.
func (g *page) each(lo, hi int, present func(at int), null func()) {
	for row := lo; row < hi; row++ {
		if at, ok := g.value(row); ok {
			present(at)
		} else {
			null()
		}
	}
}

// fixed is a column whose Arrow values are the file's values.
type fixed[T any] struct {
	validity
	typ    arrow.DataType
	of     func(*encoding.Values) []T
	raw    func([]T) []byte
	values []T
}

func (c *fixed[T]) appendRange(g *page, lo, hi int) error {
	values := c.of(&g.values)
	if g.indexes == nil && len(values) < g.present {
		return errShort
	}
	if g.defs == nil {
		c.valid(hi - lo)
		if g.indexes == nil {
			c.values = append(c.values, values[lo:hi]...)
			return nil
		}
		for _, i := range g.indexes[lo:hi] {
			c.values = append(c.values, values[i])
		}
		return nil
	}
	var zero T
	g.each(lo, hi, func(at int) {
		if g.indexes != nil {
			at = int(g.indexes[at])
		}
		c.values = append(c.values, values[at])
		c.valid(1)
	}, func() {
		c.values = append(c.values, zero)
		c.null()
	})
	return nil
}

var errShort = errors.New("a page has fewer values than its levels count")

func (c *fixed[T]) finish(reuse bool) (arrow.Array, error) {
	values := c.values
	if c.values = nil; reuse {
		c.values = values[:0]
	}
	return c.build(c.typ, reuse, memory.NewBufferBytes(c.raw(values))), nil
}

// build makes an array of a validity and the buffers after it.
func (v *validity) build(t arrow.DataType, reuse bool, buffers ...*memory.Buffer) arrow.Array {
	bits, rows, nulls := v.take(reuse)
	data := array.NewData(t, rows, append([]*memory.Buffer{bits}, buffers...), nil, nulls, 0)
	defer data.Release()
	return array.MakeFromData(data)
}

// narrowed is a column of small integers, which files hold in 32 bits.
type narrowed[T int8 | uint8 | int16 | uint16] struct {
	fixed[int32]
	out []T
}

func narrow[T int8 | uint8 | int16 | uint16](t arrow.DataType) *narrowed[T] {
	return &narrowed[T]{fixed: fixed[int32]{typ: t, of: (*encoding.Values).Int32}}
}

func (c *narrowed[T]) finish(reuse bool) (arrow.Array, error) {
	if !reuse {
		c.out = nil
	}
	c.out = c.out[:0]
	for _, v := range c.values {
		c.out = append(c.out, T(v))
	}
	c.values = c.values[:0]
	var raw []byte
	switch out := any(c.out).(type) {
	case []int8:
		raw = arrow.Int8Traits.CastToBytes(out)
	case []uint8:
		raw = out
	case []int16:
		raw = arrow.Int16Traits.CastToBytes(out)
	case []uint16:
		raw = arrow.Uint16Traits.CastToBytes(out)
	}
	return c.build(c.typ, reuse, memory.NewBufferBytes(raw)), nil
}

type nulls struct{ rows int }

func (c *nulls) appendRange(_ *page, lo, hi int) error {
	c.rows += hi - lo
	return nil
}

func (c *nulls) finish(bool) (arrow.Array, error) {
	a := array.NewNull(c.rows)
	c.rows = 0
	return a, nil
}

type bools struct {
	validity
	bits []byte
}

func (c *bools) appendRange(g *page, lo, hi int) error {
	bits := g.values.Boolean()
	if g.indexes == nil && len(bits)*8 < g.present {
		return errShort
	}
	add := func(v bool) {
		if c.rows/8 == len(c.bits) {
			c.bits = append(c.bits, 0)
		}
		bitutil.SetBitTo(c.bits, c.rows, v)
	}
	g.each(lo, hi, func(at int) {
		if g.indexes != nil {
			at = int(g.indexes[at])
		}
		add(bits[at/8]>>(at%8)&1 == 1)
		c.valid(1)
	}, func() {
		add(false)
		c.null()
	})
	return nil
}

func (c *bools) finish(reuse bool) (arrow.Array, error) {
	bits := c.bits
	if c.bits = nil; reuse {
		c.bits = bits[:0]
	}
	return c.build(arrow.FixedWidthTypes.Boolean, reuse, memory.NewBufferBytes(bits)), nil
}

// texts is a column of strings or bytes.
type texts struct {
	validity
	typ  arrow.DataType
	data []byte
	ends []int64
}

func (c *texts) appendRange(g *page, lo, hi int) error {
	data, offsets := g.values.ByteArray()
	if g.indexes == nil && len(offsets) < g.present+1 && g.present > 0 {
		return errShort
	}
	g.each(lo, hi, func(at int) {
		if g.indexes != nil {
			at = int(g.indexes[at])
		}
		c.data = append(c.data, data[offsets[at]:offsets[at+1]]...)
		c.ends = append(c.ends, int64(len(c.data)))
		c.valid(1)
	}, func() {
		c.ends = append(c.ends, int64(len(c.data)))
		c.null()
	})
	return nil
}

func (c *texts) finish(reuse bool) (arrow.Array, error) {
	data, ends := c.data, c.ends
	c.data, c.ends = nil, nil
	if reuse {
		c.data, c.ends = data[:0], ends[:0]
	}
	id := c.typ.ID()
	if id == arrow.STRING || id == arrow.LARGE_STRING {
		if err := checkText(data, ends); err != nil {
			return nil, err
		}
	}
	var offsets []byte
	if id == arrow.STRING || id == arrow.BINARY {
		if len(data) > math.MaxInt32 {
			return nil, fmt.Errorf("%d bytes of text in one batch of rows are more than a column of type %s can hold", len(data), c.typ)
		}
		narrow := make([]int32, len(ends)+1)
		for i, end := range ends {
			narrow[i+1] = int32(end)
		}
		offsets = arrow.Int32Traits.CastToBytes(narrow)
	} else {
		wide := make([]int64, len(ends)+1)
		copy(wide[1:], ends)
		offsets = arrow.Int64Traits.CastToBytes(wide)
	}
	return c.build(c.typ, reuse, memory.NewBufferBytes(offsets), memory.NewBufferBytes(data)), nil
}

// checkText refuses text that is not UTF-8: clients would fail on it far from its cause.
func checkText(data []byte, ends []int64) error {
	if !utf8.Valid(data) {
		return errors.New("a text is not UTF-8; declare the column as binary")
	}
	for _, end := range ends {
		if end < int64(len(data)) && !utf8.RuneStart(data[end]) {
			return errors.New("a text is not UTF-8; declare the column as binary")
		}
	}
	return nil
}

// fixedBytes is a column of byte strings of one width.
type fixedBytes struct {
	validity
	typ   arrow.DataType
	width int
	data  []byte
}

func (c *fixedBytes) appendRange(g *page, lo, hi int) error {
	data, width := g.values.FixedLenByteArray()
	if width != c.width {
		return fmt.Errorf("values of %d bytes where the schema says %d", width, c.width)
	}
	if g.indexes == nil && len(data) < g.present*width {
		return errShort
	}
	g.each(lo, hi, func(at int) {
		if g.indexes != nil {
			at = int(g.indexes[at])
		}
		c.data = append(c.data, data[at*width:(at+1)*width]...)
		c.valid(1)
	}, c.missing)
	return nil
}

func (c *fixedBytes) missing() {
	for range c.width {
		c.data = append(c.data, 0)
	}
	c.null()
}

func (c *fixedBytes) finish(reuse bool) (arrow.Array, error) {
	data := c.data
	if c.data = nil; reuse {
		c.data = data[:0]
	}
	return c.build(c.typ, reuse, memory.NewBufferBytes(data)), nil
}

// decimals is a column of decimals, whatever they are stored as: integers, or big-endian bytes.
type decimals struct {
	fixedBytes
	physical format.Type
}

func (c *decimals) appendRange(g *page, lo, hi int) error {
	value, err := c.reader(g)
	if err != nil {
		return err
	}
	g.each(lo, hi, func(at int) {
		if g.indexes != nil {
			at = int(g.indexes[at])
		}
		c.data = appendDecimal(c.data, value(at), c.width)
		c.valid(1)
	}, c.missing)
	return nil
}

// reader gives the big-endian bytes of the value at an index.
func (c *decimals) reader(g *page) (func(at int) []byte, error) {
	var scratch [8]byte
	switch c.physical {
	case format.Int32:
		values := g.values.Int32()
		return func(at int) []byte { return binary.BigEndian.AppendUint64(scratch[:0], uint64(int64(values[at]))) }, nil
	case format.Int64:
		values := g.values.Int64()
		return func(at int) []byte { return binary.BigEndian.AppendUint64(scratch[:0], uint64(values[at])) }, nil
	case format.ByteArray:
		data, offsets := g.values.ByteArray()
		return func(at int) []byte { return data[offsets[at]:offsets[at+1]] }, nil
	case format.FixedLenByteArray:
		data, width := g.values.FixedLenByteArray()
		return func(at int) []byte { return data[at*width : (at+1)*width] }, nil
	}
	return nil, fmt.Errorf("decimals stored as %s", c.physical)
}

// appendDecimal appends a big-endian two's complement number as Arrow keeps it: little-endian, sign-extended to width.
func appendDecimal(out, value []byte, width int) []byte {
	v := new(big.Int).SetBytes(value)
	if len(value) > 0 && value[0]&0x80 != 0 {
		v.Sub(v, new(big.Int).Lsh(big.NewInt(1), uint(8*len(value))))
	}
	if width == 16 {
		n := decimal128.FromBigInt(v)
		out = binary.LittleEndian.AppendUint64(out, n.LowBits())
		return binary.LittleEndian.AppendUint64(out, uint64(n.HighBits()))
	}
	n := decimal256.FromBigInt(v)
	for _, word := range n.Array() {
		out = binary.LittleEndian.AppendUint64(out, word)
	}
	return out
}

// int96s is a column of the timestamps that old Spark and Impala write: nanoseconds of a day and a Julian day.
type int96s struct{ fixed[int64] }

func (c *int96s) appendRange(g *page, lo, hi int) error {
	values := g.values.Int96()
	if g.indexes == nil && len(values) < g.present {
		return errShort
	}
	g.each(lo, hi, func(at int) {
		if g.indexes != nil {
			at = int(g.indexes[at])
		}
		c.values = append(c.values, int96Nanos(values[at]))
		c.valid(1)
	}, func() {
		c.values = append(c.values, 0)
		c.null()
	})
	return nil
}

// int96Nanos wraps around outside the years 1677 to 2262, as pyarrow does.
func int96Nanos(v [3]uint32) int64 {
	const julianEpoch, day = 2_440_588, 86_400_000_000_000
	return (int64(v[2])-julianEpoch)*day + int64(uint64(v[1])<<32|uint64(v[0]))
}
