package parquetio

import (
	"context"
	"errors"
	"io"
	"iter"
	"math"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"github.com/flightd/flightd/internal/arrowsize"
)

// Batches of Read have at most so many rows, and fewer if rows are wide. Those that are lent are smaller: what is done with
// them, column by column, then stays in a core's nearest cache.
const (
	batchRows  = 64 << 10
	lentRows   = 16 << 10
	batchBytes = 32 << 20
	leastRows  = 64
	leastBytes = 64 << 10 // of a column whose width is not known before it is read
)

// Read streams columns of a row group in row order. A record is lent until the next step: its buffers are used again.
func (f *File) Read(ctx context.Context, rg int, columns []int) iter.Seq2[arrow.Record, error] {
	return f.ReadRows(ctx, rg, 0, f.RowGroupRows(rg), columns)
}

// ReadRows is Read of the rows lo <= row < hi, which are there and more than none. Pages of flat columns that are before them are not decompressed.
func (f *File) ReadRows(ctx context.Context, rg int, lo, hi int64, columns []int) iter.Seq2[arrow.Record, error] {
	return f.readRows(ctx, rg, lo, hi, columns, true)
}

// GiveRows is ReadRows, but the buffers of a record are not used again.
func (f *File) GiveRows(ctx context.Context, rg int, lo, hi int64, columns []int) iter.Seq2[arrow.Record, error] {
	return f.readRows(ctx, rg, lo, hi, columns, false)
}

func (f *File) readRows(ctx context.Context, rg int, lo, hi int64, columns []int, reuse bool) iter.Seq2[arrow.Record, error] {
	return func(yield func(arrow.Record, error) bool) {
		r, err := f.open(ctx, rg, columns, aheadInSequence)
		if err != nil {
			yield(nil, err)
			return
		}
		defer r.close()
		r.reuse = reuse
		if lo > 0 {
			if err := r.skip(ctx, lo); err != nil {
				yield(nil, err)
				return
			}
		}
		step := f.step(rg, columns, r.batch)
		if reuse {
			step = min(step, lentRows)
		}
		for left := hi - lo; left > 0; {
			if err := ctx.Err(); err != nil {
				yield(nil, err)
				return
			}
			rec, err := r.next(int(min(left, step)))
			if err != nil {
				yield(nil, err)
				return
			}
			left -= rec.NumRows()
			more := yield(rec, nil)
			rec.Release()
			if !more {
				return
			}
		}
		if hi < f.RowGroupRows(rg) {
			return
		}
		if err := r.atEnd(); err != nil {
			yield(nil, err)
		}
	}
}

// step is the number of rows of a batch of so many bytes, by the width of its rows in memory.
func (f *File) step(rg int, columns []int, batch int64) int64 {
	bits := int64(0)
	for _, c := range columns {
		for _, leaf := range f.columns[c].leaves() {
			bits += f.leafBits(rg, leaf)
		}
	}
	return min(batchRows, max(leastRows, 8*batch/max(1, bits)))
}

// leafBits is about what a row of a leaf takes. What the footer says of values counts only where their type does not: those
// that are all the same take nothing in the file.
func (f *File) leafBits(rg int, leaf *node) int64 {
	bits := arrowsize.NullBits(leaf.typ)
	if _, fixed := leaf.typ.(arrow.FixedWidthDataType); fixed && !leaf.nested {
		return bits
	}
	stored := max(0, min(f.chunk(rg, leaf.leaf).uncompressed, math.MaxInt32<<8))
	return bits + 8*stored/max(1, f.RowGroupRows(rg))
}

// Gather returns columns of the given rows of a row group, in fresh memory. rows ascend and are inside the row group.
func (f *File) Gather(ctx context.Context, rg int, rows []int64, columns []int) (arrow.Record, error) {
	r, err := f.open(ctx, rg, columns, aheadByPosition)
	if err != nil {
		return nil, err
	}
	defer r.close()
	defer faultsAsPanics()()
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
		c.close() // one column's pages at a time
	}
	return array.NewRecord(r.schema, arrays, int64(len(rows))), nil
}

// reader reads some columns of one row group.
type reader struct {
	file    *File
	rg      int
	columns []*columnReader
	schema  *arrow.Schema
	held    *held
	batch   int64 // bytes
	reuse   bool  // the buffers of what was read before
}

// columnReader reads one column of the table: a flat one by pages, a nested one by rows.
type columnReader struct {
	node   *node
	leaf   *leafReader // of a flat column
	flat   column
	nested *nested
	ready  arrow.Array // rows that were read and not passed on yet, or nil
	enough int         // bytes of a batch
}

func (f *File) open(ctx context.Context, rg int, columns []int, ahead int) (*reader, error) {
	r := &reader{file: f, rg: rg, held: newHeld(ctx, len(columns))}
	r.batch = min(batchBytes, r.held.free/8) // of several batches at once: that which is read, and copies on their way
	fields := make([]arrow.Field, len(columns))
	enough := max(leastBytes, int(r.batch)/max(1, len(columns)))
	for i, c := range columns {
		n := f.columns[c]
		fields[i] = f.schema.Field(c)
		err := f.guard(rg, n.name, func() error {
			for _, leaf := range n.leaves() {
				if err := f.checkChunk(rg, leaf); err != nil {
					return err
				}
			}
			c, err := f.openColumn(rg, n, r.held, ahead, enough)
			if err == nil {
				r.columns = append(r.columns, c)
			}
			return err
		})
		if err != nil {
			r.close()
			return nil, err
		}
	}
	r.schema = arrow.NewSchema(fields, nil)
	return r, nil
}

