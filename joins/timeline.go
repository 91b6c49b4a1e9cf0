package joins

import (
	"bytes"
	"cmp"
	"context"
	"math"
	"slices"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/compute"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/flightd/flightd/internal/fault"
)

// defaultWindow is how far a timeline without start reaches back when no view has a ttl.
const defaultWindow = 30 * 24 * time.Hour

// TimelineSchema is the schema of the entity rows that Timeline and Snapshot make: the keys of the first view that has
// some, under the names and types they have there, and the event time in UTC, in microseconds, or in nanoseconds if a
// view's times have them. It refuses views whose keys differ.
func TimelineSchema(views []View) (*arrow.Schema, error) {
	var fields []arrow.Field
	var first *View
	for i := range views {
		v := &views[i]
		if len(v.Keys) == 0 {
			continue
		}
		if first == nil {
			first = v
			for _, key := range v.Keys {
				f, err := sourceField(v, "join key", key.Source)
				if err != nil {
					return nil, err
				}
				fields = append(fields, arrow.Field{Name: key.Entity, Type: decoded(f.Type), Nullable: true, Metadata: f.Metadata})
			}
			continue
		}
		if !sameKeys(first, v) {
			return nil, fault.New(fault.Invalid, "without entity rows all views need the same join keys; %q has %v and %q has %v: "+
				"ask for them one by one, or give entity rows", first.Name, entityKeys(first), v.Name, entityKeys(v))
		}
	}
	u := arrow.Microsecond
	for i := range views {
		f, err := sourceField(&views[i], "event timestamp", views[i].EventTime)
		if err != nil {
			return nil, err
		}
		if t, ok := f.Type.(*arrow.TimestampType); ok && t.Unit == arrow.Nanosecond {
			u = arrow.Nanosecond
		}
	}
	fields = append(fields, arrow.Field{Name: DefaultTime, Type: &arrow.TimestampType{Unit: u, TimeZone: "UTC"}, Nullable: true})
	return arrow.NewSchema(fields, nil), nil
}

func entityKeys(v *View) []string {
	keys := make([]string, len(v.Keys))
	for i, k := range v.Keys {
		keys[i] = k.Entity
	}
	return keys
}

func sameKeys(a, b *View) bool {
	x, y := entityKeys(a), entityKeys(b)
	slices.Sort(x)
	slices.Sort(y)
	return slices.Equal(x, y)
}

// Timeline makes entity rows of history: the distinct keys and times of all views in the window, ordered by time, then by
// keys. Null keys and null times make no row. More than maxRows (0: no limit) is an error.
func Timeline(ctx context.Context, views []View, w Window, maxRows int64, opt Options) (Entities, error) {
	if w.Start.IsZero() {
		var longest time.Duration
		for _, v := range views {
			longest = max(longest, v.TTL)
		}
		if longest == 0 {
			longest = defaultWindow
		}
		w.Start = w.End.Add(-longest)
	}
	d, err := newDistinct(views, maxRows, opt)
	if err != nil {
		return Entities{}, err
	}
	d.timed = true
	defer d.close()
	if err := d.readAll(ctx, views, w); err != nil {
		return Entities{}, err
	}
	return d.entities()
}

// Snapshot makes entity rows of history: one for each distinct key tuple with a row in the window, all at its end,
// ordered by keys.
func Snapshot(ctx context.Context, views []View, w Window, maxRows int64, opt Options) (Entities, error) {
	d, err := newDistinct(views, maxRows, opt)
	if err != nil {
		return Entities{}, err
	}
	defer d.close()
	end := Window{End: w.End}.in(d.unit)
	d.end = end.hi
	if err := d.readAll(ctx, views, w); err != nil {
		return Entities{}, err
	}
	return d.entities()
}

// distinct collects the distinct keys (and times, if timed) of several views.
type distinct struct {
	schema  *arrow.Schema
	unit    unit
	timed   bool
	end     int64 // the time of every row, if not timed
	maxRows int64
	options Options
	memory  *holding

	spaces []space // of the keys, each seen from the first view, and the time
	groups *groups
	keys   [][]arrow.Array // key columns of the rows that were new, record by record
	times  []int64         // of all rows that were new
	refs   []Ref           // where their keys are
}

