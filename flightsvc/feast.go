package flightsvc

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"slices"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/flight"

	"github.com/flightd/flightd/internal/fault"
	"github.com/flightd/flightd/ondemand"
	"github.com/flightd/flightd/registry"
	"github.com/flightd/flightd/stores"
	"github.com/flightd/flightd/tickets"
)

// feastCommand reads a command of a Feast client; nil if the command is one of ours, or nobody's.
func (s *Server) feastCommand(ctx context.Context, call tickets.Call, command []byte) (*tickets.Feast, error) {
	if _, err := tickets.ParseCommand(call, command); !errors.Is(err, tickets.ErrFeast) {
		return nil, nil
	}
	if s.feast == nil {
		return nil, fault.New(fault.Unimplemented, "%w; this server serves a flightd.yaml, and Feast's clients only with --feast-repo DIR", tickets.ErrFeast)
	}
	f, err := tickets.ParseFeast(call, command)
	if err != nil {
		return nil, feastParseError(err)
	}
	callOf(ctx).kind = string(f.API)
	return f, nil
}

func feastParseError(err error) error {
	var unknown *tickets.UnknownAPIError
	if errors.As(err, &unknown) && unknown.API != "" {
		return fault.New(fault.Unimplemented, "%w", err)
	}
	return fault.New(fault.Invalid, "%w", err)
}

// feastExchange answers a read of a Feast client that came with its entity rows (0.67 and later).
func (s *Server) feastExchange(ctx context.Context, f *tickets.Feast, up *incoming, out dataSender) error {
	c := callOf(ctx)
	rows, err := s.received(ctx, up, c)
	if err != nil {
		return err
	}
	if rows = feastRows(rows); rows != nil && f.Historical != nil {
		return s.feastAnswer(ctx, f, rows, out)
	}
	if err := up.drain(); err != nil {
		return err
	}
	if err := c.place.enter(ctx, s.reads, s.limits.QueueFor); err != nil {
		return err
	}
	return s.feastAnswer(ctx, f, nil, out)
}

