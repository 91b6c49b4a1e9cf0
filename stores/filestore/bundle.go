package filestore

import (
	"context"
	"iter"
	"sort"
	"strconv"
	"strings"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"github.com/flightd/flightd/internal/arrowsize"
	"github.com/flightd/flightd/internal/concat"
	"github.com/flightd/flightd/joins"
)

// Many small writes leave many small files, and to read one of them costs much more than its rows do. So small files that
// follow each other are one part of a table together, and their rows are kept in memory for the calls that follow
// (residents).
const (
	smallFile   = 64 << 10 // bytes
	smallRows   = 4 << 10
	bundleBytes = 8 << 20 // of some columns of a bundle in memory, beyond which they are not kept
)

// bundling says how many small files there have to be so that they are put together, and how many at a time. Tests change it.
var bundling = struct{ from, files int }{16, 64}

// bundle is some parts of a table that follow each other.
type bundle struct {
	lo, hi int     // parts
	ends   []int64 // of each: the rows of the bundle up to its end
	files  []*file // nil: it is one part, read as it is
}

func (b *bundle) rows() int64 { return b.ends[len(b.ends)-1] }

// bundled is a table of which small files are put together.
type bundled struct {
	*table
	bundles []bundle
}

// bundle puts the small files of a table together, if there are many.
func (t *table) bundle() joins.Table {
	small := 0
	for _, p := range t.parts {
		if t.isSmall(p) {
			small++
		}
	}
	if small < bundling.from {
		return t
	}
	b := &bundled{table: t}
	for i, p := range t.parts {
		if n := len(b.bundles); n > 0 && t.isSmall(p) {
			if last := &b.bundles[n-1]; last.files != nil && len(last.files) < bundling.files {
				last.hi++
				last.ends = append(last.ends, last.rows()+p.rows)
				last.files = append(last.files, t.files[p.file].file)
				continue
			}
		}
		next := bundle{lo: i, hi: i + 1, ends: []int64{p.rows}}
		if t.isSmall(p) {
			next.files = []*file{t.files[p.file].file}
		}
		b.bundles = append(b.bundles, next)
	}
	return b
}

// isSmall says whether a part is a whole small file.
func (t *table) isSmall(p part) bool {
	f := t.files[p.file]
	return f.info.Size() <= smallFile && p.rows <= smallRows && f.footer.RowGroups() == 1
}

// Parts implements joins.Table.
func (b *bundled) Parts() []joins.Part {
	parts := make([]joins.Part, len(b.bundles))
	for i, g := range b.bundles {
		p := b.parts[g.lo]
		parts[i] = joins.Part{Rows: g.rows(), Name: b.files[p.file].path + "#" + strconv.Itoa(p.rowGroup), Files: len(g.files)}
	}
	return parts
}

// Read implements joins.Table.
func (b *bundled) Read(ctx context.Context, index int, sel joins.Selection) iter.Seq2[arrow.Record, error] {
	return b.ReadRows(ctx, index, 0, b.bundles[index].rows(), sel)
}

// Give implements joins.Giver.
func (b *bundled) Give(ctx context.Context, index int, sel joins.Selection) iter.Seq2[arrow.Record, error] {
	g := &b.bundles[index]
	return b.records(ctx, g, 0, g.rows(), sel, b.table.Give)
}

// ReadRows implements joins.Slicer.
func (b *bundled) ReadRows(ctx context.Context, index int, lo, hi int64, sel joins.Selection) iter.Seq2[arrow.Record, error] {
	g := &b.bundles[index]
	if g.files == nil {
		return b.table.ReadRows(ctx, g.lo, lo, hi, sel)
	}
	return b.records(ctx, g, lo, hi, sel, b.table.Read)
}

// records passes on rows of a bundle: those that are kept, or else those of its parts.
func (b *bundled) records(ctx context.Context, g *bundle, lo, hi int64, sel joins.Selection,
	read func(context.Context, int, joins.Selection) iter.Seq2[arrow.Record, error],
) iter.Seq2[arrow.Record, error] {
	return func(yield func(arrow.Record, error) bool) {
		kept, err := b.resident(ctx, g, sel.Columns)
		if err != nil {
			yield(nil, err)
			return
		}
		if kept != nil {
			defer kept.Release()
			some := kept.NewSlice(lo, hi)
			defer some.Release()
			yield(some, nil)
			return
		}
		at := int64(0)
		for part := g.lo; part < g.hi; part++ {
			for rec, err := range read(ctx, part, sel) {
				if err != nil {
					yield(nil, err)
					return
				}
				from, to := max(lo-at, 0), min(hi-at, rec.NumRows())
				at += rec.NumRows()
				if from >= to {
					continue
				}
				some := rec.NewSlice(from, to)
				more := yield(some, nil)
				some.Release()
				if !more {
					return
				}
			}
		}
	}
}