func (f *File) openColumn(rg int, n *node, h *held, ahead, enough int) (*columnReader, error) {
	c := &columnReader{node: n, enough: enough}
	rows := f.RowGroupRows(rg)
	if n.kind == leafNode {
		c.leaf = newLeafReader(f.from, f.size-8, n, f.chunk(rg, n.leaf), rows, h, ahead)
		var err error
		c.flat, err = newColumn(n, enough, h)
		return c, err
	}
	c.nested = &nested{root: n}
	for _, leaf := range n.leaves() {
		column, err := newColumn(leaf, nestedMax, h)
		if err != nil {
			return nil, err
		}
		c.nested.leaves = append(c.nested.leaves, &nestedLeaf{
			leafReader: newLeafReader(f.from, f.size-8, leaf, f.chunk(rg, leaf.leaf), rows, h, ahead), column: column})
	}
	c.nested.pad(n, 0)
	return c, nil
}

func (r *reader) close() {
	for _, c := range r.columns {
		c.close()
	}
	r.held.close()
}

func (c *columnReader) close() {
	if c.nested != nil {
		c.nested.close()
	} else {
		c.leaf.close()
	}
	if c.ready != nil {
		c.ready.Release()
		c.ready = nil
	}
}

// next returns the next n rows of every column, or fewer: as many as one of the columns has read once it had enough.
func (r *reader) next(n int) (arrow.Record, error) {
	for _, c := range r.columns {
		if c.ready != nil {
			n = min(n, c.ready.Len())
		}
	}
	for _, c := range r.columns {
		if c.ready != nil {
			continue
		}
		err := r.file.guard(r.rg, c.node.name, func() (err error) {
			c.ready, err = c.read(n, r.reuse)
			return err
		})
		if err != nil {
			return nil, err
		}
		n = min(n, c.ready.Len())
	}
	arrays := make([]arrow.Array, len(r.columns))
	for i, c := range r.columns {
		arrays[i] = c.take(n)
	}
	defer func() {
		for _, a := range arrays {
			a.Release()
		}
	}()
	return array.NewRecord(r.schema, arrays, int64(n)), nil
}

// skip passes over the first n rows of every column, of which there are more.
func (r *reader) skip(ctx context.Context, n int64) error {
	for _, c := range r.columns {
		if err := r.file.guard(r.rg, c.node.name, func() error { return c.skip(ctx, n) }); err != nil {
			return err
		}
	}
	return nil
}

func (c *columnReader) skip(ctx context.Context, n int64) error {
	if c.nested == nil {
		if err := c.leaf.locate(); err != nil {
			return err
		}
		return c.leaf.goTo(n)
	}
	for n > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		rows, err := c.nested.read(int(min(n, batchRows)), c.enough)
		if err != nil {
			return err
		}
		n -= int64(rows.Len())
		rows.Release()
	}
	return nil
}

// take removes n rows from those that are ready.
func (c *columnReader) take(n int) arrow.Array {
	all := c.ready
	if n == all.Len() {
		c.ready = nil
		return all
	}
	c.ready = array.NewSlice(all, int64(n), int64(all.Len()))
	defer all.Release()
	return array.NewSlice(all, 0, int64(n))
}

// read reads n rows, or fewer.
func (c *columnReader) read(n int, reuse bool) (arrow.Array, error) {
	if c.nested != nil {
		return c.nested.read(n, c.enough)
	}
	if _, err := c.leaf.read(c.flat, n); err != nil {
		return nil, err
	}
	return c.flat.finish(reuse)
}

// atEnd checks that no column has more values than its row group has rows.
func (r *reader) atEnd() error {
	for _, c := range r.columns {
		err := r.file.guard(r.rg, c.node.name, func() error {
			if c.nested == nil {
				if c.leaf.left > 0 || c.leaf.next < c.leaf.page.slots {
					return errTooMany
				}
				return nil
			}
			for _, l := range c.nested.leaves {
				if l.entry < l.page.entries {
					return errTooMany
				}
				if err := l.advancePage(); !errors.Is(err, errLast) && !errors.Is(err, io.EOF) {
					return errors.Join(err, errTooMany)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// gather returns single rows.
func (c *columnReader) gather(rows []int64) (arrow.Array, error) {
	if c.nested != nil {
		for _, l := range c.nested.leaves {
			if err := l.locate(); err != nil {
				return nil, err
			}
		}
		return c.nested.pick(rows)
	}
	c.leaf.mapped(len(rows))
	if err := c.leaf.locate(); err != nil {
		return nil, err
	}
	if err := c.leaf.pick(c.flat, rows); err != nil {
		return nil, err
	}
	return c.flat.finish(false)
}
