package joins

import (
	"context"
	"sync/atomic"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"github.com/flightd/flightd/internal/arrowsize"
)

// gathered holds the feature rows that won, each once, and says for every entity row where its own is.
type gathered struct {
	columns [][]arrow.Array // source column of a feature -> pieces; none once the column is settled
	settled []arrow.Array   // source column -> the features of all entity rows of the range; nil: take looks them up
	refs    []Ref           // entity row (of the range) -> piece and row in it
	widths  []rowWidth      // of pieces, once somebody has asked
	fixed   int64           // bytes of an entity row's settled columns
	null    int64           // bytes that an entity row without a feature row takes in the answer
	memory  *holding
	bytes   atomic.Int64 // reserved in memory
}

// split takes over the columns of records; those that were never fetched are nil.
func (g *gathered) split(records []arrow.Record) {
	for _, rec := range records {
		if rec == nil {
			continue
		}
		if g.columns == nil {
			g.columns, g.settled = make([][]arrow.Array, rec.NumCols()), make([]arrow.Array, rec.NumCols())
		}
		for i, col := range rec.Columns() {
			col.Retain()
			g.columns[i] = append(g.columns[i], col)
		}
		rec.Release()
	}
}

func (g *gathered) release() {
	for i := range g.columns {
		g.drop(i)
		if g.settled[i] != nil {
			g.settled[i].Release()
		}
	}
	g.memory.release(g.bytes.Load())
}

// drop lets go of the pieces of a column.
func (g *gathered) drop(column int) {
	for _, piece := range g.columns[column] {
		piece.Release()
	}
	g.columns[column] = nil
}

// settle looks up the features of all entity rows of the range, one column after the other, where values have a fixed
// width: while it is one column, what is looked up stays in the cache. A batch is then a slice.
func (g *gathered) settle(ctx context.Context, threads int) error {
	var columns []int
	for i, pieces := range g.columns {
		if isNumber(pieces[0].DataType()) {
			columns = append(columns, i)
			g.fixed += arrowsize.NullBytes(pieces[0].DataType(), 1)
		}
	}
	validity, nulls := foundOf(g.refs)
	return inParallel(ctx, threads, len(columns), func(i int) error {
		pieces := g.columns[columns[i]]
		t := pieces[0].DataType()
		size := arrowsize.NullBytes(t, int64(len(g.refs)))
		if err := g.memory.reserve(ctx, size); err != nil {
			return err
		}
		g.bytes.Add(size)
		g.settled[columns[i]] = takeNumbers(t, pieces, g.refs, validity, nulls)
		var freed int64
		for _, piece := range pieces {
			freed += arrowsize.Array(piece)
		}
		g.drop(columns[i])
		g.bytes.Add(-freed)
		g.memory.release(freed)
		return nil
	})
}

// isNumber says whether values of a type have a fixed width and nothing below them.
func isNumber(t arrow.DataType) bool {
	switch t.(type) {
	case *arrow.DictionaryType, arrow.ExtensionType, arrow.NestedType:
		return false
	}
	_, fixed := t.(arrow.FixedWidthDataType)
	return fixed
}

// answerBytes is the size of the features of entity rows [lo, hi) in an answer, where a feature row is as often as it is
// referred to: exact for texts and lists, of which one may be as long as all others together.
func (g *gathered) answerBytes(lo, hi int) int64 {
	n := int64(hi-lo) * g.fixed
	if g.widths == nil {
		g.measure()
	}
	if len(g.widths) == 0 && (g.settled != nil || g.null == 0) {
		return n
	}
	null := max(0, g.null-g.fixed)
	for _, ref := range g.refs[lo:hi] {
		if ref == nullRef {
			n += null
			continue
		}
		w := &g.widths[ref.Chunk]
		n += w.mean
		for _, col := range w.texts {
			n += int64(col.ValueLen(int(ref.Row)))
		}
		for _, of := range w.lists {
			n += of(int64(ref.Row), int64(ref.Row)+1)
		}
	}
	return n
}

// rowWidth is what the rows of a piece take.
type rowWidth struct {
	texts []array.BinaryLike
	lists []func(lo, hi int64) int64 // and structs in which there are some
	mean  int64                      // of all other columns
}

// measure finds the widths of the columns that are not settled.
func (g *gathered) measure() {
	g.widths = []rowWidth{}
	for _, pieces := range g.columns {
		for i, piece := range pieces {
			if i == len(g.widths) {
				g.widths = append(g.widths, rowWidth{})
			}
			g.widths[i].add(piece)
		}
	}
}

func (w *rowWidth) add(a arrow.Array) {
	switch a := a.(type) {
	case array.BinaryLike:
		w.texts = append(w.texts, a)
		w.mean += 4
	case *array.Dictionary:
		w.mean += 4 // the dictionary travels once
	default:
		if arrowsize.Varies(a.DataType()) {
			w.lists = append(w.lists, arrowsize.Span(a))
		} else {
			w.mean += arrowsize.Array(a) / max(1, int64(a.Len()))
		}
	}
}

// take builds the feature columns of entity rows [lo, hi) of the gathered range.
func (g *gathered) take(v *boundView, lo, hi int) ([]arrow.Array, error) {
	columns := make([]arrow.Array, 0, len(v.Features))
	at := make(map[string]int)
	for i, name := range v.featureColumns() {
		at[name] = i
	}
	for _, f := range v.Features {
		source, err := sourceField(v.View, "feature", f.Source)
		if err != nil {
			return columns, err
		}
		i := at[f.Source]
		if g.settled != nil && g.settled[i] != nil {
			columns = append(columns, array.NewSlice(g.settled[i], int64(lo), int64(hi)))
			continue
		}
		var pieces []arrow.Array
		if g.columns != nil {
			pieces = g.columns[i]
		}
		column, err := Take(source.Type, pieces, g.refs[lo:hi])
		if err != nil {
			return columns, err
		}
		columns = append(columns, column)
	}
	return columns, nil
}
