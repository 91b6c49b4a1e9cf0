package stores

import (
	"context"
	"iter"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/flightd/flightd/joins"
)

// RetrievalJob is a planned request. Its schema is known; its rows are read when Records is ranged over, not before.
type RetrievalJob struct {
	schema  *arrow.Schema
	records func(context.Context) iter.Seq2[arrow.Record, error]

	// Total is the number of rows in the answer, -1 if that takes reading to know.
	Total int64
	// Report is the match report of a historical request that asked for one, complete when Records has ended; else nil.
	Report *joins.Report
	// Trace says what the job read and how, complete when Records has ended.
	Trace *joins.Trace
}

// NewJob makes a job of a schema and a function that streams the answer. A store that plans requests itself calls it.
func NewJob(schema *arrow.Schema, records func(context.Context) iter.Seq2[arrow.Record, error]) *RetrievalJob {
	return &RetrievalJob{schema: schema, records: records, Total: -1, Trace: new(joins.Trace)}
}

// Schema is the schema of the answer.
func (j *RetrievalJob) Schema() *arrow.Schema { return j.schema }

// Records streams the answer. A record is lent until the next step, but its buffers are not written again, so who wants
// to keep one retains it. The sequence ends after the first error; when ctx ends, that error is ctx's.
func (j *RetrievalJob) Records(ctx context.Context) iter.Seq2[arrow.Record, error] {
	return func(yield func(arrow.Record, error) bool) {
		for rec, err := range j.records(ctx) {
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if !yield(rec, nil) {
				return
			}
		}
	}
}
