package filestore

import (
	"cmp"
	"context"
	"io/fs"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/flightd/flightd/internal/fault"
	"github.com/flightd/flightd/internal/parquetio"
	"github.com/flightd/flightd/joins"
)

// openFile is a file in a listing: the footer, which listings share, the folders on the way, and what the listing saw.
type openFile struct {
	*file
	partitions []partition
	listed     fs.FileInfo
}

// table is one listing of a source: its files in the order of semantics P12, cut into row groups.
// It implements joins.Gatherer, joins.Giver, joins.Slicer, joins.Ranger and joins.Identified.
type table struct {
	*layout
	files []openFile
	parts []part
	gone  []replaced // files of the listing that others stand for
}

type part struct {
	file     int
	rowGroup int
	rows     int64
}

// writtenAt is the footer's key for the time in ns at which flightd wrote a part.
const writtenAt = "flightd.written_at"

// writtenOf is when flightd wrote a file; 0, the oldest, for files from elsewhere.
func writtenOf(f *parquetio.File) int64 {
	text, _ := f.Metadata(writtenAt)
	at, err := strconv.ParseInt(text, 10, 64)
	if err != nil || at < 0 {
		return 0
	}
	return at
}

// inOrder sorts files by the position of their rows.
func inOrder(files []openFile) {
	slices.SortFunc(files, func(a, b openFile) int {
		return cmp.Or(cmp.Compare(a.written, b.written), strings.Compare(a.path, b.path))
	})
}

func newTable(files []openFile) (*table, error) {
	inOrder(files)
	l, err := unify(files)
	if err != nil {
		return nil, err
	}
	t := &table{layout: l, files: files}
	for i, f := range files {
		for rg := range f.footer.RowGroups() {
			t.parts = append(t.parts, part{file: i, rowGroup: rg, rows: f.footer.RowGroupRows(rg)})
		}
	}
	if len(t.parts) > joins.MaxParts {
		return nil, fault.New(fault.Exhausted, "the files have %d row groups together, more than %d", len(t.parts), joins.MaxParts)
	}
	return t, nil
}

// Schema implements joins.Table.
func (t *table) Schema() *arrow.Schema { return t.schema }

// Parts implements joins.Table: one for each row group.
func (t *table) Parts() []joins.Part {
	parts := make([]joins.Part, len(t.parts))
	for i, p := range t.parts {
		parts[i] = joins.Part{Rows: p.rows, Name: t.files[p.file].path + "#" + strconv.Itoa(p.rowGroup)}
	}
	return parts
}

// Read implements joins.Table.
func (t *table) Read(ctx context.Context, index int, sel joins.Selection) iter.Seq2[arrow.Record, error] {
	return func(yield func(arrow.Record, error) bool) {
		if err := t.read(ctx, index, 0, t.parts[index].rows, sel.Columns, false, func(rec arrow.Record) bool { return yield(rec, nil) }); err != nil {
			yield(nil, err)
		}
	}
}

// Give implements joins.Giver.
func (t *table) Give(ctx context.Context, index int, sel joins.Selection) iter.Seq2[arrow.Record, error] {
	return func(yield func(arrow.Record, error) bool) {
		if err := t.read(ctx, index, 0, t.parts[index].rows, sel.Columns, true, func(rec arrow.Record) bool { return yield(rec, nil) }); err != nil {
			yield(nil, err)
		}
	}
}

// ReadRows implements joins.Slicer.
func (t *table) ReadRows(ctx context.Context, index int, lo, hi int64, sel joins.Selection) iter.Seq2[arrow.Record, error] {
	return func(yield func(arrow.Record, error) bool) {
		if err := t.read(ctx, index, lo, hi, sel.Columns, false, func(rec arrow.Record) bool { return yield(rec, nil) }); err != nil {
			yield(nil, err)
		}
	}
}

