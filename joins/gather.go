package joins

import (
	"context"
	"fmt"
	"math"
	"sync/atomic"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/flightd/flightd/internal/arrowsize"
)

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
			g.split(f.records)
			g.release()
			return nil, err
		}
		fetched := 0
		for _, p := range f.pieces {
			fetched += len(p.rows)
		}
		if c.options.Trace != nil {
			c.options.Trace.Fetched += int64(fetched)
		}
		g.split(f.records)
		if fetched >= settleRows && 2*fetched >= len(winners) {
			err = g.settle(ctx, threads)
		}
		if err != nil {
			g.release()
			return nil, err
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
	records    []arrow.Record // of the pieces
	closed     int            // pieces that have been fetched
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
	f.records = append(f.records, make([]arrow.Record, len(todo))...)
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
				f.records[from+i] = rec
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
