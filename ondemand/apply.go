package ondemand

import (
	"context"
	"errors"
	"iter"
	"slices"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"github.com/flightd/flightd/internal/arrowsize"
	"github.com/flightd/flightd/internal/fault"
)

// A batch is what a transformation sees at once: large enough that pandas pays, small enough that rows stream.
const (
	batchRows  = 64 << 10
	batchBytes = 16 << 20
)

// Apply streams the transformed records, in order and of as many rows as they came, cut where a record is larger than a
// batch or its outputs larger than a message; records without rows are left out. Nothing is started or read before the sequence is ranged over. A record is
// lent until the next step. The sequence ends after the first error; when ctx ends, that error is ctx's.
func (p *Pool) Apply(ctx context.Context, t *Transformation, records iter.Seq2[arrow.Record, error]) iter.Seq2[arrow.Record, error] {
	return func(yield func(arrow.Record, error) bool) {
		b := &batch{p: p, t: t, yield: yield, mostRows: batchRows, mostBytes: min(batchBytes, p.o.MaxMessage/2)}
		defer b.drop()
		for rec, err := range records {
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if !b.add(ctx, rec) {
				return
			}
		}
		b.flush(ctx)
	}
}

// batch collects records until there are enough for a worker.
type batch struct {
	p         *Pool
	t         *Transformation
	yield     func(arrow.Record, error) bool
	mostRows  int64
	mostBytes int64

	held  []arrow.Record
	rows  int64
	bytes int64
}

// add takes a record in, in pieces if it is large. It returns false when the sequence has ended.
func (b *batch) add(ctx context.Context, rec arrow.Record) bool {
	for lo := int64(0); lo < rec.NumRows(); {
		piece := b.piece(rec, lo)
		lo += piece.NumRows()
		size := arrowsize.Record(piece)
		if b.rows > 0 && (b.rows+piece.NumRows() > b.mostRows || b.bytes+size > b.mostBytes) && !b.flush(ctx) {
			piece.Release()
			return false
		}
		b.held = append(b.held, piece)
		b.rows, b.bytes = b.rows+piece.NumRows(), b.bytes+size
	}
	return true
}

// piece cuts the rows from lo that fit into a batch, one at least.
func (b *batch) piece(rec arrow.Record, lo int64) arrow.Record {
	n := min(rec.NumRows()-lo, b.mostRows)
	for {
		piece := rec.NewSlice(lo, lo+n)
		if n == 1 || arrowsize.Record(piece) <= b.mostBytes {
			return piece
		}
		piece.Release()
		n = (n + 1) / 2
	}
}

// flush transforms what is held and hands it on. It returns false when the sequence has ended.
func (b *batch) flush(ctx context.Context) bool {
	if b.rows == 0 {
		return true
	}
	outputs, err := b.transform(ctx)
	if large := (tooLarge{}); errors.As(err, &large) && b.rows > 1 {
		return b.again(ctx)
	}
	defer b.drop()
	if err != nil {
		b.yield(nil, err)
		return false
	}
	defer outputs.Release()
	lo := int64(0)
	for _, rec := range b.held {
		if !b.hand(rec, outputs, lo) {
			return false
		}
		lo += rec.NumRows()
	}
	return true
}

// again transforms what is held in halves, because the outputs of all at once (of embeddings, say) were too large. So it
// will be with the rows to come.
func (b *batch) again(ctx context.Context) bool {
	held := b.held
	defer func() {
		for _, rec := range held {
			rec.Release()
		}
	}()
	b.mostRows = b.rows / 2
	b.held, b.rows, b.bytes = nil, 0, 0
	for _, rec := range held {
		if !b.add(ctx, rec) {
			return false
		}
	}
	return b.flush(ctx)
}

// hand yields a record with its part of the outputs.
func (b *batch) hand(rec, outputs arrow.Record, lo int64) bool {
	part := outputs.NewSlice(lo, lo+rec.NumRows())
	defer part.Release()
	whole := array.NewRecord(b.t.out, slices.Concat(rec.Columns(), part.Columns()), rec.NumRows())
	defer whole.Release()
	return b.yield(whole, nil)
}

func (b *batch) drop() {
	for _, rec := range b.held {
		rec.Release()
	}
	b.held, b.rows, b.bytes = b.held[:0], 0, 0
}

// transform has a worker compute the outputs of what is held.
func (b *batch) transform(ctx context.Context) (arrow.Record, error) {
	sent, err := b.encode()
	if err != nil {
		return nil, err
	}
	w, err := b.p.take(ctx, b.t)
	if err != nil {
		return nil, err
	}
	out, broken, err := b.t.run(ctx, w, sent, b.rows, b.p.o)
	if !broken {
		b.p.give(w)
		return out, err
	}
	b.p.discard(w)
	if ctx.Err() == nil && b.p.isClosed() {
		err = errClosed
	}
	return nil, err
}

// encode is the message of what is held.
func (b *batch) encode() ([]byte, error) {
	plain := make([]arrow.Record, 0, len(b.held))
	defer func() {
		for _, rec := range plain {
			rec.Release()
		}
	}()
	for _, rec := range b.held {
		r, err := b.t.conform(rec)
		if err != nil {
			return nil, err
		}
		plain = append(plain, r)
	}
	sent, err := encode(b.t.sent, plain...)
	if need := int64(len(sent)) + b.t.overhead(); err == nil && need > b.p.o.MaxMessage {
		return nil, fault.New(fault.Exhausted, "%v: %d rows and the definitions are %d bytes, at most %d are sent to Python at once", b.t, b.rows, need, b.p.o.MaxMessage)
	}
	return sent, err
}
