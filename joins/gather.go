package joins

import (
	"context"
	"fmt"
	"math"
	"sync/atomic"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"github.com/flightd/flightd/internal/arrowsize"
)

// gathered holds the feature rows that won, each once, and says for every entity row where its own is.
type gathered struct {
	records []arrow.Record
	refs    []Ref      // entity row (of the range) -> row in records
	widths  []rowWidth // of records, once somebody has asked
	null    int64      // bytes that an entity row without a feature row takes in the answer
	memory  *holding
	bytes   atomic.Int64 // reserved in memory
}

func (g *gathered) release() {
	for _, rec := range g.records {
		if rec != nil {
			rec.Release()
		}
	}
	g.memory.release(g.bytes.Load())
}

// fetch is how the winners' features are had: from the table by position, or from the copies that the stream kept. What
// it fetches is reserved in the call's budget; more than limit bytes is a tooWide error, and nothing is kept.
type fetch func(ctx context.Context, winners []Position, limit int64) (*gathered, error)

// tooWide says that a range of entity rows has more bytes of features than may be held at once.
type tooWide struct{ perRow int64 }

func (e tooWide) Error() string {
	return fmt.Sprintf("features of about %d bytes for each entity row are more than can be held at once", e.perRow)
}

// probeRows is how many rows are fetched first, to see how wide they are: dictionaries make a footer's sizes useless.
const probeRows = 4096

// wideRow is what a row may take in its types alone without being called wide: 4096 of them make 16 MiB.
const wideRow = 4 << 10

// rowsAtOnce is how many rows each of some threads may hold, whatever is in them: most, or fewer if their types alone take so
// many bytes that this would not do.
func (o Options) rowsAtOnce(most int, perRow int64, threads int) int {
	bytes := max(o.gatherBytes()/int64(threads), wideRow*int64(most))
	return int(max(1, min(int64(most), bytes/max(1, perRow))))
}

// fetchByPosition asks the table: the winners are sorted by position, and each part is asked for its rows in pieces that
// a limit on memory allows.
func (c *call) fetchByPosition(v *boundView, table Gatherer) fetch {
	return func(ctx context.Context, winners []Position, limit int64) (*gathered, error) {
		sorted := sortWinners(winners)
		g := &gathered{refs: make([]Ref, len(winners)), memory: c.memory}
		for i := range g.refs {
			g.refs[i] = nullRef
		}
		f := &fetcher{table: table, columns: v.featureColumns(), g: g, limit: limit, entityRows: int64(len(winners))}
		threads := c.options.threads()
		rest := f.cut(sorted, c.options.rowsAtOnce(probeRows, v.nullBytes(), 1), 1)
		err := f.fetch(ctx, 1)
		if err == nil && len(rest) > 0 {
			perRow := max(1, g.bytes.Load()/int64(len(f.pieces[0].rows)))
			least := int64(c.options.rowsAtOnce(probeRows, v.nullBytes(), threads))
			f.cut(rest, int(min(maxPieceRows, max(least, limit/8/perRow))), math.MaxInt)
			err = f.fetch(ctx, threads)
		}
		if err != nil {
			g.release()
			return nil, err
		}
		if c.options.Trace != nil {
			for _, p := range f.pieces {
				c.options.Trace.Fetched += int64(len(p.rows))
			}
		}
		return g, nil
	}
}

// maxPieceRows bounds the rows of one request to a table.
const maxPieceRows = 128 << 10

// fetcher fetches rows of a table in pieces: runs of ascending rows of one part.
type fetcher struct {
	table      Gatherer
	columns    []string
	g          *gathered
	limit      int64
	entityRows int64
	pieces     []piece
	closed     int // pieces that have been fetched
}

type piece struct {
	part int
	rows []int64
}

// cut makes up to n pieces of at most size rows of the sorted winners, notes where each winner's row will be, and returns
// the winners that are left.
func (f *fetcher) cut(sorted []winner, size, n int) []winner {
	for len(sorted) > 0 {
		w := sorted[0]
		last := len(f.pieces) - 1
		same := last >= 0 && f.pieces[last].part == w.position.Part()
		again := same && f.pieces[last].rows[len(f.pieces[last].rows)-1] == w.position.Row()
		if !again && (!same || last < f.closed || len(f.pieces[last].rows) >= size) {
			if n--; n < 0 {
				return sorted
			}
			f.pieces = append(f.pieces, piece{part: w.position.Part()})
			last++
		}
		p := &f.pieces[last]
		if !again {
			p.rows = append(p.rows, w.position.Row())
		}
		f.g.refs[w.entity] = Ref{Chunk: int32(last), Row: int32(len(p.rows) - 1)}
		sorted = sorted[1:]
	}
	return nil
}

