package joins

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/flightd/flightd/internal/fault"
)

// distinct collects the distinct keys (and times, if timed) of several views, and makes entity rows of them.
type distinct struct {
	schema  *arrow.Schema
	unit    unit
	timed   bool
	end     int64 // the time of every row, if not timed
	maxRows int64
	options Options
	memory  *holding

	spaces []space // of the keys, each seen from the first view, and of the time
	groups *groups
	keys   [][]arrow.Array // key columns of the rows that were new, record by record
	times  []int64         // of all rows that were new
	refs   []Ref           // where their keys are
}

// What a new row takes: its place in the hash table, its time and where its keys are; and what each key is expected to take.
const (
	distinctBytes = 120
	keyBytes      = 16
)

// distinctRecord is the number of rows in a record of entity rows.
const distinctRecord = 1 << 20

func newDistinct(views []View, maxRows int64, opt Options) (*distinct, error) {
	schema, err := TimelineSchema(views)
	if err != nil {
		return nil, err
	}
	if maxRows <= 0 || maxRows > math.MaxInt32 {
		maxRows = math.MaxInt32
	}
	d := &distinct{schema: schema, maxRows: maxRows, options: opt, memory: &holding{budget: opt.Budget}}
	fields := schema.Fields()
	d.unit, _ = unitOf(fields[len(fields)-1].Type)
	for _, f := range fields[:len(fields)-1] {
		s, ok := pair(f.Type, f.Type)
		if !ok {
			return nil, fault.New(fault.Precondition, "join key %q: %s", f.Name, castHint(f.Type, f.Type))
		}
		d.spaces = append(d.spaces, s)
	}
	d.spaces = append(d.spaces, space{kind: int64s})
	d.groups = newGroups(d.spaces, 1024)
	return d, nil
}

// collect reads the views that have keys; views without any have rows of their own only if there are no others.
func (d *distinct) collect(ctx context.Context, views []View, w Window) (Entities, error) {
	defer d.close()
	keyed := slices.ContainsFunc(views, func(v View) bool { return len(v.Keys) > 0 })
	for i := range views {
		if keyed == (len(views[i].Keys) > 0) {
			if err := d.read(ctx, &views[i], w); err != nil {
				return Entities{}, err
			}
		}
	}
	return d.entities()
}

func (d *distinct) close() {
	for _, columns := range d.keys {
		releaseAll(columns)
	}
	d.memory.close()
}

func releaseAll(arrays []arrow.Array) {
	for _, a := range arrays {
		a.Release()
	}
}

// keyFields are the schema's fields without the time.
func (d *distinct) keyFields() []arrow.Field { return d.schema.Fields()[:len(d.spaces)-1] }

func (d *distinct) read(ctx context.Context, v *View, w Window) error {
	var columns []string
	for _, f := range d.keyFields() {
		at := slices.IndexFunc(v.Keys, func(k Key) bool { return k.Entity == f.Name })
		columns = append(columns, v.Keys[at].Source)
	}
	f, err := timeField(v, "event timestamp", v.EventTime)
	if err != nil {
		return err
	}
	u, _ := unitOf(f.Type)
	window := w.in(u)
	window.bound = true // rows without event time make no entity row
	sel := Selection{Columns: append(columns, v.EventTime), Time: v.EventTime, Start: w.Start, End: w.End}
	parts := window.parts(v.Table, v.EventTime, d.options)
	d.options.Trace.parts(v.Table, parts, sel.Columns)
	var rows int64
	for _, part := range parts {
		for rec, err := range v.Table.Read(ctx, part, sel) {
			if err == nil {
				err = ctx.Err()
			}
			if err == nil {
				rows += rec.NumRows()
				err = d.batch(ctx, rec, window, u)
			}
			if err != nil {
				return fmt.Errorf("feature view %q: %w", v.Name, err)
			}
		}
	}
	if t := d.options.Trace; t != nil {
		t.RowsRead += rows
		t.note(fmt.Sprintf("%s: entity rows made of %d of %d parts, %d rows of %v", v.Name,
			len(parts), len(v.Table.Parts()), rows, sel.Columns))
	}
	return nil
}

