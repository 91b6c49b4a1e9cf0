package csvstore

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"sync"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/flightd/flightd/stores"
)

// batchRows is how many rows a record has.
const batchRows = 4096

// Store reads the CSV files of one folder. It does the least that a store must do; the joins come from flightd.
type Store struct {
	root      *os.Root
	separator rune
	closing   sync.Once
}

// Schema reports the columns of a file: its header.
func (s *Store) Schema(_ context.Context, src stores.DataSource) (*arrow.Schema, error) {
	f, err := s.open(src)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.schema, nil
}

// Scan streams the rows of a file in their order. The file is opened when the sequence is ranged over, and closed when
// the range ends, however it ends.
func (s *Store) Scan(ctx context.Context, src stores.DataSource, sel stores.Selection) iter.Seq2[arrow.Record, error] {
	return func(yield func(arrow.Record, error) bool) {
		f, err := s.open(src)
		if err != nil {
			yield(nil, err)
			return
		}
		defer f.Close()
		schema, positions, err := project(f.schema, sel.Columns)
		if err != nil {
			yield(nil, err)
			return
		}
		builder := array.NewRecordBuilder(memory.DefaultAllocator, schema)
		defer builder.Release()
		for more := true; more; {
			if err = ctx.Err(); err == nil {
				more, err = f.fill(builder, positions)
			}
			if err != nil {
				yield(nil, err)
				return
			}
			rec := builder.NewRecord()
			more = yield(rec, nil) && more
			rec.Release() // a record is lent until the next step
		}
	}
}

// Close closes the folder. Calls after it fail with fs.ErrClosed, which is what os.Root answers then.
func (s *Store) Close() (err error) {
	s.closing.Do(func() { err = s.root.Close() })
	return err
}

// file is an open CSV file behind its header.
type file struct {
	*os.File
	name   string
	lines  *csv.Reader
	schema *arrow.Schema
}

func (s *Store) open(src stores.DataSource) (*file, error) {
	opened, err := s.root.Open(src.String()) // a missing file is an fs.ErrNotExist already
	if err != nil {
		return nil, err
	}
	f := &file{File: opened, name: src.String(), lines: csv.NewReader(opened)}
	f.lines.Comma, f.lines.ReuseRecord = s.separator, true
	header, err := f.lines.Read()
	if err != nil {
		err = fmt.Errorf("%w: %s has no header: %w", stores.ErrDataLoss, f.name, err)
	} else {
		f.schema, err = parseHeader(header)
	}
	if err != nil {
		opened.Close()
		return nil, err
	}
	return f, nil
}

// fill appends the lines of one record to the builder and says whether there may be more.
func (f *file) fill(b *array.RecordBuilder, positions []int) (more bool, err error) {
	for range batchRows {
		line, err := f.lines.Read()
		if errors.Is(err, io.EOF) {
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("%w: %s: %w", stores.ErrDataLoss, f.name, err)
		}
		for i, at := range positions {
			if err := appendField(b.Field(i), line[at]); err != nil {
				row, _ := f.lines.FieldPos(at)
				return false, fmt.Errorf("%w: %s, line %d, column %q: %w",
					stores.ErrDataLoss, f.name, row, f.schema.Field(at).Name, err)
			}
		}
	}
	return true, nil
}