// Gather implements joins.Gatherer.
func (b *bundled) Gather(ctx context.Context, index int, rows []int64, columns []string) (arrow.Record, error) {
	g := &b.bundles[index]
	if g.files == nil || len(rows) == 0 {
		return b.table.Gather(ctx, g.lo, rows, columns)
	}
	kept, err := b.resident(ctx, g, columns)
	if err != nil {
		return nil, err
	}
	if kept != nil {
		defer kept.Release()
		return takeRows(kept, rows)
	}
	var some []arrow.Record
	defer func() {
		for _, rec := range some {
			rec.Release()
		}
	}()
	for len(rows) > 0 {
		at := sort.Search(len(g.ends), func(i int) bool { return g.ends[i] > rows[0] })
		n := sort.Search(len(rows), func(i int) bool { return rows[i] >= g.ends[at] })
		inPart, first := make([]int64, n), int64(0)
		if at > 0 {
			first = g.ends[at-1]
		}
		for i, row := range rows[:n] {
			inPart[i] = row - first
		}
		rec, err := b.table.Gather(ctx, g.lo+at, inPart, columns)
		if err != nil {
			return nil, err
		}
		some, rows = append(some, rec), rows[n:]
	}
	return concat.Records(some)
}

// takeRows copies rows of a record.
func takeRows(from arrow.Record, rows []int64) (arrow.Record, error) {
	refs := make([]joins.Ref, len(rows))
	for i, row := range rows {
		refs[i] = joins.Ref{Row: int32(row)}
	}
	columns := make([]arrow.Array, 0, from.NumCols())
	defer func() {
		for _, c := range columns {
			c.Release()
		}
	}()
	for i, f := range from.Schema().Fields() {
		c, err := joins.Take(f.Type, []arrow.Array{from.Column(i)}, refs)
		if err != nil {
			return nil, err
		}
		columns = append(columns, c)
	}
	return array.NewRecord(from.Schema(), columns, int64(len(rows))), nil
}

// resident is columns of all rows of a bundle, which are kept from now on if there is room; nil if they are too large, or if
// its files are too young to be known again. It is the caller's, to be released.
func (b *bundled) resident(ctx context.Context, g *bundle, columns []string) (arrow.Record, error) {
	cache := b.files[b.parts[g.lo].file].store.residents
	if len(columns) == 0 || !b.isSettled(g) {
		return nil, nil
	}
	fields := make([]arrow.Field, len(columns))
	for i, name := range columns {
		at, ok := b.index[name]
		if !ok {
			return nil, b.noColumn(name)
		}
		fields[i] = b.schema.Field(at)
	}
	arrays, missing := cache.find(g.files, fields)
	if len(missing) > 0 {
		read, err := b.whole(ctx, g, missing)
		if read == nil || err != nil {
			return nil, err
		}
		cache.keep(g.files, read)
		for i, f := range fields {
			if arrays[i] == nil {
				at := read.Schema().FieldIndices(f.Name)
				arrays[i] = read.Column(at[0])
			}
		}
	}
	return array.NewRecord(arrow.NewSchema(fields, nil), arrays, g.rows()), nil
}

// isSettled says whether the files of a bundle will be known again: whoever changes one changes its time.
func (b *bundled) isSettled(g *bundle) bool {
	for part := g.lo; part < g.hi; part++ {
		if !b.files[b.parts[part].file].isSettled() {
			return false
		}
	}
	return true
}

// whole reads columns of all rows of a bundle; nil if they are too large.
func (b *bundled) whole(ctx context.Context, g *bundle, columns []string) (arrow.Record, error) {
	var pieces []arrow.Record
	defer func() {
		for _, rec := range pieces {
			rec.Release()
		}
	}()
	bytes := int64(0)
	for part := g.lo; part < g.hi; part++ {
		for rec, err := range b.table.Give(ctx, part, joins.Selection{Columns: columns}) {
			if err != nil {
				return nil, err
			}
			if bytes += arrowsize.Record(rec); bytes > bundleBytes || len(pieces) > 0 && !concat.Fit(pieces[0], rec) {
				return nil, nil
			}
			rec.Retain()
			pieces = append(pieces, rec)
		}
	}
	if len(pieces) == 0 {
		return nil, nil
	}
	return concat.Records(pieces)
}

// Bytes implements joins.Weigher.
func (b *bundled) Bytes(index int, columns []string) (n int64) {
	for part := b.bundles[index].lo; part < b.bundles[index].hi; part++ {
		n += b.table.Bytes(part, columns)
	}
	return n
}

// Range implements joins.Ranger.
func (b *bundled) Range(index int, column string) (lo, hi int64, ok bool) {
	lo, hi = 1, 0
	for part := b.bundles[index].lo; part < b.bundles[index].hi; part++ {
		least, most, known := b.table.Range(part, column)
		switch {
		case !known:
			return 0, 0, false
		case least > most: // no value
		case lo > hi:
			lo, hi = least, most
		default:
			lo, hi = min(lo, least), max(hi, most)
		}
	}
	return lo, hi, true
}

// Identity implements joins.Identified.
func (b *bundled) Identity(index int) string {
	var all strings.Builder
	for part := b.bundles[index].lo; part < b.bundles[index].hi; part++ {
		one := b.table.Identity(part)
		if one == "" {
			return ""
		}
		all.WriteString(strconv.Itoa(len(one)))
		all.WriteByte(' ')
		all.WriteString(one)
	}
	return all.String()
}