// batch adds the rows of one record that are in the window and new.
func (d *distinct) batch(ctx context.Context, rec arrow.Record, window span, u unit) error {
	last := len(d.spaces) - 1
	column := rec.Column(last)
	times, err := instants(column, nil)
	if err != nil {
		return err
	}
	var wanted []Ref
	for i, t := range times {
		if column.IsValid(i) && t >= window.lo && t <= window.hi {
			wanted = append(wanted, Ref{0, int32(i)})
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	keys, err := d.keysOf(rec, wanted)
	defer releaseAll(keys)
	if err != nil {
		return err
	}
	t := tuples{columns: make([]keyColumn, len(d.spaces)), state: make([]uint8, len(wanted))}
	for i, a := range keys {
		if err := t.columns[i].encode(a, d.spaces[i], t.state); err != nil {
			return err
		}
	}
	if t.columns[last].words, err = d.answerTimes(times, wanted, u, t.state); err != nil {
		return err
	}
	t.hashRows(d.spaces, len(wanted))
	return d.add(ctx, &t, keys)
}

// answerTimes are the times of the wanted rows in the unit of the answer, zero where they do not count.
func (d *distinct) answerTimes(times []int64, wanted []Ref, u unit, state []uint8) ([]uint64, error) {
	words := make([]uint64, len(wanted))
	if !d.timed {
		return words, nil
	}
	for i, r := range wanted {
		at, over := floor(times[r.Row], u, d.unit)
		if over != 0 && state[i] == usable {
			return nil, fault.New(fault.Invalid, "an event time in the window, %d x %s since 1970, is outside what the answer's timestamps "+
				"of %s can say; ask for a shorter window", times[r.Row], time.Duration(u), time.Duration(d.unit))
		}
		words[i] = uint64(at)
	}
	return words, nil
}

// add keeps the rows whose tuple is new.
func (d *distinct) add(ctx context.Context, t *tuples, keys []arrow.Array) error {
	last := len(d.spaces) - 1
	var fresh []Ref
	for i, state := range t.state {
		if state != usable {
			continue
		}
		before := d.groups.n
		if d.groups.add(t, i); d.groups.n == before {
			continue
		}
		d.refs = append(d.refs, Ref{int32(len(d.keys)), int32(len(fresh))})
		fresh = append(fresh, Ref{0, int32(i)})
		d.times = append(d.times, int64(t.columns[last].words[i]))
	}
	if len(fresh) == 0 {
		return nil
	}
	if int64(len(d.refs)) > d.maxRows {
		return fault.New(fault.Exhausted, "the window holds more than %d distinct keys and times (limits.entity_rows); "+
			"ask for a shorter one, or raise the limit", d.maxRows)
	}
	more := int64(len(fresh))*(distinctBytes+keyBytes*int64(len(keys))) + d.groups.takeTextBytes()
	if err := d.memory.reserve(ctx, more); err != nil {
		return err
	}
	kept := make([]arrow.Array, len(keys))
	for i, a := range keys {
		var err error
		if kept[i], err = Take(a.DataType(), []arrow.Array{a}, fresh); err != nil {
			releaseAll(kept[:i])
			return err
		}
	}
	d.keys = append(d.keys, kept)
	return nil
}

// keysOf are the key columns of the wanted rows, in the types of the first view. What it made before an error is
// returned, too, to be released.
func (d *distinct) keysOf(rec arrow.Record, wanted []Ref) ([]arrow.Array, error) {
	var keys []arrow.Array
	for i, f := range d.keyFields() {
		a, err := Take(rec.Column(i).DataType(), []arrow.Array{rec.Column(i)}, wanted)
		if err != nil {
			return keys, err
		}
		if !arrow.TypeEqual(a.DataType(), f.Type) {
			own := a
			a, err = recast(own, f.Type)
			own.Release()
			if err != nil {
				return keys, fmt.Errorf("join key %q: %w, its type in the first view; put another view first", f.Name, err)
			}
		}
		keys = append(keys, a)
	}
	return keys, nil
}

// entities sorts what was collected and makes entity rows of it.
func (d *distinct) entities() (Entities, error) {
	e := Entities{Schema: d.schema, Time: DefaultTime}
	order, err := d.order()
	for err == nil && len(order) > 0 {
		n := min(len(order), distinctRecord)
		var rec arrow.Record
		if rec, err = d.record(order[:n]); err == nil {
			e.Records, order = append(e.Records, rec), order[n:]
		}
	}
	if err != nil {
		for _, rec := range e.Records {
			rec.Release()
		}
		return Entities{}, err
	}
	return e, nil
}

// record makes entity rows of some of the collected rows.
func (d *distinct) record(rows []int32) (arrow.Record, error) {
	last := len(d.spaces) - 1
	times := array.NewTimestampBuilder(memory.DefaultAllocator, d.schema.Field(last).Type.(*arrow.TimestampType))
	defer times.Release()
	times.Reserve(len(rows))
	refs := make([]Ref, len(rows))
	for i, row := range rows {
		refs[i] = d.refs[row]
		if d.timed {
			times.Append(arrow.Timestamp(d.times[row]))
		} else {
			times.Append(arrow.Timestamp(d.end))
		}
	}
	var columns []arrow.Array
	defer func() { releaseAll(columns) }()
	for i, f := range d.keyFields() {
		c, err := Take(f.Type, d.column(i), refs)
		if err != nil {
			return nil, err
		}
		columns = append(columns, c)
	}
	columns = append(columns, times.NewArray())
	return array.NewRecord(d.schema, columns, int64(len(rows))), nil
}

// order sorts the collected rows by time, then by keys.
func (d *distinct) order() ([]int32, error) {
	order := make([]int32, len(d.refs))
	for i := range order {
		order[i] = int32(i)
	}
	if len(order) == 0 {
		return nil, nil
	}
	compare, err := d.comparators()
	if err != nil {
		return nil, err
	}
	slices.SortFunc(order, func(a, b int32) int {
		if c := cmp.Compare(d.times[a], d.times[b]); c != 0 {
			return c
		}
		for _, byKey := range compare {
			if c := byKey(a, b); c != 0 {
				return c
			}
		}
		return 0
	})
	return order, nil
}

func (d *distinct) column(i int) []arrow.Array {
	chunks := make([]arrow.Array, len(d.keys))
	for c, columns := range d.keys {
		chunks[c] = columns[i]
	}
	return chunks
}

// comparators order the collected rows by each key.
func (d *distinct) comparators() ([]func(a, b int32) int, error) {
	var compare []func(a, b int32) int
	for i, s := range d.spaces[:len(d.spaces)-1] {
		whole, err := Take(d.schema.Field(i).Type, d.column(i), d.refs)
		if err != nil {
			return nil, err
		}
		var col keyColumn
		if s.kind == decimals {
			value, err := decimalReader(whole)
			if err != nil {
				return nil, err
			}
			compare = append(compare, func(a, b int32) int {
				x, _ := value(int(a))
				y, _ := value(int(b))
				return x.Cmp(y)
			})
			continue
		}
		if err := col.encode(whole, s, make([]uint8, whole.Len())); err != nil {
			return nil, err
		}
		switch {
		case !s.word():
			compare = append(compare, func(a, b int32) int { return bytes.Compare(col.text[a], col.text[b]) })
		case s.kind == uint64s || s.kind == bools:
			compare = append(compare, func(a, b int32) int { return cmp.Compare(col.words[a], col.words[b]) })
		case s.kind == floats:
			compare = append(compare, func(a, b int32) int {
				return cmp.Compare(math.Float64frombits(col.words[a]), math.Float64frombits(col.words[b]))
			})
		default:
			compare = append(compare, func(a, b int32) int { return cmp.Compare(int64(col.words[a]), int64(col.words[b])) })
		}
	}
	return compare, nil
}
