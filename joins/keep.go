package joins

import (
	"context"
	"slices"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"github.com/flightd/flightd/internal/arrowsize"
)

// keeper holds copies of the feature rows that are best so far, for a table that cannot be asked for a row later. After
// each batch the rows that became a slot's best are copied; when their number has doubled, those that are no longer
// anybody's best are dropped. So memory is bounded by the entity rows, as it is for tables that can be asked.
type keeper struct {
	table    Table
	columns  []string
	features []int              // index of each of columns in the records of the stream
	best     func() []candidate // the best rows so far
	improved []int32            // rows of the current batch that became somebody's best
	stored   []stored           // ascending by position
	rows     int64
	kept     int64 // rows that were still somebody's best when the last others were dropped
	budget   *holding
}

func newKeeper(table Table, columns []string, best func() []candidate, budget *holding) *keeper {
	return &keeper{table: table, columns: columns, best: best, budget: budget}
}

// reads adds the kept columns to those that the stream reads anyway.
func (k *keeper) reads(columns []string) []string {
	columns = slices.Clone(columns)
	for _, c := range k.columns {
		at := slices.Index(columns, c)
		if at < 0 {
			at = len(columns)
			columns = append(columns, c)
		}
		k.features = append(k.features, at)
	}
	return columns
}

// stored is one copied record and the positions of its rows.
type stored struct {
	record    arrow.Record
	positions []Position
}

// keepFloor is the number of rows below which nothing is dropped.
const keepFloor = 64 << 10

// matchAndKeep matches a table that cannot gather: its parts one after the other, features read along.
func (v *boundView) matchAndKeep(ctx context.Context, opt Options, m matching, parts []int, budget *holding) (*best, int64, *keeper, error) {
	found := newBest(v, opt.Report != nil, true)
	r := v.reading()
	r.sink = found
	s := newStream(r, m.blocks, 0)
	k := newKeeper(v.Table, v.featureColumns(), found.all, budget)
	sel := v.selection(opt)
	sel.Columns = k.reads(sel.Columns)
	for _, part := range parts {
		err := s.part(ctx, part, sel, func(rec arrow.Record, first int64) error {
			if err := s.flush(); err != nil { // now, while the features of the rows that became somebody's best are here
				return err
			}
			k.improve(found.improved, first)
			found.improved = found.improved[:0]
			return k.keep(ctx, rec, part, first)
		})
		if err != nil {
			k.release()
			return nil, 0, nil, err
		}
	}
	return found, s.seen, k, nil
}

// all lists the best rows of all slots.
func (b *best) all() []candidate {
	all := make([]candidate, len(b.tag))
	for slot := range all {
		all[slot] = b.at(uint32(slot))
	}
	return all
}

// improve notes the rows of a batch, which begins at a row of its part, that became somebody's best.
func (k *keeper) improve(tags []uint64, first int64) {
	for _, tag := range tags {
		c := candidate{tag: tag}
		k.improved = append(k.improved, int32(c.position().Row()-first))
	}
}

// keep copies the rows of a batch that became somebody's best.
func (k *keeper) keep(ctx context.Context, rec arrow.Record, part int, first int64) error {
	slices.Sort(k.improved)
	rows := slices.Compact(k.improved)
	k.improved = k.improved[:0]
	if len(rows) == 0 {
		return nil
	}
	refs, positions := make([]Ref, len(rows)), make([]Position, len(rows))
	for i, row := range rows {
		refs[i], positions[i] = Ref{0, row}, At(part, first+int64(row))
	}
	columns := make([]arrow.Array, len(k.features))
	for i, at := range k.features {
		columns[i] = rec.Column(at)
	}
	if err := k.store(ctx, [][]arrow.Array{columns}, refs, positions); err != nil {
		return err
	}
	if k.rows > keepFloor && k.rows > 2*k.kept {
		return k.compact(ctx)
	}
	return nil
}

// store copies rows of chunks (each a list of columns) into a new record.
func (k *keeper) store(ctx context.Context, chunks [][]arrow.Array, refs []Ref, positions []Position) error {
	columns := make([]arrow.Array, len(k.columns))
	fields := make([]arrow.Field, len(k.columns))
	defer func() {
		for _, c := range columns {
			if c != nil {
				c.Release()
			}
		}
	}()
	for i, name := range k.columns {
		f, _ := k.table.Schema().FieldsByName(name)
		of := make([]arrow.Array, len(chunks))
		for c := range chunks {
			of[c] = chunks[c][i]
		}
		var err error
		if columns[i], err = Take(f[0].Type, of, refs); err != nil {
			return err
		}
		fields[i] = arrow.Field{Name: name, Type: columns[i].DataType(), Nullable: true}
	}
	rec := array.NewRecord(arrow.NewSchema(fields, nil), columns, int64(len(refs)))
	if err := k.budget.reserve(ctx, arrowsize.Record(rec)); err != nil {
		rec.Release()
		return err
	}
	k.stored = append(k.stored, stored{rec, positions})
	k.rows += int64(len(refs))
	return nil
}

// compact keeps only the rows that are still the best of some slot, in one record.
func (k *keeper) compact(ctx context.Context) error {
	old := k.stored
	refs, positions := k.refs(k.live())
	chunks := make([][]arrow.Array, len(old))
	var freed int64
	for i, s := range old {
		chunks[i] = s.record.Columns()
		freed += arrowsize.Record(s.record)
	}
	k.stored, k.rows, k.kept = nil, 0, int64(len(positions))
	err := k.store(ctx, chunks, refs, positions)
	for _, s := range old {
		s.record.Release()
	}
	k.budget.release(freed)
	return err
}

// live lists the positions that are some slot's best, ascending, each once.
func (k *keeper) live() []Position {
	var live []Position
	best := k.best()
	for i := range best {
		if best[i].tag != 0 {
			live = append(live, best[i].position())
		}
	}
	slices.Sort(live)
	return slices.Compact(live)
}

// refs finds the stored rows of ascending positions.
func (k *keeper) refs(ascending []Position) ([]Ref, []Position) {
	refs := make([]Ref, len(ascending))
	chunk, row := 0, 0
	for i, p := range ascending {
		for k.stored[chunk].positions[row] != p {
			if row++; row == len(k.stored[chunk].positions) {
				chunk, row = chunk+1, 0
			}
		}
		refs[i] = Ref{int32(chunk), int32(row)}
	}
	return refs, ascending
}

// fetch gives the winners from the copies, which are in memory and paid for already.
func (k *keeper) fetch(ctx context.Context, winners []Position, _ int64) (*gathered, error) {
	g := &gathered{refs: make([]Ref, len(winners))}
	for i := range g.refs {
		g.refs[i] = nullRef
	}
	won, err := rowsByPart(ctx, winners, 1)
	if err != nil {
		return nil, err
	}
	refs, _ := k.refs(positionsOf(won))
	for _, p := range won {
		for i, entity := range p.entities {
			g.refs[entity] = refs[p.rank[i]]
		}
		refs = refs[len(p.rows):]
	}
	var records []arrow.Record
	for _, s := range k.stored {
		s.record.Retain()
		records = append(records, s.record)
	}
	g.split(records)
	return g, nil
}

func (k *keeper) release() {
	for _, s := range k.stored {
		s.record.Release()
	}
	k.stored = nil
}
