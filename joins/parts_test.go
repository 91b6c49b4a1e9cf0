package joins_test

import (
	"context"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"github.com/flightd/flightd/joins"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// partsTable is a table of records in memory, each a part, read in batches of random size. What it lends is overwritten
// as soon as the next step is asked for, so that a reader who keeps a record without copying it reads rubbish.
type partsTable struct {
	schema *arrow.Schema // dictionaries decoded
	parts  []arrow.Record
	batch  int64 // greatest batch
	reads  atomic.Int64
	fail   func(part int, row int64) error // nil: never
	id     int64
}

var tables atomic.Int64

// newPartsTable cuts records into parts and decides how large batches are.
func newPartsTable(rng *rand.Rand, schema *arrow.Schema, records []arrow.Record) *partsTable {
	t := &partsTable{schema: decodedSchema(schema), batch: int64(1 + rng.IntN(9)), id: tables.Add(1)}
	for _, rec := range records {
		for rec.NumRows() > 0 {
			n := rec.NumRows()
			if rng.IntN(3) > 0 {
				n = 1 + rng.Int64N(n)
			}
			t.parts = append(t.parts, t.copy(rec, 0, n))
			rec = rec.NewSlice(n, rec.NumRows())
			if rng.IntN(8) == 0 {
				t.parts = append(t.parts, t.copy(rec, 0, 0))
			}
		}
	}
	return t
}

func decodedSchema(schema *arrow.Schema) *arrow.Schema {
	fields := schema.Fields()
	for i, f := range fields {
		if d, ok := f.Type.(*arrow.DictionaryType); ok {
			fields[i].Type = d.ValueType
		}
	}
	return arrow.NewSchema(fields, nil)
}

// copy is rows [lo, hi) in fresh memory.
func (t *partsTable) copy(rec arrow.Record, lo, hi int64) arrow.Record {
	refs := make([]joins.Ref, 0, hi-lo)
	for row := lo; row < hi; row++ {
		refs = append(refs, joins.Ref{Chunk: 0, Row: int32(row)})
	}
	columns := make([]arrow.Array, rec.NumCols())
	fields := rec.Schema().Fields()
	for i, col := range rec.Columns() {
		var err error
		if columns[i], err = joins.Take(col.DataType(), []arrow.Array{col}, refs); err != nil {
			panic(err)
		}
		fields[i].Type = columns[i].DataType()
	}
	return array.NewRecord(arrow.NewSchema(fields, nil), columns, hi-lo)
}

func (t *partsTable) Schema() *arrow.Schema { return t.schema }

func (t *partsTable) Parts() []joins.Part {
	parts := make([]joins.Part, len(t.parts))
	for i, rec := range t.parts {
		parts[i] = joins.Part{Rows: rec.NumRows(), Name: fmt.Sprintf("table.parquet#%d", i)}
		if i%3 == 2 {
			parts[i].Rows = -1
		}
	}
	return parts
}

func (t *partsTable) project(part int, columns []string) arrow.Record {
	rec := t.parts[part]
	fields, arrays := make([]arrow.Field, len(columns)), make([]arrow.Array, len(columns))
	for i, name := range columns {
		at := t.schema.FieldIndices(name)[0]
		fields[i], arrays[i] = t.schema.Field(at), rec.Column(at)
	}
	return array.NewRecord(arrow.NewSchema(fields, nil), arrays, rec.NumRows())
}

func (t *partsTable) Read(ctx context.Context, part int, sel joins.Selection) iter.Seq2[arrow.Record, error] {
	return t.rows(ctx, part, 0, t.parts[part].NumRows(), sel)
}

func (t *partsTable) rows(ctx context.Context, part int, first, end int64, sel joins.Selection) iter.Seq2[arrow.Record, error] {
	return func(yield func(arrow.Record, error) bool) {
		t.reads.Add(1)
		all := t.project(part, sel.Columns)
		for lo := first; lo < end; lo += t.batch {
			err := ctx.Err()
			if err == nil && t.fail != nil {
				err = t.fail(part, lo)
			}
			if err != nil {
				yield(nil, err)
				return
			}
			lent := t.copy(all, lo, min(lo+t.batch, end))
			more := yield(lent, nil)
			scribble(lent)
			if !more {
				return
			}
		}
	}
}

// scribble overwrites the values of a record, as a reader that uses its buffers again would.
func scribble(rec arrow.Record) {
	for _, col := range rec.Columns() {
		for _, buf := range col.Data().Buffers() {
			if buf != nil {
				for i, b := range buf.Bytes() {
					buf.Bytes()[i] = ^b
				}
			}
		}
	}
}

// gatherTable is a partsTable that can be asked for rows by position, and whose parts mostly have an identity.
type gatherTable struct{ *partsTable }

func (t gatherTable) Identity(part int) string {
	if part%5 == 4 {
		return ""
	}
	return fmt.Sprintf("table %d part %d", t.id, part)
}

func (t gatherTable) ReadRows(ctx context.Context, part int, lo, hi int64, sel joins.Selection) iter.Seq2[arrow.Record, error] {
	if lo < 0 || lo >= hi || hi > t.parts[part].NumRows() {
		panic(fmt.Sprintf("rows %d to %d of a part of %d", lo, hi, t.parts[part].NumRows()))
	}
	return t.rows(ctx, part, lo, hi, sel)
}

func (t gatherTable) Gather(ctx context.Context, part int, rows []int64, columns []string) (arrow.Record, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	all := t.project(part, columns)
	refs := make([]joins.Ref, len(rows))
	for i, row := range rows {
		if row >= all.NumRows() || i > 0 && row <= rows[i-1] {
			return nil, fmt.Errorf("rows %v of a part of %d are not ascending or not in it", rows, all.NumRows())
		}
		refs[i].Row = int32(row)
	}
	arrays := make([]arrow.Array, len(columns))
	for i, col := range all.Columns() {
		var err error
		if arrays[i], err = joins.Take(col.DataType(), []arrow.Array{col}, refs); err != nil {
			return nil, err
		}
	}
	return array.NewRecord(all.Schema(), arrays, int64(len(rows))), nil
}

// rangeTable is a gatherTable that knows the ranges of its time columns.
type rangeTable struct{ gatherTable }

func (t rangeTable) Range(part int, column string) (lo, hi int64, ok bool) {
	lo, hi = math.MaxInt64, math.MinInt64
	col := t.project(part, []string{column}).Column(0)
	for i := range col.Len() {
		var v int64
		switch col := col.(type) {
		case *array.Timestamp:
			v = int64(col.Value(i))
		case *array.Date32:
			v = int64(col.Value(i))
		case *array.Date64:
			v = int64(col.Value(i))
		case *array.Int64:
			v = col.Value(i)
		default:
			return 0, 0, false
		}
		if col.IsValid(i) {
			lo, hi = min(lo, v), max(hi, v)
		}
	}
	return lo, hi, true
}

// tableKinds are the abilities that a table may have; the answer must not depend on them.
var tableKinds = []func(*partsTable) joins.Table{
	func(t *partsTable) joins.Table { return t },
	func(t *partsTable) joins.Table { return gatherTable{t} },
	func(t *partsTable) joins.Table { return rangeTable{gatherTable{t}} },
}

func randomTable(rng *rand.Rand, schema *arrow.Schema, records ...arrow.Record) joins.Table {
	return tableKinds[rng.IntN(len(tableKinds))](newPartsTable(rng, schema, records))
}

// purse is a budget that counts.
type purse struct {
	mu         sync.Mutex
	held, most int64
	limit      int64 // 0: none
	over       error // what is said over it
}

func (p *purse) Reserve(_ context.Context, n int64) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.limit > 0 && p.held+n > p.limit {
		return p.over
	}
	p.held += n
	p.most = max(p.most, p.held)
	return nil
}

func (p *purse) Release(n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held -= n
}
