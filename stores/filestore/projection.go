package filestore

import (
	"context"
	"fmt"
	"slices"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
)

// projection makes records of selected columns out of what one file has of them.
type projection struct {
	path     string
	schema   *arrow.Schema
	fromFile []int // columns to read of the file, each once
	columns  []projected
}

// projected is one column of a projection.
type projected struct {
	read  int      // index in fromFile; notInFile
	value constant // otherwise
}

// project prepares reading columns from one of the table's files.
func (t *table) project(file int, columns []string) (*projection, error) {
	p := &projection{path: t.files[file].path}
	fields := make([]arrow.Field, len(columns))
	for i, name := range columns {
		at, ok := t.index[name]
		if !ok {
			return nil, t.noColumn(name)
		}
		fields[i] = t.schema.Field(at)
		column := projected{read: notInFile}
		if inFile := t.columns[file][at]; inFile == notInFile {
			column.value = t.folder(at, file)
		} else if column.read = slices.Index(p.fromFile, inFile); column.read < 0 {
			column.read = len(p.fromFile)
			p.fromFile = append(p.fromFile, inFile)
		}
		p.columns = append(p.columns, column)
	}
	p.schema = arrow.NewSchema(fields, nil)
	return p, nil
}

// record makes one record from a record of the file's columns. It is the caller's, to be released.
func (p *projection) record(read arrow.Record, rows int64) (arrow.Record, error) {
	columns := make([]arrow.Array, 0, len(p.columns))
	defer func() {
		for _, c := range columns {
			c.Release()
		}
	}()
	for i, c := range p.columns {
		typ := p.schema.Field(i).Type
		if c.read == notInFile {
			columns = append(columns, c.value.array(typ, int(rows)))
			continue
		}
		col := read.Column(c.read)
		if arrow.TypeEqual(col.DataType(), typ) {
			col.Retain()
			columns = append(columns, col)
			continue
		}
		converted, err := convert(col, typ)
		if err != nil {
			return nil, fmt.Errorf("%q, column %q: %w", p.path, p.schema.Field(i).Name, err)
		}
		columns = append(columns, converted)
	}
	return array.NewRecord(p.schema, columns, rows), nil
}

// pass lends one record to the caller.
func (p *projection) pass(read arrow.Record, yield func(arrow.Record) bool) (more bool, err error) {
	rec, err := p.record(read, read.NumRows())
	if err != nil {
		return false, err
	}
	defer rec.Release()
	return yield(rec), nil
}

// constantRows is the size of records that are not read from a file.
const constantRows = 1 << 16

// constants lends records of columns of which the file has none.
func (p *projection) constants(ctx context.Context, rows int64, yield func(arrow.Record) bool) error {
	for rows > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := min(rows, constantRows)
		rec, err := p.record(nil, n)
		if err != nil {
			return err
		}
		more := yield(rec)
		rec.Release()
		if !more {
			return nil
		}
		rows -= n
	}
	return nil
}
