package storetest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"github.com/flightd/flightd/internal/oracle"
	"github.com/flightd/flightd/joins"
	"github.com/flightd/flightd/stores"
	"github.com/flightd/flightd/testdata/pit"
)

var questionChecks = []check{
	{"random", "Random questions have the answer of the slow and obvious way, with and without the store's own abilities.",
		needsOrder, checkRandom},
}

// randomCases is how many random questions a store is asked. The seed of each is its number.
const randomCases = 40

func checkRandom(t *testing.T, h Harness) error {
	asked := 0
	for seed := range uint64(randomCases) {
		rng := rand.New(rand.NewPCG(seed, 0))
		for form, c := range map[string]oracle.Case{"entity rows": oracle.Random(rng), "no entity rows": oracle.RandomKeyed(rng)} {
			if !h.toldCase(&c) {
				continue
			}
			if err := h.askRandom(t, c); err != nil {
				return fmt.Errorf("seed %d, %s: %w", seed, form, err)
			}
			asked++
		}
	}
	if asked == 0 {
		return errors.New("Holds is true of so little that none of the questions could be asked")
	}
	t.Logf("%d of %d questions asked; the others need types that the store cannot hold", asked, 2*randomCases)
	return nil
}

// toldCase puts the views of a case in the types that the store holds, values that these cannot say being null, and says
// whether that is possible. The answer is worked out from what is left.
func (h Harness) toldCase(c *oracle.Case) bool {
	for i, v := range c.Views {
		fitted, _ := h.fit(Table{Schema: v.Rows.Schema(), Records: []arrow.Record{v.Rows}})
		isHeld := fitted.Schema.HasField
		needed := []string{v.EventTime}
		if v.Created != "" {
			needed = append(needed, v.Created)
		}
		for _, k := range v.Keys {
			needed = append(needed, k.Source)
		}
		v.Features = slices.DeleteFunc(slices.Clone(v.Features), func(f oracle.Feature) bool { return !isHeld(f.Source) })
		if slices.ContainsFunc(needed, func(name string) bool { return !isHeld(name) }) || len(v.Features) == 0 {
			return false
		}
		v.Rows = fitted.Records[0]
		c.Views[i] = v
	}
	return true
}

// askRandom loads the views of a case and asks all questions that can be asked of them.
func (h Harness) askRandom(t *testing.T, c oracle.Case) error {
	tables := make(map[string]Table)
	for _, v := range c.Views {
		tables[v.Name] = cutInThree(v.Rows)
	}
	store, err := h.openAll(t, tables)
	if err != nil {
		return err
	}
	for abilities, store := range map[string]stores.OfflineStore{"all abilities": store, "abilities hidden": hidden{store}} {
		q := question{harness: h, store: store, c: c}
		if err := q.ask(t.Context()); err != nil {
			return fmt.Errorf("%s: %w", abilities, err)
		}
	}
	return store.Close()
}

// cutInThree is a table of one record, its rows in three.
func cutInThree(rec arrow.Record) Table {
	n := rec.NumRows()
	table := Table{Schema: rec.Schema()}
	for i := range int64(3) {
		table.Records = append(table.Records, rec.NewSlice(i*n/3, (i+1)*n/3))
	}
	return table
}

// question is a random case put to a store.
type question struct {
	harness Harness
	store   stores.OfflineStore
	c       oracle.Case
	views   []*stores.FeatureView
}

func (q *question) ask(ctx context.Context) error {
	for _, v := range q.c.Views {
		src, err := q.store.Source(q.harness.sourceText(v.Name))
		if err != nil {
			return err
		}
		view := &stores.FeatureView{
			Name: v.Name, Timestamp: v.EventTime, Created: v.Created, TTL: v.TTL, Store: q.store, Source: src,
		}
		for _, k := range v.Keys {
			view.Keys = append(view.Keys, k.Source)
		}
		for _, f := range v.Features {
			view.Features = append(view.Features, f.Source)
		}
		q.views = append(q.views, view)
	}
	if err := q.historical(ctx); err != nil {
		return fmt.Errorf("historical: %w", err)
	}
	for i := range q.views {
		if err := q.pull(ctx, i); err != nil {
			return fmt.Errorf("view %s: %w", q.views[i].Name, err)
		}
	}
	return nil
}