// fetch asks the table for the pieces that have not been fetched, several at once.
func (f *fetcher) fetch(ctx context.Context, threads int) error {
	from := f.closed
	todo := f.pieces[from:]
	f.closed = len(f.pieces)
	f.g.records = append(f.g.records, make([]arrow.Record, len(todo))...)
	var next, rows atomic.Int64
	work := newWorkers(ctx)
	for range min(threads, len(todo)) {
		work.start(func(ctx context.Context) error {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(todo) {
					return nil
				}
				rec, err := f.table.Gather(ctx, todo[i].part, todo[i].rows, f.columns)
				if err != nil {
					return err
				}
				f.g.records[from+i] = rec
				size := arrowsize.Record(rec)
				if held := f.g.bytes.Load(); held+size > f.limit && f.entityRows > 1 {
					return tooWide{(held + size) / max(1, rows.Load()+rec.NumRows())}
				}
				if err := f.g.memory.reserve(ctx, size); err != nil {
					return err
				}
				f.g.bytes.Add(size)
				rows.Add(rec.NumRows())
			}
		})
	}
	return work.wait()
}

// winner pairs a feature row with the entity row that it belongs to.
type winner struct {
	position Position
	entity   int32
}

// sortWinners lists the winners by position: a radix sort, one pass for each byte that is not the same everywhere.
func sortWinners(winners []Position) []winner {
	list := make([]winner, 0, len(winners))
	var differ Position
	for i, p := range winners {
		if p != noWinner {
			list = append(list, winner{p, int32(i)})
			differ |= p ^ list[0].position
		}
	}
	other := make([]winner, len(list))
	for shift := 0; shift < 64; shift += 8 {
		if differ>>shift&0xff == 0 {
			continue
		}
		var count [256]int
		for _, w := range list {
			count[byte(w.position>>shift)]++
		}
		at := 0
		for i, n := range count {
			count[i] = at
			at += n
		}
		for _, w := range list {
			b := byte(w.position >> shift)
			other[count[b]] = w
			count[b]++
		}
		list, other = other, list
	}
	return list
}

// featureColumns are the source columns of the view's features, each once.
func (v *boundView) featureColumns() []string {
	var columns []string
	seen := make(map[string]bool)
	for _, f := range v.Features {
		if !seen[f.Source] {
			seen[f.Source] = true
			columns = append(columns, f.Source)
		}
	}
	return columns
}

// answerBytes is the size of the features of entity rows [lo, hi) in an answer, where a feature row is as often as it is
// referred to: exact for texts and lists, of which one may be as long as all others together.
func (g *gathered) answerBytes(lo, hi int) (n int64) {
	if g.widths == nil {
		g.widths = make([]rowWidth, len(g.records))
		for i, rec := range g.records {
			g.widths[i] = widthOf(rec)
		}
	}
	for _, ref := range g.refs[lo:hi] {
		if ref == nullRef {
			n += g.null
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

// rowWidth is what the rows of a record take.
type rowWidth struct {
	texts []array.BinaryLike
	lists []func(lo, hi int64) int64 // and structs in which there are some
	mean  int64                      // of all other columns
}

func widthOf(rec arrow.Record) (w rowWidth) {
	for _, col := range rec.Columns() {
		switch col := col.(type) {
		case array.BinaryLike:
			w.texts = append(w.texts, col)
			w.mean += 4
		case *array.Dictionary:
			w.mean += 4 // the dictionary travels once
		default:
			if arrowsize.Varies(col.DataType()) {
				w.lists = append(w.lists, arrowsize.Span(col))
			} else {
				w.mean += arrowsize.Array(col) / max(1, rec.NumRows())
			}
		}
	}
	return w
}

// nullBytes is what columns of a table take in a row if nothing is found for it: the least that they take at all.
func nullBytes(t Table, columns []string) (n int64) {
	for _, name := range columns {
		if f, ok := t.Schema().FieldsByName(name); ok {
			n += arrowsize.NullBytes(decoded(f[0].Type), 1)
		}
	}
	return n
}

func (v *boundView) nullBytes() int64 { return nullBytes(v.Table, v.featureColumns()) }

// take builds the feature columns of entity rows [lo, hi) of the gathered range.
func (g *gathered) take(v *boundView, lo, hi int) ([]arrow.Array, error) {
	columns := make([]arrow.Array, 0, len(v.Features))
	chunks := make([]arrow.Array, len(g.records))
	for _, f := range v.Features {
		for i, rec := range g.records {
			chunks[i] = rec.Column(rec.Schema().FieldIndices(f.Source)[0])
		}
		source, err := sourceField(v.View, "feature", f.Source)
		if err != nil {
			return columns, err
		}
		column, err := Take(source.Type, chunks, g.refs[lo:hi])
		if err != nil {
			return columns, err
		}
		columns = append(columns, column)
	}
	return columns, nil
}
