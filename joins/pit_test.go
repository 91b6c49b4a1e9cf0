package joins_test

import (
	"errors"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/flightd/flightd/internal/fault"
	"github.com/flightd/flightd/joins"
	"github.com/flightd/flightd/testdata/pit"
)

// Every vector that asks something of the engine is run with tables of each ability, cut at random. Names that are not
// there are refused before the engine is asked, so refusals of other kinds than `invalid` are not run here.
func TestVectors(t *testing.T) {
	for _, v := range pit.All() {
		t.Run(v.Name, func(t *testing.T) {
			for seed := range uint64(6) {
				if seed%2 == 0 {
					defer joins.Partition()()
				}
				rng := rand.New(rand.NewPCG(seed, 0))
				for _, s := range v.Steps {
					if s.Err != nil && s.Err.Kind != fault.Invalid || len(s.Features) == 0 && s.View == "" {
						continue
					}
					vectorStep(t, rng, v, s)
				}
				if t.Failed() {
					t.Fatalf("seed %d", seed)
				}
			}
		})
	}
}

func vectorStep(t *testing.T, rng *rand.Rand, v pit.Vector, s pit.Step) {
	t.Helper()
	shares := []joins.Share{{}}
	if s.Parts > 0 {
		shares = nil
		for i := range s.Parts {
			shares = append(shares, joins.Share{Index: i, Of: s.Parts})
		}
	}
	q := &question{v: v, s: s}
	cutting := rng.Uint64()
	var got pit.Table
	var err error
	for _, share := range shares {
		var some pit.Table
		q.rng = rand.New(rand.NewPCG(cutting, 1)) // the same table for every share
		if some, err = q.ask(t, share); err != nil {
			break
		}
		got.Schema = some.Schema
		got.Records = append(got.Records, some.Records...)
	}
	switch {
	case s.Err != nil:
		if !errors.Is(err, s.Err.Kind) {
			t.Errorf("line %d: %v, want an error of the kind %q", s.Line, err, s.Err.Kind)
			return
		}
		for _, text := range s.Err.Texts {
			if !strings.Contains(err.Error(), text) {
				t.Errorf("line %d: %v, want it to say %q", s.Line, err, text)
			}
		}
	case err != nil:
		t.Errorf("line %d: %v", s.Line, err)
	default:
		if d := pit.Diff(s.Want, got, s.Unordered); d != "" {
			t.Errorf("line %d: %s", s.Line, d)
		}
		if s.Report != nil && !slices.Equal(vectorReport(q.report), s.Report) {
			t.Errorf("line %d: report\n  want %+v\n  got  %+v", s.Line, s.Report, q.report.Views)
		}
	}
}

// question is one step put to the engine.
type question struct {
	rng    *rand.Rand
	v      pit.Vector
	s      pit.Step
	report *joins.Report
}

func (q *question) ask(t *testing.T, share joins.Share) (pit.Table, error) {
	budget := new(purse)
	defer func() {
		if budget.held != 0 {
			t.Errorf("line %d: %d bytes of the budget were not given back", q.s.Line, budget.held)
		}
	}()
	opt := joins.Options{KnownAt: q.s.KnownAt, Threads: 1 + q.rng.IntN(3), NoPrune: q.rng.IntN(2) == 0, Budget: budget}
	window := joins.Window{Start: q.s.Start, End: q.s.End}
	if q.s.Kind == pit.KindLatest || q.s.Kind == pit.KindAll {
		w := q.v.Views[slices.IndexFunc(q.v.Views, func(w pit.View) bool { return w.Name == q.s.View })]
		view, columns := pullView(q.rng, w, q.s.Features)
		schema := columnsSchema(view.Table.Schema(), columns)
		if q.s.Kind == pit.KindAll {
			return collect(schema, joins.All(t.Context(), view, columns, window, share, opt))
		}
		return collect(schema, joins.Latest(t.Context(), view, columns, window, opt))
	}
	var views []joins.View
	for _, u := range q.v.Uses(q.s) {
		views = append(views, usedView(q.rng, u, q.s.FullFeatureNames))
	}
	entities, err := q.entities(t, views, window, opt)
	if err != nil {
		return pit.Table{}, err
	}
	if entities.Time, err = joins.EntityTime(entities.Schema, q.s.Timestamp); err != nil {
		return pit.Table{}, err
	}
	schema, err := joins.AnswerSchema(entities.Schema, entities.Time, views)
	if err != nil {
		return pit.Table{}, err
	}
	if q.s.Report != nil {
		opt.Report, opt.NoPrune = new(joins.Report), true
		q.report = opt.Report
	}
	defer joins.Cached()()
	opt.Indexes = randomCache(q.rng)
	var got pit.Table
	for range askings(opt) {
		if opt.Report != nil {
			*opt.Report = joins.Report{}
		}
		if got, err = collect(schema, joins.PointInTime(t.Context(), cut(entities, share), views, opt)); err != nil {
			break
		}
	}
	return got, err
}

