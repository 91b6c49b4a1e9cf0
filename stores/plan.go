package stores

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/flightd/flightd/internal/arrowsize"
	"github.com/flightd/flightd/internal/fault"
	"github.com/flightd/flightd/internal/lent"
	"github.com/flightd/flightd/internal/nearest"
	"github.com/flightd/flightd/joins"
)

// Options are what a server lends to the jobs that it plans. The zero value is usable.
type Options struct {
	Budget     joins.Budget // nil: unlimited
	EntityRows int64        // greatest number of entity rows; 0: unlimited

	// EntityBytes is how many bytes of entity rows are joined at once, if their memory can be given back by and by; 0: all.
	EntityBytes int64

	Threads int // 0: one for each core

	// GatherBytes is how many bytes of features one job holds at once; 0: joins' own default.
	GatherBytes int64

	Indexes *joins.IndexCache // of files that do not change, for all jobs; nil: none are kept
}

// Plan turns a request into a job: it opens the sources and reads their schemas, finds every error that can be found
// without reading rows, and reads no rows. A store that can answer the whole request itself is asked first.
func Plan(ctx context.Context, r Request, opt Options) (*RetrievalJob, error) {
	if job, err := planInStore(ctx, r); !errors.Is(err, errors.ErrUnsupported) {
		return job, err
	}
	switch r := r.(type) {
	case *Historical:
		return planHistorical(ctx, r, opt)
	case *Latest:
		return planLatest(ctx, r, opt)
	case *All:
		return planAll(ctx, r, opt)
	}
	return nil, fmt.Errorf("a request of type %T cannot be planned", r)
}

// planInStore asks the store that holds all views of the request, if there is one and it plans.
func planInStore(ctx context.Context, r Request) (*RetrievalJob, error) {
	views := r.Views()
	if len(views) == 0 {
		return nil, fault.New(fault.Invalid, "no features are requested")
	}
	for _, v := range views {
		if v.Store != views[0].Store {
			return nil, errors.ErrUnsupported
		}
	}
	planner, ok := views[0].Store.(PlanningStore)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	return planner.Plan(ctx, r)
}

func planLatest(ctx context.Context, r *Latest, opt Options) (*RetrievalJob, error) {
	b, columns, err := bindPull(ctx, r.View, r.Features, r.SourceOrder)
	if err != nil {
		return nil, err
	}
	view := b.joinView(b.Name, nil)
	job := NewJob(b.pullSchema(columns), nil)
	job.records = func(ctx context.Context) iter.Seq2[arrow.Record, error] {
		return joins.Latest(opt.lend(ctx), view, columns, r.Window, opt.joins(job))
	}
	return job, nil
}

func planAll(ctx context.Context, r *All, opt Options) (*RetrievalJob, error) {
	b, columns, err := bindPull(ctx, r.View, r.Features, r.SourceOrder)
	if err != nil {
		return nil, err
	}
	view := b.joinView(b.Name, nil)
	job := NewJob(b.pullSchema(columns), nil)
	if r.Window == (joins.Window{}) && r.Share == (joins.Share{}) {
		job.Total = rowsOf(b.table)
	}
	job.records = func(ctx context.Context) iter.Seq2[arrow.Record, error] {
		return joins.All(opt.lend(ctx), view, columns, r.Window, r.Share, opt.joins(job))
	}
	return job, nil
}

// rowsOf is the number of rows of a table, -1 if a part does not know its own.
func rowsOf(t joins.Table) int64 {
	var rows int64
	for _, p := range t.Parts() {
		if p.Rows < 0 {
			return -1
		}
		rows += p.Rows
	}
	return rows
}

func bindPull(ctx context.Context, v *FeatureView, features []string, sourceOrder bool) (*boundView, []joins.Feature, error) {
	b, err := bind(ctx, v)
	if err != nil {
		return nil, nil, err
	}
	columns, err := b.pullColumns(features)
	if sourceOrder {
		slices.SortFunc(columns, func(x, y joins.Feature) int { return slices.Index(b.names, x.Name) - slices.Index(b.names, y.Name) })
	}
	return b, columns, err
}

