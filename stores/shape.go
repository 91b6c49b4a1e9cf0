package stores

import (
	"context"
	"fmt"
	"iter"
	"math"
	"slices"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/bitutil"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/flightd/flightd/internal/fault"
)

// Shape says what a protocol wants of an answer beyond its values: other protocols than ours have ideas of their own
// about the order of columns, about time zones, and about types. The zero value changes nothing.
type Shape struct {
	Columns []string // all columns of the answer in their order; nil: as they come
	UTC     []string // timestamp columns that are in UTC: naive ones mean it, and the instants of others stay
	Plain   []string // columns without the large forms of text, binary and list
	Blank   string   // one more column at the end: text, "" in every row; "": none
}

// Shaped returns the job with its answer in that shape. Columns that are not there are an error.
func (j *RetrievalJob) Shaped(s Shape) (*RetrievalJob, error) {
	p, err := newReshape(j.schema, s)
	if err != nil {
		return nil, err
	}
	shaped := *j
	shaped.schema = p.schema
	shaped.records = func(ctx context.Context) iter.Seq2[arrow.Record, error] {
		return func(yield func(arrow.Record, error) bool) {
			for rec, err := range j.records(ctx) {
				if err == nil {
					rec, err = p.apply(rec)
				}
				if err != nil {
					yield(nil, err)
					return
				}
				more := yield(rec, nil)
				rec.Release()
				if !more {
					return
				}
			}
		}
	}
	return &shaped, nil
}

// reshape is a shape that fits a schema.
type reshape struct {
	schema *arrow.Schema
	from   []int // column of the answer -> column of the job; -1: the blank one
	recast []func(arrow.ArrayData) (arrow.ArrayData, error)
}

func newReshape(in *arrow.Schema, s Shape) (*reshape, error) {
	names := s.Columns
	if names == nil {
		for _, f := range in.Fields() {
			names = append(names, f.Name)
		}
	}
	plainly := make(map[string]bool, len(s.Plain))
	for _, name := range s.Plain {
		plainly[name] = true
	}
	p := &reshape{}
	var fields []arrow.Field
	for _, name := range names {
		at := in.FieldIndices(name)
		if len(at) != 1 {
			return nil, fault.New(fault.Precondition, "the answer has no column %q where one was expected; its source may have changed, try again", name)
		}
		f := in.Field(at[0])
		var recast func(arrow.ArrayData) (arrow.ArrayData, error)
		switch t := f.Type.(type) {
		case *arrow.TimestampType:
			if slices.Contains(s.UTC, name) && t.TimeZone != "UTC" {
				f.Type = &arrow.TimestampType{Unit: t.Unit, TimeZone: "UTC"}
				recast = retype(f.Type)
			}
		default:
			if plainly[name] && isLarge(t) {
				f.Type = plainType(t)
				recast = plain
			}
		}
		fields, p.from, p.recast = append(fields, f), append(p.from, at[0]), append(p.recast, recast)
	}
	if len(s.Columns) > 0 && len(fields) != len(in.Fields()) {
		return nil, fmt.Errorf("a shape names %d of %d columns", len(fields), len(in.Fields()))
	}
	if s.Blank != "" {
		if len(in.FieldIndices(s.Blank)) > 0 {
			return nil, fault.New(fault.Precondition, "the source has a column %q itself, and the answer needs the name", s.Blank)
		}
		fields, p.from, p.recast = append(fields, arrow.Field{Name: s.Blank, Type: arrow.BinaryTypes.String, Nullable: true}), append(p.from, -1), append(p.recast, nil)
	}
	p.schema = arrow.NewSchema(fields, nil)
	return p, nil
}

// apply makes the record that is sent. It belongs to the caller.
func (p *reshape) apply(rec arrow.Record) (arrow.Record, error) {
	columns := make([]arrow.Array, len(p.from))
	for i, at := range p.from {
		switch {
		case at < 0:
			columns[i] = blank(int(rec.NumRows()))
		case p.recast[i] == nil:
			columns[i] = rec.Column(at)
			columns[i].Retain()
		default:
			data, err := p.recast[i](rec.Column(at).Data())
			if err != nil {
				return nil, fmt.Errorf("column %q: %w", p.schema.Field(i).Name, err)
			}
			columns[i] = array.MakeFromData(data)
			data.Release()
		}
		defer columns[i].Release()
	}
	return array.NewRecord(p.schema, columns, rec.NumRows()), nil
}

// blank is a text column of empty strings.
func blank(rows int) arrow.Array {
	offsets := memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(make([]int32, rows+1)))
	data := array.NewData(arrow.BinaryTypes.String, rows, []*memory.Buffer{nil, offsets, memory.NewBufferBytes(nil)}, nil, 0, 0)
	defer data.Release()
	return array.NewStringData(data)
}

// retype gives the same values another type of the same layout.
func retype(t arrow.DataType) func(arrow.ArrayData) (arrow.ArrayData, error) {
	return func(d arrow.ArrayData) (arrow.ArrayData, error) {
		return array.NewData(t, d.Len(), d.Buffers(), d.Children(), d.NullN(), d.Offset()), nil
	}
}

// isLarge reports whether a type has a large form anywhere inside.
func isLarge(t arrow.DataType) bool {
	switch t.ID() {
	case arrow.LARGE_STRING, arrow.LARGE_BINARY, arrow.LARGE_LIST:
		return true
	case arrow.LIST, arrow.MAP, arrow.STRUCT, arrow.FIXED_SIZE_LIST:
		return slices.ContainsFunc(t.(arrow.NestedType).Fields(), func(f arrow.Field) bool { return isLarge(f.Type) })
	}
	return false
}

