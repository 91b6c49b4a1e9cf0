package joins

import (
	"context"
	"fmt"
	"slices"
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

// gathering says how many rows are asked of a table at once. Tests change it.
var gathering = struct{ probe, piece, settle int }{
	probe:  4096,      // at first, to see how wide they are: dictionaries make a footer's sizes useless
	piece:  128 << 10, // at most
	settle: 64 << 10,  // at least for columns to be settled: fewer stay in a core's cache however they are looked up
}

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
		threads := c.options.threads()
		won, err := rowsByPart(ctx, winners, threads)
		if err != nil {
			return nil, err
		}
		g := &gathered{refs: make([]Ref, len(winners)), memory: c.memory}
		for i := range g.refs {
			g.refs[i] = nullRef
		}
		f := &fetcher{table: table, columns: v.featureColumns(), g: g, limit: limit, entityRows: int64(len(winners))}
		perRow := v.nullBytes()
		err = f.fetchAll(ctx, won, c.options.rowsAtOnce(gathering.probe, perRow, 1), c.options.rowsAtOnce(gathering.probe, perRow, threads), threads)
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
		if fetched >= gathering.settle && 4*fetched >= len(winners) {
			err = g.settle(ctx, threads)
		}
		if err != nil {
			g.release()
			return nil, err
		}
		return g, nil
	}
}

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

// fetchAll fetches rows of parts, a few alone first to see how many may be had at once, of each at least so many, and notes
// where each entity row's is.
func (f *fetcher) fetchAll(ctx context.Context, won []partRows, few, least, threads int) error {
	if len(won) == 0 {
		return nil
	}
	few = min(few, len(won[0].rows))
	f.pieces = append(f.pieces, piece{won[0].part, won[0].rows[:few]})
	if err := f.fetch(ctx, 1); err != nil {
		return err
	}
	perRow := max(1, f.g.bytes.Load()/int64(few))
	rows := 0
	for _, p := range won {
		rows += len(p.rows)
	}
	if bytes := perRow * int64(rows); bytes/2 > f.limit && f.entityRows > 1 { // far from it, however wide those few were
		return tooWide{bytes / f.entityRows}
	}
	size := int(min(int64(gathering.piece), max(int64(least), f.limit/8/perRow)))
	first := make([]int, len(won)) // piece with which those of a part begin
	skip := few
	for i, p := range won {
		first[i] = len(f.pieces)
		for rows := range slices.Chunk(p.rows[skip:], size) {
			f.pieces = append(f.pieces, piece{p.part, rows})
		}
		skip = 0
	}
	if err := f.fetch(ctx, threads); err != nil {
		return err
	}
	return inParallel(ctx, threads, len(won), func(i int) error {
		p, skip := &won[i], 0
		if i == 0 {
			skip = few
		}
		for j, entity := range p.entities {
			rank := int(p.rank[j])
			if rank < skip {
				f.g.refs[entity] = Ref{0, int32(rank)}
				continue
			}
			rank -= skip
			f.g.refs[entity] = Ref{int32(first[i]) + int32(uint32(rank)/uint32(size)), int32(uint32(rank) % uint32(size))}
		}
		return nil
	})
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