func planHistorical(ctx context.Context, r *Historical, opt Options) (*RetrievalJob, error) {
	views, err := bindFeatures(ctx, r)
	if err != nil {
		return nil, err
	}
	p := &historicalPlan{request: r, views: views, options: opt}
	entities, err := p.entitySchema()
	if err != nil {
		return nil, err
	}
	if p.time, err = joins.EntityTime(entities, r.Timestamp); err != nil {
		return nil, err
	}
	schema, err := joins.AnswerSchema(entities, p.time, views)
	if err != nil {
		return nil, err
	}
	job := NewJob(schema, nil)
	if r.Report {
		job.Report = new(joins.Report)
	}
	if r.Entities != nil && r.Entities.Len >= 0 {
		lo, hi := r.Share.Range(r.Entities.Len)
		job.Total = hi - lo
	}
	job.records = func(ctx context.Context) iter.Seq2[arrow.Record, error] { return p.run(opt.lend(ctx), job) }
	return job, nil
}

// bindFeatures binds the requested views, each with its features and their names in the answer.
func bindFeatures(ctx context.Context, r *Historical) ([]joins.View, error) {
	bound := make(map[*FeatureView]*boundView)
	var views []joins.View
	for _, f := range r.Features {
		b := bound[f.View]
		if b == nil {
			var err error
			if b, err = bind(ctx, f.View); err != nil {
				return nil, err
			}
			bound[f.View] = b
		}
		features, err := b.pick(f.Features)
		if err != nil {
			return nil, err
		}
		for from := range f.JoinKeyMap {
			if !slices.Contains(b.Keys, from) {
				return nil, fault.New(fault.Invalid, "join key map of %q: the view has no join key %s; %s",
					f.Name(), nearest.Quote(from), nearest.Hint(from, b.Keys))
			}
		}
		view := b.joinView(f.Name(), f.JoinKeyMap)
		for _, name := range features {
			out := name
			if r.FullFeatureNames {
				out = f.Name() + "__" + name
			}
			view.Features = append(view.Features, joins.Feature{Source: b.column(name), Name: out})
		}
		views = append(views, view)
	}
	return views, nil
}

// historicalPlan is a historical request with its views bound.
type historicalPlan struct {
	request *Historical
	views   []joins.View
	time    string // event time column of the entity rows
	options Options
}

// entitySchema is the schema of the entity rows, those of a request without rows included.
func (p *historicalPlan) entitySchema() (*arrow.Schema, error) {
	if p.request.Entities != nil {
		return p.request.Entities.Schema, nil
	}
	return joins.TimelineSchema(p.views)
}

func (p *historicalPlan) run(ctx context.Context, job *RetrievalJob) iter.Seq2[arrow.Record, error] {
	return func(yield func(arrow.Record, error) bool) {
		if e := p.request.Entities; e != nil && e.Release != nil {
			p.runInPieces(ctx, job, yield)
			return
		}
		entities, release, err := p.entities(ctx, job)
		if err != nil {
			yield(nil, err)
			return
		}
		defer release()
		p.join(ctx, job, entities, yield)
	}
}

// join joins features to entity rows. It reports whether more are wanted.
func (p *historicalPlan) join(ctx context.Context, job *RetrievalJob, entities joins.Entities, yield func(arrow.Record, error) bool) bool {
	opt := p.options.joins(job)
	opt.KnownAt, opt.Report = p.request.KnownAt, job.Report
	for rec, err := range joins.PointInTime(ctx, entities, p.views, opt) {
		if !yield(rec, err) || err != nil {
			return false
		}
	}
	return true
}

