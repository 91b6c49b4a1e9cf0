package filestore

import (
	"context"
	"fmt"
	"slices"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"github.com/flightd/flightd/internal/arrowsize"
	"github.com/flightd/flightd/internal/lent"
)

// projection makes records of selected columns out of what one file has of them.
type projection struct {
	path     string
	schema   *arrow.Schema
	fromFile []int // columns to read of the file, each once
	columns  []projected
	made     int64 // bits that a row takes in columns of which the file has no values
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
			p.makes(arrowsize.NullBits(fields[i].Type) + 8*int64(len(column.value.text)))
		} else if column.read = slices.Index(p.fromFile, inFile); column.read < 0 {
			column.read = len(p.fromFile)
			p.fromFile = append(p.fromFile, inFile)
		}
		if column.read != notInFile && t.files[file].footer.Schema().Field(p.fromFile[column.read]).Type.ID() == arrow.NULL {
			p.makes(arrowsize.NullBits(fields[i].Type))
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

// makes counts what one more column takes in each row, up to what there will not be memory for.
func (p *projection) makes(bits int64) {
	const most = 1 << 44
	p.made = min(most, p.made+bits)
}

// What is made up for absent columns comes in records of as many rows as have room in so many bytes, as it would from a file.
const (
	madeRows  = 1 << 16
	madeBytes = 32 << 20
)

// step is the number of rows of a record.
func (p *projection) step(ctx context.Context) int64 {
	bytes := int64(madeBytes)
	if m, ok := lent.From(ctx); ok {
		bytes = min(bytes, m.Free/8)
	}
	return max(1, min(madeRows, 8*bytes/max(1, p.made)))
}

// hold reserves what is made up for some rows, as far as it is more than a reader has. A row can be as large as it likes.
func (p *projection) hold(ctx context.Context, rows int64) (release func(), err error) {
	m, ok := lent.From(ctx)
	more := p.made/8*rows - m.Free
	if !ok || more <= 0 {
		return func() {}, nil
	}
	if err := m.Budget.Reserve(ctx, more); err != nil {
		return nil, fmt.Errorf("%q: columns that other files have: %w", p.path, err)
	}
	return func() { m.Budget.Release(more) }, nil
}

// pass lends records of a record of the file, nil if there is none, to the caller: one, or several if rows are wide.
func (p *projection) pass(ctx context.Context, read arrow.Record, rows int64, yield func(arrow.Record) bool) (more bool, err error) {
	step := p.step(ctx)
	for lo := int64(0); lo < rows; lo += step {
		if more, err = p.passOne(ctx, read, lo, min(rows, lo+step), yield); !more || err != nil {
			return false, err
		}
	}
	return true, nil
}

// passOne lends one record, of rows lo <= row < hi.
func (p *projection) passOne(ctx context.Context, read arrow.Record, lo, hi int64, yield func(arrow.Record) bool) (more bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	release, err := p.hold(ctx, hi-lo)
	if err != nil {
		return false, err
	}
	defer release()
	if read != nil {
		read = read.NewSlice(lo, hi)
		defer read.Release()
	}
	rec, err := p.record(read, hi-lo)
	if err != nil {
		return false, err
	}
	defer rec.Release()
	return yield(rec), nil
}

// only makes a record, which is the caller's to account for.
func (p *projection) only(ctx context.Context, read arrow.Record, rows int64) (arrow.Record, error) {
	release, err := p.hold(ctx, rows)
	if err != nil {
		return nil, err
	}
	defer release()
	return p.record(read, rows)
}