// drain reads what is left of an upload that nobody wants. A call that ends well while its client still writes is taken for
// a broken one there.
func (in *incoming) drain() error {
	for {
		switch _, err := in.stream.Recv(); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// heard reads to its end the upload of a request that is refused. Feast's client turns an answer into its own error where it
// reads answers; one that it meets while it still writes reaches the user as pyarrow's. A client that waits for the answer
// before it goes on has it when nothing has come for a while.
func (in *incoming) heard(ctx context.Context, refusal error) error {
	switch fault.KindOf(refusal) {
	case fault.Invalid, fault.NotFound, fault.Precondition, fault.Unimplemented:
	default:
		return refusal
	}
	quiet := time.AfterFunc(quietUpload, func() { callOf(ctx).end(refusal) })
	defer quiet.Stop()
	for {
		if _, err := in.stream.Recv(); err != nil {
			return refusal // which the client has to know, whatever becomes of the upload
		}
		quiet.Reset(quietUpload)
	}
}

// quietUpload is how long an upload that nobody wants may be silent before the client is told so.
const quietUpload = 2 * time.Second

// feastRows are the entity rows of an upload; nil for the placeholder that clients send when they have none: one column
// of text that is called key.
func feastRows(rows *stores.Rows) *stores.Rows {
	fields := rows.Schema.Fields()
	if len(fields) == 1 && fields[0].Name == "key" && slices.Contains([]arrow.Type{arrow.STRING, arrow.LARGE_STRING}, fields[0].Type.ID()) {
		return nil
	}
	return rows
}

// feastAnswer plans a read and streams its answer. The call has a place among the retrievals, or will have one when the
// first of its entity rows is asked for.
func (s *Server) feastAnswer(ctx context.Context, f *tickets.Feast, entities *stores.Rows, out dataSender) error {
	c := callOf(ctx)
	schema, records, err := s.feastPlan(ctx, f, entities)
	if err != nil {
		return err
	}
	a := newAnswer(out, schema, c.memory)
	err = a.stream(ctx, records, func() []byte { return nil })
	c.sent(a)
	return err
}

// feastPlan turns a read into the schema and the records of its answer.
func (s *Server) feastPlan(ctx context.Context, f *tickets.Feast, entities *stores.Rows) (*arrow.Schema, iter.Seq2[arrow.Record, error], error) {
	var read *registry.Read
	var err error
	switch f.API {
	case tickets.GetHistoricalFeatures:
		read, err = s.feast.Historical(ctx, f.Historical, entities)
	case tickets.PullLatest, tickets.PullAll:
		read, err = s.feast.Pull(ctx, f.Pull, f.API == tickets.PullLatest)
	case tickets.GetColumns:
		job, err := s.feast.Columns(ctx, f.Source)
		if err != nil {
			return nil, nil, err
		}
		return job.Schema(), job.Records(ctx), nil
	default:
		err = fault.New(fault.Unimplemented, "%s is not a read", f.API)
	}
	if err != nil {
		return nil, nil, err
	}
	return s.feastRead(ctx, read)
}

// feastRead plans a read whose names have been looked up, on-demand views included.
func (s *Server) feastRead(ctx context.Context, read *registry.Read) (*arrow.Schema, iter.Seq2[arrow.Record, error], error) {
	c := callOf(ctx)
	c.sees(read.Request)
	job, err := read.Plan(ctx, s.planOptions(c))
	if err != nil {
		return nil, nil, err
	}
	c.trace = job.Trace
	if len(read.OnDemand) == 0 {
		return job.Schema(), job.Records(ctx), nil
	}
	return s.transformed(ctx, read, job)
}

// transformed lets the on-demand views' Python compute their features, and keeps the columns that were asked for.
func (s *Server) transformed(ctx context.Context, read *registry.Read, job *stores.RetrievalJob) (*arrow.Schema, iter.Seq2[arrow.Record, error], error) {
	if s.onDemand == nil {
		return nil, nil, fault.New(fault.Unimplemented, "on-demand feature view %q is Python code, which this server does not run; "+
			"start it with --feast-python PYTHON, a Python that has your Feast", read.OnDemand[0].View.Name)
	}
	full := read.Request.(*stores.Historical).FullFeatureNames
	var views []ondemand.View
	for _, r := range read.OnDemand {
		v := ondemand.View{Name: r.View.Name, Definition: r.View.Proto}
		for _, o := range r.Outputs {
			at := slices.IndexFunc(r.View.Outputs, func(f arrow.Field) bool { return f.Name == o.Feature })
			if at < 0 || r.View.Outputs[at].Type == nil {
				return nil, nil, fault.New(fault.Unimplemented, "on-demand feature view %q: its feature %q has a type that is not served", v.Name, o.Feature)
			}
			v.Outputs = append(v.Outputs, ondemand.Output{Feature: o.Feature, Type: r.View.Outputs[at].Type})
		}
		views = append(views, v)
	}
	t, err := ondemand.Bind(job.Schema(), views, full)
	if err != nil {
		return nil, nil, err
	}
	names := read.Answer(job.Schema())
	columns, fields := make([]int, len(names)), make([]arrow.Field, len(names))
	for i, name := range names {
		at := t.Schema().FieldIndices(name)
		if len(at) != 1 {
			return nil, nil, fault.New(fault.Invalid, "the answer has %d columns %q; ask for full feature names", len(at), name)
		}
		columns[i], fields[i] = at[0], t.Schema().Field(at[0])
	}
	schema := arrow.NewSchema(fields, nil)
	return schema, projected(schema, columns, s.onDemand.Apply(ctx, t, job.Records(ctx))), nil
}

// projected are records with some of their columns.
func projected(schema *arrow.Schema, columns []int, records iter.Seq2[arrow.Record, error]) iter.Seq2[arrow.Record, error] {
	return func(yield func(arrow.Record, error) bool) {
		for rec, err := range records {
			if err != nil {
				yield(nil, err)
				return
			}
			arrays := make([]arrow.Array, len(columns))
			for i, at := range columns {
				arrays[i] = rec.Column(at)
			}
			some := array.NewRecord(schema, arrays, rec.NumRows())
			more := yield(some, nil)
			some.Release()
			if !more {
				return
			}
		}
	}
}

// feastText is the text of a status as Feast's clients look for it: they raise the Python class that it names.
func feastText(err error) (string, bool) {
	var known *registry.Error
	if !errors.As(err, &known) {
		return "", false
	}
	text, marshalErr := json.Marshal(struct {
		Module  string `json:"module"`
		Class   string `json:"class"`
		Message string `json:"message"`
	}{known.Module(), known.Class, clip(known.Message)})
	if marshalErr != nil {
		return "", false
	}
	return "Flight error: " + string(text), true
}

// feastActions are what ListActions says to Feast's clients.
var feastActions = []*flight.ActionType{
	{Type: "offline_write_batch", Description: "DoPut: appends rows to the batch source of a feature view."},
	{Type: "write_logged_features", Description: "DoPut: appends logged features of a feature service to their destination."},
	{Type: "persist", Description: "DoPut: writes the answer of a retrieval to a registered data source."},
}
