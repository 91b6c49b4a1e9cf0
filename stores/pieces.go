package stores

import (
	"context"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/flightd/flightd/internal/arrowsize"
	"github.com/flightd/flightd/joins"
)

// runInPieces joins entity rows whose memory can be given back as they come, some at a time: those that were too many for
// memory lie on disk.
func (p *historicalPlan) runInPieces(ctx context.Context, job *RetrievalJob, yield func(arrow.Record, error) bool) {
	piece, at, joined := newPiece(p), int64(0), false
	for rec, err := range p.request.Entities.Records {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			piece.give()
			yield(nil, err)
			return
		}
		lo, hi := p.request.Share.Range(p.request.Entities.Len)
		from, to := max(lo, at)-at, min(hi, at+rec.NumRows())-at
		if at += rec.NumRows(); from < to {
			piece.add(rec.NewSlice(from, to))
		}
		if p.options.EntityBytes > 0 && piece.bytes >= p.options.EntityBytes {
			if joined = true; !piece.join(ctx, job, yield) {
				return
			}
		}
	}
	if len(piece.records) > 0 || !joined { // no rows have an answer, too
		piece.join(ctx, job, yield)
	}
}

// piece is a run of entity rows that are joined at once.
type piece struct {
	plan    *historicalPlan
	merger  merger
	records []arrow.Record
	bytes   int64
}

func newPiece(p *historicalPlan) *piece {
	return &piece{plan: p, merger: merger{budget: p.options.Budget}}
}

func (p *piece) add(rec arrow.Record) {
	p.records = append(p.records, rec)
	p.bytes += arrowsize.Rows(rec)
}

// give gives the memory of the rows back.
func (p *piece) give() {
	for _, rec := range p.records {
		rec.Release()
	}
	p.records, p.bytes = nil, 0
	p.merger.close()
	p.plan.request.Entities.Release()
}

// join joins the rows and gives their memory back. It reports whether more are wanted.
func (p *piece) join(ctx context.Context, job *RetrievalJob, yield func(arrow.Record, error) bool) bool {
	defer p.give()
	var err error
	if p.records, err = p.merger.merge(ctx, p.records); err != nil {
		yield(nil, err)
		return false
	}
	e := joins.Entities{Schema: p.plan.request.Entities.Schema, Records: p.records, Time: p.plan.time}
	return p.plan.join(ctx, job, e, yield)
}
