package stores

import (
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/flightd/flightd/internal/arrowsize"
)

// Columns that take next to nothing on their way here, and gigabytes once they are cast, are cast in pieces of a known size.
func TestCastsComeInPieces(t *testing.T) {
	const rows = 20_000
	entries := array.NewStringBuilder(memory.DefaultAllocator)
	entries.Append(strings.Repeat("x", 100<<10))
	indices := array.NewInt32Builder(memory.DefaultAllocator)
	indices.AppendValues(make([]int32, rows), nil)
	dictionary := &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int32, ValueType: arrow.BinaryTypes.String}
	for name, column := range map[string]arrow.Array{
		"one long text, many times": array.NewDictionaryArray(dictionary, indices.NewArray(), entries.NewArray()),
		"nulls of no type":          array.NewNull(rows),
	} {
		from := arrow.NewSchema([]arrow.Field{{Name: "c", Type: column.DataType(), Nullable: true}}, nil)
		to := arrow.NewSchema([]arrow.Field{{Name: "c", Type: arrow.BinaryTypes.String, Nullable: true}}, nil)
		f, err := fitColumns(to, from, nil, WriteOptions{})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var came int64
		for rec, err := range f.records(Rows{Schema: from, Len: rows, Records: func(yield func(arrow.Record, error) bool) {
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