// entities collects the entity rows of the request's share.
func (p *historicalPlan) entities(ctx context.Context, job *RetrievalJob) (e joins.Entities, release func(), err error) {
	opt := p.options.joins(job)
	switch {
	case p.request.Entities != nil:
		e, release, err = collect(ctx, *p.request.Entities, p.options)
	case p.request.Mode == Snapshot:
		e, err = joins.Snapshot(ctx, p.views, p.request.Window, p.options.EntityRows, opt)
	default:
		e, err = joins.Timeline(ctx, p.views, p.request.Window, p.options.EntityRows, opt)
	}
	if err == nil && release == nil {
		release, err = p.options.hold(ctx, e)
	}
	if err != nil {
		return e, nil, err
	}
	e.Time = p.time
	lo, hi := p.request.Share.Range(e.Rows())
	return e.Slice(lo, hi), release, nil
}

// hold reserves the memory of entity rows that were made here, until they are released.
func (o Options) hold(ctx context.Context, e joins.Entities) (release func(), err error) {
	var bytes int64
	for _, rec := range e.Records {
		bytes += arrowsize.Rows(rec)
	}
	if o.Budget != nil {
		err = o.Budget.Reserve(ctx, bytes)
	}
	give := func() {
		for _, rec := range e.Records {
			rec.Release()
		}
	}
	if err != nil {
		give()
		return nil, err
	}
	return func() {
		give()
		if o.Budget != nil {
			o.Budget.Release(bytes)
		}
	}, nil
}

// lend is a context for the stores that read for a job: each of its readers may take what a job may hold of features, and
// asks the budget for more.
func (o Options) lend(ctx context.Context) context.Context {
	if o.Budget == nil {
		return ctx
	}
	free := o.GatherBytes
	if free == 0 {
		free = 256 << 20
	}
	return lent.With(ctx, lent.Memory{Budget: o.Budget, Free: max(free, leastFree)})
}

// leastFree is what a reader needs for the usual pages of a few columns.
const leastFree = 32 << 20

func (o Options) joins(job *RetrievalJob) joins.Options {
	return joins.Options{Threads: o.Threads, Budget: o.Budget, Trace: job.Trace, GatherBytes: o.GatherBytes, Indexes: o.Indexes}
}

// pullSchema is the schema of latest and all.
func (b *boundView) pullSchema(columns []joins.Feature) *arrow.Schema {
	fields := make([]arrow.Field, len(columns))
	for i, c := range columns {
		f := b.fields[c.Name]
		fields[i] = arrow.Field{Name: c.Name, Type: f.Type, Nullable: true, Metadata: f.Metadata}
	}
	return arrow.NewSchema(fields, nil)
}

// Check opens the source of a view and finds its columns, as a request would, and reads no rows. It is stricter than a
// request: every column that the view gives another name must be there.
func Check(ctx context.Context, v *FeatureView) error {
	b, err := bind(ctx, v)
	if err != nil {
		return err
	}
	for _, column := range slices.Sorted(maps.Keys(v.FieldMapping)) {
		if schema := b.table.Schema(); !schema.HasField(column) {
			var have []string
			for _, f := range schema.Fields() {
				have = append(have, f.Name)
			}
			return fmt.Errorf("feature view %q: %w", v.Name, &fault.Error{Kind: fault.Precondition,
				Err: &MissingColumnError{Source: v.Source.String(), Role: "field_mapping", Column: column, Have: have}})
		}
	}
	return nil
}

// FeatureSchema is the schema of a historical answer without the columns of its entity rows.
func FeatureSchema(ctx context.Context, r *Historical) (*arrow.Schema, error) {
	views, err := bindFeatures(ctx, r)
	if err != nil {
		return nil, err
	}
	var fields []arrow.Field
	seen := make(map[string]string)
	for _, v := range views {
		for _, f := range v.Features {
			if other, twice := seen[f.Name]; twice {
				return nil, fault.New(fault.Invalid, "two features have the name %q, one of %q and one of %q; "+
					"ask for full feature names (full_feature_names, --full-names)", f.Name, other, v.Name)
			}
			seen[f.Name] = v.Name
			source, _ := v.Table.Schema().FieldsByName(f.Source)
			fields = append(fields, arrow.Field{Name: f.Name, Type: source[0].Type, Nullable: true, Metadata: source[0].Metadata})
		}
	}
	return arrow.NewSchema(fields, nil), nil
}