// historical asks for all features of all views: of the entity rows of the case, or along its window and at its end.
func (q *question) historical(ctx context.Context) error {
	w := oracle.Window(q.c.Window)
	switch {
	case q.c.Entities != nil:
		return q.features(ctx, q.c.Entities, q.c.Time, &stores.Historical{Entities: rowsOfRecord(q.c.Entities), Timestamp: q.c.Time})
	case w.End.IsZero():
		return nil
	}
	window := joins.Window(w)
	timeline := oracle.Entities(q.c.Views, oracle.Timeline(q.c.Views, w))
	if err := q.features(ctx, timeline, "event_timestamp", &stores.Historical{Window: window, Mode: stores.Timeline}); err != nil {
		return fmt.Errorf("timeline from %v to %v: %w", w.Start, w.End, err)
	}
	snapshot := oracle.Entities(q.c.Views, oracle.Snapshot(q.c.Views, w))
	if err := q.features(ctx, snapshot, "event_timestamp", &stores.Historical{Window: window, Mode: stores.Snapshot}); err != nil {
		return fmt.Errorf("snapshot from %v to %v: %w", w.Start, w.End, err)
	}
	return nil
}

func (q *question) features(ctx context.Context, entities arrow.Record, time string, r *stores.Historical) error {
	want, _, err := oracle.Answer(entities, time, q.c.Views, q.c.KnownAt)
	if err != nil {
		return err
	}
	r.KnownAt, r.FullFeatureNames = q.c.KnownAt, true
	for i, v := range q.c.Views {
		f := stores.ViewFeatures{View: q.views[i], JoinKeyMap: make(map[string]string)}
		for _, k := range v.Keys {
			f.JoinKeyMap[k.Source] = k.Entity
		}
		for _, feature := range v.Features {
			f.Features = append(f.Features, feature.Source)
		}
		r.Features = append(r.Features, f)
	}
	return q.compare(ctx, r, want, false)
}

// pull asks for the latest and for all rows of a view.
func (q *question) pull(ctx context.Context, i int) error {
	v, w := q.c.Views[i], oracle.Window(q.c.Window)
	var columns []oracle.Feature
	add := func(name string) {
		if name != "" && !slices.ContainsFunc(columns, func(f oracle.Feature) bool { return f.Name == name }) {
			columns = append(columns, oracle.Feature{Source: name, Name: name})
		}
	}
	for _, k := range v.Keys {
		add(k.Source)
	}
	for _, f := range v.Features {
		add(f.Source)
	}
	add(v.EventTime)
	add(v.Created)
	latest := oracle.Pull(v, columns, oracle.Latest(v, w))
	if err := q.compare(ctx, &stores.Latest{View: q.views[i], Window: joins.Window(w)}, latest, true); err != nil {
		return fmt.Errorf("latest from %v to %v: %w", w.Start, w.End, err)
	}
	all := oracle.Pull(v, columns, oracle.All(v, w))
	if err := q.compare(ctx, &stores.All{View: q.views[i], Window: joins.Window(w)}, all, true); err != nil {
		return fmt.Errorf("all from %v to %v: %w", w.Start, w.End, err)
	}
	return nil
}

func (q *question) compare(ctx context.Context, r stores.Request, want arrow.Record, unordered bool) error {
	job, err := stores.Plan(ctx, r, stores.Options{})
	if err != nil {
		return err
	}
	got := pit.Table{Schema: innerNames(job.Schema(), want.Schema())}
	for rec, err := range job.Records(ctx) {
		if err != nil {
			return err
		}
		schema := innerNames(rec.Schema(), want.Schema())
		got.Records = append(got.Records, array.NewRecord(schema, rec.Columns(), rec.NumRows()))
	}
	wanted := pit.Table{Schema: want.Schema(), Records: []arrow.Record{want}}
	if d := pit.Diff(wanted, got, unordered); d != "" {
		return errors.New(d)
	}
	return nil
}

// innerNames gives a schema the wanted types where they are equal but for the names inside lists and maps, which stores
// have their own conventions for.
func innerNames(schema, want *arrow.Schema) *arrow.Schema {
	fields := slices.Clone(schema.Fields())
	for i := range min(len(fields), len(want.Fields())) {
		if typ := want.Field(i).Type; arrow.TypeEqual(fields[i].Type, typ) {
			fields[i].Type = typ
		}
	}
	return arrow.NewSchema(fields, nil)
}

// rowsOfRecord are entity rows in one record.
func rowsOfRecord(rec arrow.Record) *stores.Rows {
	var records iter.Seq2[arrow.Record, error] = func(yield func(arrow.Record, error) bool) { yield(rec, nil) }
	return &stores.Rows{Schema: rec.Schema(), Len: rec.NumRows(), Records: records}
}
