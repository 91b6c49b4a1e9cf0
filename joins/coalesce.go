package joins

import (
	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"github.com/flightd/flightd/internal/arrowsize"
)

// coalescer puts small neighbouring records together: a folder of thousands of small files must not become an answer of
// thousands of small messages. Records of some size pass through as they are.
type coalescer struct {
	schema *arrow.Schema
	yield  func(arrow.Record) bool
	held   []arrow.Record
	rows   int64
	bytes  int64
}

// smallBytes is the size below which a record waits for its neighbours.
const smallBytes = batchBytes / 4

// add takes a record, which stays the caller's. It returns false when the consumer has enough.
func (c *coalescer) add(rec arrow.Record) (more bool, err error) {
	bytes := arrowsize.Record(rec)
	if len(c.held) == 0 && bytes >= smallBytes {
		return c.yield(rec), nil
	}
	if c.bytes+bytes > batchBytes || c.rows+rec.NumRows() > maxBatchRows {
		if more, err := c.flush(); !more || err != nil {
			return more, err
		}
		return c.add(rec)
	}
	rec.Retain()
	c.held = append(c.held, rec)
	c.rows += rec.NumRows()
	c.bytes += bytes
	return true, nil
}

// flush yields what waits.
func (c *coalescer) flush() (more bool, err error) {
	if len(c.held) == 0 {
		return true, nil
	}
	defer c.drop()
	if len(c.held) == 1 {
		return c.yield(c.held[0]), nil
	}
	runs := make([]run, len(c.held))
	for i, rec := range c.held {
		runs[i] = run{chunk: int32(i), n: rec.NumRows()}
	}
	columns := make([]arrow.Array, 0, len(c.schema.Fields()))
	defer func() { releaseAll(columns) }()
	for i, f := range c.schema.Fields() {
		chunks := make([]arrow.Array, len(c.held))
		for j, rec := range c.held {
			chunks[j] = rec.Column(i)
		}
		column, err := takeRunsOf(f.Type, chunks, runs)
		if err != nil {
			return false, err
		}
		columns = append(columns, column)
	}
	rec := array.NewRecord(c.schema, columns, c.rows)
	defer rec.Release()
	return c.yield(rec), nil
}

func (c *coalescer) drop() {
	for _, rec := range c.held {
		rec.Release()
	}
	c.held, c.rows, c.bytes = c.held[:0], 0, 0
}