func (q *question) entities(t *testing.T, views []joins.View, w joins.Window, opt joins.Options) (joins.Entities, error) {
	switch q.s.Kind {
	case pit.KindTimeline:
		return joins.Timeline(t.Context(), views, w, 0, opt)
	case pit.KindSnapshot:
		return joins.Snapshot(t.Context(), views, w, 0, opt)
	}
	return joins.Entities{Schema: q.s.Entities.Schema, Records: q.s.Entities.Records}, nil
}

// cut is the share's part of the entity rows.
func cut(e joins.Entities, share joins.Share) joins.Entities {
	lo, hi := share.Range(e.Rows())
	var at int64
	out := joins.Entities{Schema: e.Schema, Time: e.Time}
	for _, rec := range e.Records {
		from, to := max(lo-at, 0), min(hi-at, rec.NumRows())
		if from < to {
			out.Records = append(out.Records, rec.NewSlice(from, to))
		}
		at += rec.NumRows()
	}
	return out
}

func collect(schema *arrow.Schema, records iter.Seq2[arrow.Record, error]) (pit.Table, error) {
	out := pit.Table{Schema: schema}
	for rec, err := range records {
		if err != nil {
			return out, err
		}
		rec.Retain()
		out.Records = append(out.Records, rec)
	}
	return out, nil
}

func columnsSchema(source *arrow.Schema, columns []joins.Feature) *arrow.Schema {
	fields := make([]arrow.Field, len(columns))
	for i, c := range columns {
		f, _ := source.FieldsByName(c.Source)
		fields[i] = arrow.Field{Name: c.Name, Type: f[0].Type, Nullable: true}
	}
	return arrow.NewSchema(fields, nil)
}

// vectorView is a view of a vector without features, and the source column of every mapped name, in source order.
func vectorView(rng *rand.Rand, w pit.View, joinKeyMap map[string]string) (view joins.View, names []string, source map[string]string) {
	source = make(map[string]string)
	for _, f := range w.Source.Schema.Fields() {
		name := f.Name
		if to, ok := w.FieldMapping[f.Name]; ok {
			name = to
		}
		names, source[name] = append(names, name), f.Name
	}
	view = joins.View{
		Name: w.Name, EventTime: source[w.Timestamp], Created: source[w.Created], TTL: w.TTL,
		Table: randomTable(rng, w.Source.Schema, w.Source.Records...),
	}
	for _, key := range w.Keys {
		entity := key
		if to, ok := joinKeyMap[key]; ok {
			entity = to
		}
		view.Keys = append(view.Keys, joins.Key{Entity: entity, Source: source[key]})
	}
	return view, names, source
}

func declared(w pit.View, names []string) []string {
	if w.Features != nil {
		return w.Features
	}
	return slices.DeleteFunc(names, func(name string) bool {
		return slices.Contains(w.Keys, name) || name == w.Timestamp || name == w.Created
	})
}

func usedView(rng *rand.Rand, u pit.Use, full bool) joins.View {
	view, names, source := vectorView(rng, u.View, u.JoinKeyMap)
	view.Name = u.Name
	features := u.Features
	if features == nil {
		features = declared(u.View, names)
	}
	for _, f := range features {
		name := f
		if full {
			name = u.Name + "__" + f
		}
		view.Features = append(view.Features, joins.Feature{Source: source[f], Name: name})
	}
	return view
}

// pullView is a view and the columns of its latest and all.
func pullView(rng *rand.Rand, w pit.View, features []string) (joins.View, []joins.Feature) {
	view, names, source := vectorView(rng, w, nil)
	if features == nil {
		features = declared(w, names)
	}
	var columns []joins.Feature
	for _, name := range slices.Concat(w.Keys, features, []string{w.Timestamp, w.Created}) {
		if name != "" && !slices.ContainsFunc(columns, func(f joins.Feature) bool { return f.Name == name }) {
			columns = append(columns, joins.Feature{Source: source[name], Name: name})
		}
	}
	return view, columns
}

func vectorReport(r *joins.Report) []pit.ViewReport {
	var out []pit.ViewReport
	for _, v := range r.Views {
		out = append(out, pit.ViewReport{
			View: v.View, Matched: v.Matched, Expired: v.Expired, NotYet: v.NotYet, UnknownKey: v.UnknownKey, NullKey: v.NullKey,
		})
	}
	return out
}