// plainType is the type without large forms.
func plainType(t arrow.DataType) arrow.DataType {
	inner := func(f arrow.Field) arrow.Field {
		f.Type = plainType(f.Type)
		return f
	}
	switch t := t.(type) {
	case *arrow.LargeStringType:
		return arrow.BinaryTypes.String
	case *arrow.LargeBinaryType:
		return arrow.BinaryTypes.Binary
	case *arrow.LargeListType:
		return arrow.ListOfField(inner(t.ElemField()))
	case *arrow.ListType:
		return arrow.ListOfField(inner(t.ElemField()))
	case *arrow.FixedSizeListType:
		return arrow.FixedSizeListOfField(t.Len(), inner(t.ElemField()))
	case *arrow.MapType:
		m := arrow.MapOf(plainType(t.KeyType()), plainType(t.ItemType()))
		m.KeysSorted = t.KeysSorted
		m.SetItemNullable(t.ItemField().Nullable)
		return m
	case *arrow.StructType:
		fields := slices.Clone(t.Fields())
		for i := range fields {
			fields[i] = inner(fields[i])
		}
		return arrow.StructOf(fields...)
	}
	return t
}

// plain rewrites the offsets of large forms. What it returns begins at offset 0 and belongs to the caller.
func plain(d arrow.ArrayData) (arrow.ArrayData, error) {
	t := d.DataType()
	if !isLarge(t) {
		d.Retain()
		return d, nil
	}
	var buffers []*memory.Buffer
	var children []arrow.ArrayData
	var err error
	switch t := t.(type) {
	case *arrow.LargeStringType, *arrow.LargeBinaryType:
		var offsets *memory.Buffer
		var lo, hi int64
		if offsets, lo, hi, err = smallOffsets(d, true); err == nil {
			buffers = []*memory.Buffer{validity(d), offsets, values(d.Buffers()[2], lo, hi)}
		}
	case *arrow.LargeListType, *arrow.ListType, *arrow.MapType:
		var offsets *memory.Buffer
		var lo, hi int64
		if offsets, lo, hi, err = smallOffsets(d, t.ID() == arrow.LARGE_LIST); err == nil {
			buffers = []*memory.Buffer{validity(d), offsets}
			children, err = plainChildren(d, lo, hi)
		}
	case *arrow.FixedSizeListType:
		n := int64(t.Len())
		buffers = []*memory.Buffer{validity(d)}
		children, err = plainChildren(d, int64(d.Offset())*n, int64(d.Offset()+d.Len())*n)
	case *arrow.StructType:
		buffers = []*memory.Buffer{validity(d)}
		children, err = plainChildren(d, int64(d.Offset()), int64(d.Offset()+d.Len()))
	}
	if err != nil {
		return nil, err
	}
	defer func() {
		for _, child := range children {
			child.Release()
		}
	}()
	return array.NewData(plainType(t), d.Len(), buffers, children, d.NullN(), 0), nil
}

// plainChildren are the children cut to the values that are used, without large forms.
func plainChildren(d arrow.ArrayData, lo, hi int64) ([]arrow.ArrayData, error) {
	var children []arrow.ArrayData
	for _, child := range d.Children() {
		cut := array.NewSliceData(child, lo, hi)
		c, err := plain(cut)
		cut.Release()
		if err != nil {
			for _, c := range children {
				c.Release()
			}
			return nil, err
		}
		children = append(children, c)
	}
	return children, nil
}

// smallOffsets are the offsets of d counted from its first value, and the range of values that they speak of.
func smallOffsets(d arrow.ArrayData, large bool) (offsets *memory.Buffer, lo, hi int64, err error) {
	small := make([]int32, d.Len()+1)
	buffer := d.Buffers()[1]
	if buffer == nil || buffer.Len() == 0 { // an array without rows may have none
		return memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(small)), 0, 0, nil
	}
	at := func(i int) int64 { return int64(arrow.Int32Traits.CastFromBytes(buffer.Bytes())[d.Offset()+i]) }
	if large {
		at = func(i int) int64 { return arrow.Int64Traits.CastFromBytes(buffer.Bytes())[d.Offset()+i] }
	}
	lo, hi = at(0), at(d.Len())
	if hi-lo > math.MaxInt32 {
		return nil, 0, 0, fault.New(fault.Exhausted, "%d rows hold %d bytes or values, more than plain text and lists can; read fewer rows at once",
			d.Len(), hi-lo)
	}
	for i := range small {
		small[i] = int32(at(i) - lo)
	}
	return memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(small)), lo, hi, nil
}

// validity is the null bitmap of d from its first row on; nil if nothing is null.
func validity(d arrow.ArrayData) *memory.Buffer {
	source := d.Buffers()[0]
	if source == nil || d.NullN() == 0 {
		return nil
	}
	bits := make([]byte, bitutil.BytesForBits(int64(d.Len())))
	bitutil.CopyBitmap(source.Bytes(), d.Offset(), d.Len(), bits, 0)
	return memory.NewBufferBytes(bits)
}

func values(b *memory.Buffer, lo, hi int64) *memory.Buffer {
	if b == nil || hi == lo {
		return memory.NewBufferBytes(nil)
	}
	return memory.NewBufferBytes(b.Bytes()[lo:hi])
}
