package parquetio

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
)

// Batches of Read have at most this many rows, and fewer if rows are wide.
const (
	batchRows  = 64 << 10
	batchBytes = 32 << 20
)

// Read streams columns of a row group in row order. A record is lent until the next step: its buffers are used again.
func (f *File) Read(ctx context.Context, rg int, columns []int) iter.Seq2[arrow.Record, error] {
	return func(yield func(arrow.Record, error) bool) {
		r, err := f.open(rg, columns, true)
		if err != nil {
			yield(nil, err)
			return
		}
		defer r.close()
		step := f.step(rg, columns)
		for left := f.RowGroupRows(rg); left > 0; {
			if err := ctx.Err(); err != nil {
				yield(nil, err)
				return
			}
			n := min(left, step)
			rec, err := r.next(int(n))
			if err != nil {
				yield(nil, err)
				return
			}
			more := yield(rec, nil)
			rec.Release()
			if !more {
				return
			}
			left -= n
		}
		if err := r.atEnd(); err != nil {
			yield(nil, err)
		}
	}
}

// step is the number of rows of a batch, by the average width that the footer gives.
func (f *File) step(rg int, columns []int) int64 {
	var bytes int64
	for _, c := range columns {
		for _, leaf := range leafIndexes(f.columns[c]) {
			bytes += f.chunk(rg, leaf).TotalUncompressedSize
		}
	}
	rows := max(1, f.RowGroupRows(rg))
	return min(batchRows, max(256, batchBytes/max(1, bytes/rows)))
}

// Gather returns columns of the given rows of a row group, in fresh memory. rows ascend and are inside the row group.
func (f *File) Gather(ctx context.Context, rg int, rows []int64, columns []int) (arrow.Record, error) {
	r, err := f.open(rg, columns, false)
	if err != nil {
		return nil, err
	}
	defer r.close()
	arrays := make([]arrow.Array, 0, len(columns))
	defer func() {
		for _, a := range arrays {
			a.Release()
		}
	}()
	for _, c := range r.columns {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		err := f.guard(rg, c.node.name, func() error {
			a, err := c.gather(rows)
			if err == nil {
				arrays = append(arrays, a)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return array.NewRecord(r.schema, arrays, int64(len(rows))), nil
}

// reader reads some columns of one row group.
type reader struct {
	file    *File
	rg      int
	columns []*columnReader
	schema  *arrow.Schema
	reuse   bool
}

// columnReader reads one column of the table: a flat one by pages, a nested one by rows.
type columnReader struct {
	node   *node
	flat   column
	pages  *pages
	nested *nested
	at     int // row of the current page that comes next
}

func (f *File) open(rg int, columns []int, reuse bool) (*reader, error) {
	r := &reader{file: f, rg: rg, reuse: reuse}
	fields := make([]arrow.Field, len(columns))
	chunks := f.file.RowGroups()[rg].ColumnChunks()
	for i, c := range columns {
		n := f.columns[c]
		fields[i] = f.schema.Field(c)
		for _, leaf := range leafIndexes(n) {
			if err := f.checkChunk(rg, n, leaf); err != nil {
				r.close()
				return nil, err
			}
		}
		err := f.guard(rg, n.name, func() error {
			reader := &columnReader{node: n}
			if n.kind != leafNode {
				reader.nested = newNested(n, chunks)
			} else {
				var err error
				if reader.flat, err = newColumn(n, f.chunk(rg, n.leaf).Type); err != nil {
					return err
				}
				reader.pages = openPages(chunks[n.leaf], f.RowGroupRows(rg))
			}
			r.columns = append(r.columns, reader)
			return nil
		})
		if err != nil {
			r.close()
			return nil, err
		}
	}
	r.schema = arrow.NewSchema(fields, nil)
	return r, nil
}

func (r *reader) close() {
	for _, c := range r.columns {
		if c.nested != nil {
			c.nested.close()
		} else {
			c.pages.close()
		}
	}
}

// next reads the next n rows of every column.
func (r *reader) next(n int) (arrow.Record, error) {
	arrays := make([]arrow.Array, 0, len(r.columns))
	defer func() {
		for _, a := range arrays {
			a.Release()
		}
	}()
	for _, c := range r.columns {
		err := r.file.guard(r.rg, c.node.name, func() error {
			a, err := c.read(n, r.reuse)
			if err == nil {
				arrays = append(arrays, a)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return array.NewRecord(r.schema, arrays, int64(n)), nil
}

// atEnd checks that no column has more values than its row group has rows.
func (r *reader) atEnd() error {
	for _, c := range r.columns {
		err := r.file.guard(r.rg, c.node.name, func() error {
			if c.nested != nil {
				for _, l := range c.nested.order {
					if v, err := l.peek(); err != nil || v != nil {
						return errors.Join(err, errTooMany)
					}
				}
				return nil
			}
			if c.at < c.pages.current.rows {
				return errTooMany
			}
			if err := c.pages.next(); !errors.Is(err, io.EOF) {
				return errors.Join(err, errTooMany)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

var errTooMany = errors.New("the column chunk has more values than its row group has rows")

func (c *columnReader) read(n int, reuse bool) (arrow.Array, error) {
	if c.nested != nil {
		for range n {
			if err := c.nested.row(); err != nil {
				return nil, err
			}
		}
		return c.nested.finish(n)
	}
	for n > 0 {
		if c.at == c.pages.current.rows {
			if err := c.pages.next(); err != nil {
				return nil, ended(err)
			}
			c.at = 0
		}
		take := min(n, c.pages.current.rows-c.at)
		if err := c.flat.appendRange(&c.pages.current, c.at, c.at+take); err != nil {
			return nil, err
		}
		c.at += take
		n -= take
	}
	return c.flat.finish(reuse)
}

func (c *nested) finish(n int) (arrow.Array, error) {
	a := c.builder.NewArray()
	if a.Len() != n {
		a.Release()
		return nil, fmt.Errorf("%d rows came of %d", a.Len(), n)
	}
	return a, nil
}

// gather appends single rows: runs of neighbours at once, pages without any skipped.
func (c *columnReader) gather(rows []int64) (arrow.Array, error) {
	if c.nested != nil {
		return c.gatherNested(rows)
	}
	for i := 0; i < len(rows); {
		if err := c.pages.seek(rows[i]); err != nil {
			return nil, err
		}
		g, first := &c.pages.current, c.pages.first
		for i < len(rows) && rows[i] < first+int64(g.rows) {
			run := 1
			for i+run < len(rows) && rows[i+run] == rows[i]+int64(run) && rows[i+run] < first+int64(g.rows) {
				run++
			}
			at := int(rows[i] - first)
			if err := c.flat.appendRange(g, at, at+run); err != nil {
				return nil, err
			}
			i += run
		}
	}
	return c.flat.finish(false)
}

func (c *columnReader) gatherNested(rows []int64) (arrow.Array, error) {
	var at int64
	for _, row := range rows {
		for ; at < row; at++ {
			if err := c.nested.skip(); err != nil {
				return nil, err
			}
		}
		if err := c.nested.row(); err != nil {
			return nil, err
		}
		at++
	}
	return c.nested.finish(len(rows))
}
