package flightsvc

import (
	"iter"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/flightd/flightd/internal/arrowsize"
	"github.com/flightd/flightd/internal/concat"
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
	return b.bytes+size <= batchBytes && b.rows+rec.NumRows() <= maxBatchRows && concat.Fit(b.records[0], rec)
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
	batch, err := concat.Records(b.records)
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
