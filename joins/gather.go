package joins

import (
	"context"
	"sync/atomic"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/flightd/flightd/internal/arrowsize"
)

// gathered holds the feature rows that won, each once, and says for every entity row where its own is.
type gathered struct {
	records []arrow.Record
	refs    []Ref // entity row (of the range) -> row in records
	bytes   int64
}

func (g *gathered) release() {
	for _, rec := range g.records {
		if rec != nil {
			rec.Release()
		}
	}
}

// fetch is how the winners' features are had: from the table by position, or from the copies that the stream kept.
type fetch func(ctx context.Context, winners []Position) (*gathered, error)

// fetchByPosition asks the table: the winners are sorted by position, and each part is asked once for all its rows.
func (v *boundView) fetchByPosition(table Gatherer, opt Options) fetch {
	return func(ctx context.Context, winners []Position) (*gathered, error) {
		sorted := sortWinners(winners)
		g := &gathered{refs: make([]Ref, len(winners))}
		for i := range g.refs {
			g.refs[i] = nullRef
		}
		var parts []int
		var rows [][]int64
		for _, w := range sorted {
			if len(parts) == 0 || parts[len(parts)-1] != w.position.Part() {
				parts, rows = append(parts, w.position.Part()), append(rows, nil)
			}
			last := len(parts) - 1
			if n := len(rows[last]); n == 0 || rows[last][n-1] != w.position.Row() {
				rows[last] = append(rows[last], w.position.Row())
			}
			g.refs[w.entity] = Ref{Chunk: int32(last), Row: int32(len(rows[last]) - 1)}
		}
		g.records = make([]arrow.Record, len(parts))
		columns := v.featureColumns()
		var next, size atomic.Int64
		work := newWorkers(ctx)
		for range min(opt.threads(), len(parts)) {
			work.start(func(ctx context.Context) error {
				for {
					i := int(next.Add(1)) - 1
					if i >= len(parts) {
						return nil
					}
					rec, err := table.Gather(ctx, parts[i], rows[i], columns)
					if err != nil {
						return err
					}
					g.records[i] = rec
					size.Add(arrowsize.Record(rec))
				}
			})
		}
		if err := work.wait(); err != nil {
			g.release()
			return nil, err
		}
		g.bytes = size.Load()
		if opt.Trace != nil {
			for _, r := range rows {
				opt.Trace.Matched += int64(len(r))
			}
		}
		return g, nil
	}
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
