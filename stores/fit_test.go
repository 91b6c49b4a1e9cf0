package stores

import (
	"context"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/flightd/flightd/internal/arrowsize"
	"github.com/flightd/flightd/internal/fault"
)

// Columns that take next to nothing on their way here, and gigabytes once they are cast, are cast in pieces of a known size.
func TestCastsComeInPieces(t *testing.T) {
	const rows = 20_000
	entries := array.NewStringBuilder(memory.DefaultAllocator)
	entries.Append(strings.Repeat("x", 100<<10))
	indices := array.NewInt32Builder(memory.DefaultAllocator)
	indices.AppendValues(make([]int32, rows), nil)
	zeros := array.NewInt32Data(array.NewData(arrow.PrimitiveTypes.Int32, rows, []*memory.Buffer{nil, memory.NewBufferBytes(make([]byte, 4*rows))}, nil, 0, 0))
	ends := make([]int32, rows+1)
	for i := range ends {
		ends[i] = int32(i)
	}
	offsets := memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(ends))
	b := array.NewListBuilder(memory.DefaultAllocator, arrow.PrimitiveTypes.Int32)
	for i := range 1000 {
		b.Append(true)
		if i == 0 {
			b.ValueBuilder().(*array.Int32Builder).AppendValues(make([]int32, 1000), nil)
		}
	}
	lists := b.NewArray()
	dictionary := &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int32, ValueType: arrow.BinaryTypes.String}
	text, wide := arrow.BinaryTypes.String, arrow.FixedSizeListOf(600, arrow.PrimitiveTypes.Int64)
	of := func(t arrow.DataType) arrow.DataType {
		return arrow.StructOf(arrow.Field{Name: "a", Type: t, Nullable: true})
	}
	nulls := array.NewNull(rows)
	longLists := &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int32, ValueType: arrow.ListOf(arrow.PrimitiveTypes.Int32)}
	for name, c := range map[string]struct {
		column arrow.Array
		to     arrow.DataType
	}{
		"one long text, many times": {array.NewDictionaryArray(dictionary, indices.NewArray(), entries.NewArray()), text},
		"one long list, many times": {array.NewDictionaryArray(longLists, zeros, lists), longLists.ValueType},
		"nulls of no type":          {nulls, text},
		"nulls of a wide type":      {nulls, wide},
		"structs of such":           {array.NewStructData(array.NewData(of(arrow.Null), rows, []*memory.Buffer{nil}, []arrow.ArrayData{nulls.Data()}, 0, 0)), of(wide)},
		"lists of such": {array.NewListData(array.NewData(arrow.ListOf(arrow.Null), rows, []*memory.Buffer{nil, offsets}, []arrow.ArrayData{nulls.Data()}, 0, 0)),
			arrow.ListOf(wide)},
	} {
		column := c.column
		from := arrow.NewSchema([]arrow.Field{{Name: "c", Type: column.DataType(), Nullable: true}}, nil)
		to := arrow.NewSchema([]arrow.Field{{Name: "c", Type: c.to, Nullable: true}}, nil)
		f, err := fitColumns(to, from, nil, WriteOptions{})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var came int64
		for rec, err := range f.records(t.Context(), Rows{Schema: from, Len: rows, Records: func(yield func(arrow.Record, error) bool) {
			yield(array.NewRecord(from, []arrow.Array{column}, rows), nil)
		}}) {
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if size := arrowsize.Record(rec); size > 2*pieceBytes {
				t.Fatalf("%s: a piece of %d bytes", name, size)
			}
			came += rec.NumRows()
		}
		if came != rows {
			t.Errorf("%s: %d rows, want %d", name, came, rows)
		}
	}
}

// A row that takes more than the call may have is refused before it is made.
func TestCastsAreReserved(t *testing.T) {
	nulls := array.NewNull(2)
	from := arrow.NewSchema([]arrow.Field{{Name: "c", Type: arrow.Null, Nullable: true}}, nil)
	for length, want := range map[int32]fault.Kind{1 << 20: fault.Unknown, 1 << 23: fault.Exhausted} {
		to := arrow.NewSchema([]arrow.Field{{Name: "c", Type: arrow.FixedSizeListOf(length, arrow.PrimitiveTypes.Int64), Nullable: true}}, nil)
		budget := &purse{size: 32 << 20}
		f, err := fitColumns(to, from, nil, WriteOptions{Budget: budget})
		if err != nil {
			t.Fatal(err)
		}
		rows, kind := int64(0), fault.Unknown
		for rec, err := range f.records(t.Context(), Rows{Schema: from, Len: 2, Records: func(yield func(arrow.Record, error) bool) {
			yield(array.NewRecord(from, []arrow.Array{nulls}, 2), nil)
		}}) {
			if err != nil {
				kind = fault.KindOf(err)
				continue
			}
			rows += rec.NumRows()
		}
		if kind != want || kind == fault.Unknown && rows != 2 || budget.held != 0 {
			t.Errorf("lists of %d: %v, %d rows, %d bytes held", length, kind, rows, budget.held)
		}
	}
}

// purse is a budget of so many bytes.
type purse struct{ size, held int64 }

func (p *purse) Reserve(_ context.Context, n int64) error {
	if p.held+n > p.size {
		return fault.New(fault.Exhausted, "the purse is empty")
	}
	p.held += n
	return nil
}

func (p *purse) Release(n int64) { p.held -= n }
