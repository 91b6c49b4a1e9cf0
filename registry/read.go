package registry

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"regexp"
	"slices"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"github.com/flightd/flightd/internal/fault"
	"github.com/flightd/flightd/joins"
	"github.com/flightd/flightd/stores"
)

// Read is a read command of a Feast client with its names looked up.
type Read struct {
	Request stores.Request

	// OnDemand are on-demand views whose features are asked for. Their code is not run here: who can run it takes the
	// records of the job that Plan makes, adds the outputs as columns, and sends the columns that Answer names.
	OnDemand []OnDemandRead

	views    []source // where the rows come from, for messages
	features []string // feature columns in answer order; nil: a pull
	hidden   []string // feature columns that only on-demand views read
	utc      []string
	blank    string
	keys     []string // of a pull
}

// source is a view of a request and where its rows are, as the registry writes it.
type source struct {
	view *stores.FeatureView
	uri  string
}

// OnDemandRead is what a request wants of an on-demand view.
type OnDemandRead struct {
	View    *OnDemandView
	Outputs []OnDemandOutput // in request order
}

// OnDemandOutput is a feature of an on-demand view and the name of its column in the answer.
type OnDemandOutput struct{ Feature, Column string }

// Plan plans the read as stores.Plan does and gives its answer the shape that Feast's clients expect. Errors that they know
// by a class of their own have it.
func (r *Read) Plan(ctx context.Context, opt stores.Options) (*stores.RetrievalJob, error) {
	job, err := r.plan(ctx, opt)
	if err != nil {
		return nil, r.explain(ctx, err)
	}
	return job.Shaped(r.shape(job.Schema()))
}

func (r *Read) plan(ctx context.Context, opt stores.Options) (*stores.RetrievalJob, error) {
	if h, ok := r.Request.(*stores.Historical); ok && len(h.Features) == 0 {
		return rowsAlone(h, opt)
	}
	job, err := stores.Plan(ctx, r.Request, opt)
	if err != nil || r.features != nil {
		return job, err
	}
	return r.withoutIndex(ctx, job, opt)
}

// rowsAlone is a historical request for on-demand views that read nothing but what comes with the entity rows.
func rowsAlone(h *stores.Historical, opt stores.Options) (*stores.RetrievalJob, error) {
	schema, err := joins.AnswerSchema(h.Entities.Schema, h.Timestamp, nil)
	if err != nil {
		return nil, err
	}
	from := make([]int, len(schema.Fields()))
	for i, f := range schema.Fields() {
		from[i] = h.Entities.Schema.FieldIndices(f.Name)[0]
	}
	job := stores.NewJob(schema, func(context.Context) iter.Seq2[arrow.Record, error] {
		return func(yield func(arrow.Record, error) bool) {
			var rows int64
			for rec, err := range h.Entities.Records {
				if err == nil {
					if rows += rec.NumRows(); opt.EntityRows > 0 && rows > opt.EntityRows {
						err = fault.New(fault.Exhausted, "more than %d entity rows in one request (limits.entity_rows); "+
							"send them in several requests, or raise the limit", opt.EntityRows)
					}
				}
				if err != nil {
					yield(nil, err)
					return
				}
				columns := make([]arrow.Array, len(from))
				for i, at := range from {
					columns[i] = rec.Column(at)
				}
				out := array.NewRecord(schema, columns, rec.NumRows())
				more := yield(out, nil)
				out.Release()
				if !more {
					return
				}
			}
		}
	})
	job.Total = h.Entities.Len
	return job, nil
}

// shape says how the answer should look.
func (r *Read) shape(planned *arrow.Schema) stores.Shape {
	s := stores.Shape{UTC: r.utc, Blank: r.blank, Plain: r.features}
	if r.features == nil {
		s.Plain = fieldNames(planned)
		return s
	}
	s.Columns = slices.Concat(r.entityColumns(planned), r.features, r.hidden)
	return s
}

// entityColumns are the columns of a planned answer that are not features.
func (r *Read) entityColumns(planned *arrow.Schema) []string {
	features := setOf(r.features, r.hidden)
	return slices.DeleteFunc(fieldNames(planned), func(name string) bool { return features[name] })
}

// Answer are the columns of the answer in their order, given the schema of the planned job: its own, without what only
// on-demand views read, and then the outputs of these.
func (r *Read) Answer(planned *arrow.Schema) []string {
	hidden := setOf(r.hidden)
	columns := slices.DeleteFunc(fieldNames(planned), func(name string) bool { return hidden[name] })
	for _, o := range r.OnDemand {
		for _, out := range o.Outputs {
			columns = append(columns, out.Column)
		}
	}
	return columns
}

func fieldNames(s *arrow.Schema) []string {
	names := make([]string, len(s.Fields()))
	for i, f := range s.Fields() {
		names[i] = f.Name
	}
	return names
}

func setOf(lists ...[]string) map[string]bool {
	set := make(map[string]bool)
	for _, names := range lists {
		for _, name := range names {
			set[name] = true
		}
	}
	return set
}

// pandasIndex is how pandas calls index columns that have no name of their own.
var pandasIndex = regexp.MustCompile(`^__index_level_\d+__$`)

// withoutIndex plans a pull of all columns once more, without the index that pandas has written beside them.
func (r *Read) withoutIndex(ctx context.Context, job *stores.RetrievalJob, opt stores.Options) (*stores.RetrievalJob, error) {
	v := r.views[0].view
	names := fieldNames(job.Schema())
	if v.Features != nil || !slices.ContainsFunc(names, pandasIndex.MatchString) {
		return job, nil
	}
	without := *v
	without.Features = slices.DeleteFunc(names, func(name string) bool {
		return pandasIndex.MatchString(name) || name == v.Timestamp || name == v.Created || slices.Contains(v.Keys, name)
	})
	r.views[0].view = &without
	switch request := r.Request.(type) {
	case *stores.All:
		request.View = &without
	case *stores.Latest:
		request.View = &without
	}
	return stores.Plan(ctx, r.Request, opt)
}

// explain gives an error of planning the class that Feast has for it.
func (r *Read) explain(ctx context.Context, err error) error {
	var missing *stores.MissingColumnError
	switch {
	case errors.As(err, &missing) && r.features == nil:
		if missing.Role == "join key" {
			return missingJoinKeys(r.views[0].uri, r.keys, missing.Have)
		}
		return fault.New(fault.Invalid, "%w", missing) // the client named it, not the registry
	case errors.Is(err, fs.ErrNotExist):
		for _, v := range r.views {
			if errors.Is(stores.Check(ctx, v.view), fs.ErrNotExist) {
				return missingTable(v.uri)
			}
		}
	}
	return err
}