func newDistinct(views []View, maxRows int64, opt Options) (*distinct, error) {
	schema, err := TimelineSchema(views)
	if err != nil {
		return nil, err
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

func (d *distinct) close() {
	for _, columns := range d.keys {
		for _, c := range columns {
			c.Release()
		}
	}
	d.memory.close()
}

// readAll reads the views that have keys; views without any have rows of their own only if there are no others.
func (d *distinct) readAll(ctx context.Context, views []View, w Window) error {
	keyed := slices.ContainsFunc(views, func(v View) bool { return len(v.Keys) > 0 })
	for i := range views {
		if keyed == (len(views[i].Keys) > 0) {
			if err := d.read(ctx, &views[i], w); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *distinct) read(ctx context.Context, v *View, w Window) error {
	names := d.schema.Fields()
	var columns []string
	for _, f := range names[:len(names)-1] {
		at := slices.IndexFunc(v.Keys, func(k Key) bool { return k.Entity == f.Name })
		source, err := sourceField(v, "join key", v.Keys[at].Source)
		if err != nil {
			return err
		}
		if _, err := spaceOf(v.Name, v.Keys[at], f.Type, source.Type); err != nil {
			return err
		}
		columns = append(columns, v.Keys[at].Source)
	}
	f, err := sourceField(v, "event timestamp", v.EventTime)
	if err != nil {
		return err
	}
	u, ok := unitOf(f.Type)
	if !ok {
		return checkView(v, d.schema)
	}
	columns = append(columns, v.EventTime)
	window := w.in(u)
	window.bound = true // rows without event time make no entity row
	sel := Selection{Columns: columns, Time: v.EventTime, Start: w.Start, End: w.End}
	for _, part := range window.parts(v.Table, v.EventTime, d.options) {
		for rec, err := range v.Table.Read(ctx, part, sel) {
			if err == nil {
				err = ctx.Err()
			}
			if err == nil {
				err = d.batch(ctx, v, rec, window, u)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// batch adds the rows of one record that are in the window and new.
func (d *distinct) batch(ctx context.Context, v *View, rec arrow.Record, window span, u unit) error {
	last := len(d.spaces) - 1
	column := rec.Column(last)
	times, err := instants(column, nil)
	if err != nil {
		return err
	}
	known := make([]uint8, rec.NumRows())
	for i := range last { // null keys, NaN among them, make no row, and cannot all be cast
		own, _ := pair(rec.Column(i).DataType(), rec.Column(i).DataType())
		var col keyColumn
		if err := col.encode(rec.Column(i), own, known); err != nil {
			return err
		}
	}
	var wanted []Ref
	for i, t := range times {
		if column.IsValid(i) && known[i] == usable && t >= window.lo && t <= window.hi {
			wanted = append(wanted, Ref{0, int32(i)})
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	keys, err := d.keysOf(ctx, v, rec, wanted)
	if err != nil {
		return err
	}
	defer releaseAll(keys)
	var t tuples
	t.columns = make([]keyColumn, len(d.spaces))
	t.state = make([]uint8, len(wanted))
	for i, a := range keys {
		if err := t.columns[i].encode(a, d.spaces[i], t.state); err != nil {
			return err
		}
	}
	t.columns[last].words = make([]uint64, len(wanted))
	if d.timed {
		for i, r := range wanted {
			at, _ := floor(times[r.Row], u, d.unit)
			t.columns[last].words[i] = uint64(at)
		}
	}
	t.hashRows(d.spaces, len(wanted))
	return d.add(ctx, &t, keys)
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
	if n := int64(len(d.refs)); d.maxRows > 0 && n > d.maxRows || n > math.MaxInt32 {
		return fault.New(fault.Exhausted, "the window holds more than %d distinct keys and times (limits.entity_rows); "+
			"ask for a shorter one, or raise the limit", d.maxRows)
	}
	if err := d.memory.reserve(ctx, int64(len(fresh))*(latestGroupBytes+guessedWidth*int64(len(keys)))); err != nil {
		return err
	}
	kept := make([]arrow.Array, len(keys))
	for i, a := range keys {
		var err error
		if kept[i], err = Take(a.DataType(), []arrow.Array{a}, fresh); err != nil {
			return err
		}
	}
	d.keys = append(d.keys, kept)
	return nil
}

// keysOf are the key columns of the wanted rows, in the types of the first view. A value that the first view's type
// cannot hold equals none of its keys, so there is no row that could carry it.
func (d *distinct) keysOf(ctx context.Context, v *View, rec arrow.Record, wanted []Ref) ([]arrow.Array, error) {
	var keys []arrow.Array
	for i := range len(d.spaces) - 1 {
		a, err := Take(rec.Column(i).DataType(), []arrow.Array{rec.Column(i)}, wanted)
		if err != nil {
			releaseAll(keys)
			return nil, err
		}
		want := d.schema.Field(i).Type
		if !arrow.TypeEqual(a.DataType(), want) {
			cast, err := compute.CastArray(ctx, a, compute.SafeCastOptions(want))
			a.Release()
			if err != nil {
				releaseAll(keys)
				return nil, fault.New(fault.Precondition, "feature view %q: a value of join key %q does not fit %s, its type in the first view: %w",
					v.Name, d.schema.Field(i).Name, want, err)
			}
			a = cast
		}
		keys = append(keys, a)
	}
	return keys, nil
}

func releaseAll(arrays []arrow.Array) {
	for _, a := range arrays {
		a.Release()
	}
}

// entities sorts what was collected and makes entity rows of it.
func (d *distinct) entities() (Entities, error) {
	e := Entities{Schema: d.schema, Time: DefaultTime}
	n := len(d.refs)
	if n == 0 {
		return e, nil
	}
	columns := make([]arrow.Array, 0, len(d.schema.Fields()))
	defer func() { releaseAll(columns) }()
	order := make([]int32, n)
	for i := range order {
		order[i] = int32(i)
	}
	compare, err := d.comparators()
	if err != nil {
		return e, err
	}
	slices.SortFunc(order, func(a, b int32) int {
		if c := cmp.Compare(d.times[a], d.times[b]); c != 0 {
			return c
		}
		for _, less := range compare {
			if c := less(a, b); c != 0 {
				return c
			}
		}
		return 0
	})
	refs := make([]Ref, n)
	times := array.NewTimestampBuilder(memory.DefaultAllocator, d.schema.Field(len(d.spaces)-1).Type.(*arrow.TimestampType))
	defer times.Release()
	for i, at := range order {
		refs[i] = d.refs[at]
		if d.timed {
			times.Append(arrow.Timestamp(d.times[at]))
		} else {
			times.Append(arrow.Timestamp(d.end))
		}
	}
	for i := range len(d.spaces) - 1 {
		c, err := Take(d.schema.Field(i).Type, d.column(i), refs)
		if err != nil {
			return e, err
		}
		columns = append(columns, c)
	}
	columns = append(columns, times.NewArray())
	e.Records = []arrow.Record{array.NewRecord(d.schema, columns, int64(n))}
	return e, nil
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
