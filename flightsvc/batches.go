package flightsvc

import (
	"iter"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/flightd/flightd/internal/arrowsize"
)

// Sizes of answer batches. Two MiB moves fastest through gRPC, and stays below the four that Go clients accept.
const (
	batchBytes    = 2 << 20
	maxBatchBytes = 4<<20 - 64<<10 // the rest is for the header
	maxBatchRows  = 64 << 10
)

// batches cuts records to batch size and puts small neighbours together. What it yields is lent until the next step.
func batches(records iter.Seq2[arrow.Record, error]) iter.Seq2[arrow.Record, error] {
	return func(yield func(arrow.Record, error) bool) {
		var few bundle
		defer few.drop()
		flush := func() bool { return few.flush(yield) }
		for rec, err := range records {
			if err != nil {
				yield(nil, err)
				return
			}
			size := arrowsize.Rows(rec)
			small := size < batchBytes/2 && rec.NumRows() < maxBatchRows/2
			if (!small || !few.fits(rec, size)) && !flush() {
				return
			}
			if small && rec.NumRows() > 0 {
				few.add(rec, size)
				continue
			}
			for piece := range pieces(rec, size) {
				more := yield(piece, nil)
				piece.Release()
				if !more {
					return
				}
			}
		}
		flush()
	}
}

// bundle is a run of records that will become one batch.
type bundle struct {
	records []arrow.Record
	rows    int64
	bytes   int64
}

// fits reports whether a record may be put to those that are there.
func (b *bundle) fits(rec arrow.Record, size int64) bool {
	if len(b.records) == 0 {
		return true
	}
	return b.bytes+size <= batchBytes && b.rows+rec.NumRows() <= maxBatchRows && concatenates(b.records[0], rec)
}

func (b *bundle) add(rec arrow.Record, size int64) {
	rec.Retain()
	b.records = append(b.records, rec)
	b.rows += rec.NumRows()
	b.bytes += size
}

// flush yields what is there, as one batch.
func (b *bundle) flush(yield func(arrow.Record, error) bool) bool {
	defer b.drop()
	switch len(b.records) {
	case 0:
		return true
	case 1:
		return yield(b.records[0], nil)
	}
	batch, err := concatenate(b.records)
	if err != nil {
		return yield(nil, err)
	}
	defer batch.Release()
	return yield(batch, nil)
}

func (b *bundle) drop() {
	for _, rec := range b.records {
		rec.Release()
	}
	*b = bundle{records: b.records[:0]}
}

// concatenates reports whether the columns of two records of one schema can be put together.
func concatenates(a, b arrow.Record) bool {
	for i, col := range a.Columns() {
		if d, ok := col.(*array.Dictionary); ok {
			if d.Data().Dictionary() != b.Column(i).Data().Dictionary() {
				return false
			}
		} else if !plain(col.DataType()) {
			return false
		}
	}
	return true
}

// plain says which types v15 puts together well: it has no unions, and merges nested dictionaries at a cost that nothing
// bounds.
func plain(t arrow.DataType) bool {
	switch t.ID() {
	case arrow.DICTIONARY, arrow.SPARSE_UNION, arrow.DENSE_UNION, arrow.EXTENSION:
		return false
	}
	if nested, ok := t.(arrow.NestedType); ok {
		for _, f := range nested.Fields() {
			if !plain(f.Type) {
				return false
			}
		}
	}
	return true
}

func concatenate(records []arrow.Record) (arrow.Record, error) {
	schema := records[0].Schema()
	columns := make([]arrow.Array, len(schema.Fields()))
	var rows int64
	for i := range columns {
		col, err := concatenateColumn(records, i)
		if err != nil {
			return nil, err
		}
		defer col.Release()
		columns[i], rows = col, int64(col.Len())
	}
	return array.NewRecord(schema, columns, rows), nil
}

// concatenateColumn puts the pieces of a column together; those of a dictionary column share their dictionary.
func concatenateColumn(records []arrow.Record, i int) (arrow.Array, error) {
	pieces := make([]arrow.Array, len(records))
	for j, rec := range records {
		pieces[j] = rec.Column(i)
	}
	first, ok := pieces[0].(*array.Dictionary)
	if !ok {
		return array.Concatenate(pieces, memory.DefaultAllocator)
	}
	for j, p := range pieces {
		pieces[j] = p.(*array.Dictionary).Indices()
	}
	indices, err := array.Concatenate(pieces, memory.DefaultAllocator)
	if err != nil {
		return nil, err
	}
	defer indices.Release()
	return array.NewDictionaryArray(first.DataType(), indices, first.Dictionary()), nil
}

// pieces cuts a record of the given size into batches of about batchBytes and at most maxBatchRows; one row may be
// larger than any limit.
func pieces(rec arrow.Record, size int64) iter.Seq[arrow.Record] {
	return func(yield func(arrow.Record) bool) {
		rows := rec.NumRows()
		step := int64(maxBatchRows)
		if size > batchBytes+batchBytes/4 {
			step = min(step, max(1, rows*batchBytes/size))
		}
		for lo := int64(0); lo < rows; {
			n := min(step, rows-lo)
			piece := rec.NewSlice(lo, lo+n)
			for n > 1 && arrowsize.Rows(piece) > maxBatchBytes {
				piece.Release()
				n /= 2
				piece = rec.NewSlice(lo, lo+n)
			}
			if !yield(piece) {
				return
			}
			lo += n
		}
	}
}