// read passes on the records of some rows of a part until the caller has enough; they are lent, or given.
func (t *table) read(ctx context.Context, index int, lo, hi int64, columns []string, give bool, yield func(arrow.Record) bool) error {
	p := t.parts[index]
	out, err := t.project(p.file, columns)
	if err != nil {
		return err
	}
	f := t.files[p.file]
	if len(out.fromFile) == 0 { // all from folders or nowhere: there is nothing to read
		_, err := out.pass(ctx, nil, hi-lo, yield)
		return err
	}
	if err := f.pin(); err != nil {
		return err
	}
	defer f.unpin()
	read := f.footer.ReadRows
	if give {
		read = f.footer.GiveRows
	}
	for rec, err := range read(ctx, p.rowGroup, lo, hi, out.fromFile) {
		if err != nil {
			return f.explain(err)
		}
		more, err := out.pass(ctx, rec, rec.NumRows(), yield)
		if err != nil || !more {
			return err
		}
	}
	return nil
}

// Gather implements joins.Gatherer.
func (t *table) Gather(ctx context.Context, index int, rows []int64, columns []string) (arrow.Record, error) {
	p := t.parts[index]
	out, err := t.project(p.file, columns)
	if err != nil {
		return nil, err
	}
	if len(out.fromFile) == 0 {
		return out.only(ctx, nil, int64(len(rows)))
	}
	f := t.files[p.file]
	if err := f.pin(); err != nil {
		return nil, err
	}
	defer f.unpin()
	rec, err := f.footer.Gather(ctx, p.rowGroup, rows, out.fromFile)
	if err != nil {
		return nil, f.explain(err)
	}
	defer rec.Release()
	if err := f.unchanged(); err != nil {
		return nil, err
	}
	return out.only(ctx, rec, rec.NumRows())
}

// Bytes implements joins.Weigher: as they are compressed in the file.
func (t *table) Bytes(index int, columns []string) (n int64) {
	p := t.parts[index]
	for _, name := range columns {
		if at, ok := t.index[name]; ok && t.columns[p.file][at] != notInFile {
			n += t.files[p.file].footer.Bytes(p.rowGroup, t.columns[p.file][at])
		}
	}
	return n
}

// Range implements joins.Ranger: from the statistics of the row group, or exactly from the folder.
func (t *table) Range(index int, column string) (lo, hi int64, ok bool) {
	p := t.parts[index]
	at, ok := t.index[column]
	if !ok {
		return 0, 0, false
	}
	field, inFile := t.schema.Field(at), t.columns[p.file][at]
	if inFile == notInFile {
		value := t.folder(at, p.file)
		if !value.valid {
			return 1, 0, true
		}
		return value.integer, value.integer, field.Type.ID() != arrow.STRING
	}
	f := t.files[p.file].footer
	if lo, hi, ok = f.Range(p.rowGroup, inFile); !ok || lo > hi {
		return lo, hi, ok
	}
	factor := perUnit(f.Schema().Field(inFile).Type, field.Type)
	if factor <= 1 {
		return lo, hi, true
	}
	lo, lok := times(lo, factor)
	hi, hok := times(hi, factor)
	return lo, hi, lok && hok
}

// folder is the value that a column which is not in a file has there.
func (l *layout) folder(column, file int) constant {
	if first := len(l.from); column >= first {
		return l.folders[column-first].values[file]
	}
	return constant{}
}

// outside says whether no row of a part can be inside the selection's range.
func (t *table) outside(index int, sel joins.Selection) bool {
	if sel.Start.IsZero() && sel.End.IsZero() {
		return false
	}
	lo, hi, ok := t.Range(index, sel.Time)
	if !ok {
		return false
	}
	if lo > hi {
		return true
	}
	typ, ok := t.schema.Field(t.index[sel.Time]).Type.(*arrow.TimestampType)
	if !ok {
		return false
	}
	return !sel.End.IsZero() && instant(lo, typ.Unit).After(sel.End) ||
		!sel.Start.IsZero() && instant(hi, typ.Unit).Before(sel.Start)
}

// instant is a timestamp as a time, over the whole range of int64.
func instant(v int64, unit arrow.TimeUnit) time.Time {
	perSecond := int64(time.Second / unit.Multiplier())
	seconds, rest := v/perSecond, v%perSecond
	return time.Unix(seconds, rest*int64(unit.Multiplier()))
}
