package flightsvc

import (
	"context"
	"encoding/json"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/flight"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/flightd/flightd/internal/fault"
	"github.com/flightd/flightd/stores"
	"github.com/flightd/flightd/tickets"
)

// GetFlightInfo plans a request and says how to fetch it: the schema, and one ticket for each share.
func (s *Server) GetFlightInfo(ctx context.Context, d *flight.FlightDescriptor) (*flight.FlightInfo, error) {
	t, err := parseDescriptor(tickets.GetFlightInfo, d)
	if err != nil {
		return nil, err
	}
	entities, err := s.entityRows(ctx, t)
	if err != nil {
		return nil, err
	}
	job, err := s.plan(ctx, t, entities)
	if err != nil {
		return nil, err
	}
	info := &flight.FlightInfo{
		Schema:           flight.SerializeSchema(job.Schema(), memory.DefaultAllocator),
		FlightDescriptor: d, TotalRecords: job.Total, TotalBytes: -1,
	}
	for _, share := range shares(t) {
		ticket, err := tickets.Encode(share)
		if err != nil {
			return nil, err
		}
		info.Endpoint = append(info.Endpoint, &flight.FlightEndpoint{Ticket: &flight.Ticket{Ticket: ticket}})
	}
	return info, nil
}

// shares are the tickets that together are the whole of t: one, or as many as its `parts` asks for.
func shares(t *tickets.Ticket) []*tickets.Ticket {
	whole := *t
	whole.Parts = 0
	if t.Parts == 0 {
		return []*tickets.Ticket{&whole}
	}
	all := make([]*tickets.Ticket, t.Parts)
	for i := range all {
		share := whole
		part := tickets.Part{Index: i, Of: t.Parts}
		if t.Historical != nil {
			h := *t.Historical
			h.Part = part
			share.Historical = &h
		} else {
			a := *t.All
			a.Part = part
			share.All = &a
		}
		all[i] = &share
	}
	return all
}

// GetSchema is the schema of the answer. A historical command without entity rows has none of their columns to show: the
// answer is that of the feature columns alone.
func (s *Server) GetSchema(ctx context.Context, d *flight.FlightDescriptor) (*flight.SchemaResult, error) {
	t, err := parseDescriptor(tickets.GetSchema, d)
	if err != nil {
		return nil, err
	}
	entities, err := s.entityRows(ctx, t)
	if err != nil {
		return nil, err
	}
	var schema *arrow.Schema
	if entities == nil && needsRows(t) {
		schema, err = s.featureSchema(ctx, t)
	} else {
		var job *stores.RetrievalJob
		if job, err = s.plan(ctx, t, entities); err == nil {
			schema = job.Schema()
		}
	}
	if err != nil {
		return nil, err
	}
	return &flight.SchemaResult{Schema: flight.SerializeSchema(schema, memory.DefaultAllocator)}, nil
}

func (s *Server) featureSchema(ctx context.Context, t *tickets.Ticket) (*arrow.Schema, error) {
	catalog, err := s.catalog(ctx)
	if err != nil {
		return nil, err
	}
	request, err := catalog.Resolve(t, nil)
	if err != nil {
		return nil, err
	}
	return stores.FeatureSchema(ctx, request.(*stores.Historical))
}

// listing is what ListFlights says of a view or service beside its schema, as JSON in app_metadata.
type listing struct {
	Kind      string   `json:"kind"`
	Name      string   `json:"name"`
	Keys      []string `json:"keys,omitempty"`
	Features  []string `json:"features"`
	Timestamp string   `json:"timestamp,omitempty"`
	Created   string   `json:"created,omitempty"`
	TTL       string   `json:"ttl,omitempty"`
	Source    string   `json:"source,omitempty"`
	Error     string   `json:"error,omitempty"` // why the schema is empty
}

// ListFlights lists every view (its `all`) and every service. A source that cannot be read has an empty schema here and
// an error where it is asked for.
func (s *Server) ListFlights(_ *flight.Criteria, stream flight.FlightService_ListFlightsServer) error {
	ctx := stream.Context()
	catalog, err := s.catalog(ctx)
	if err != nil {
		return err
	}
	for _, v := range catalog.Views() {
		info, err := viewInfo(ctx, v)
		if err != nil {
			return err
		}
		if err := stream.Send(info); err != nil {
			return err
		}
	}
	for _, sv := range catalog.Services() {
		info, err := serviceInfo(ctx, catalog, sv)
		if err != nil {
			return err
		}
		if err := stream.Send(info); err != nil {
			return err
		}
	}
	return nil
}

func viewInfo(ctx context.Context, v *stores.FeatureView) (*flight.FlightInfo, error) {
	about := listing{
		Kind: "feature_view", Name: v.Name, Keys: v.Keys, Features: v.Features,
		Timestamp: v.Timestamp, Created: v.Created, Source: v.Source.String(),
	}
	if v.TTL > 0 {
		about.TTL = v.TTL.String()
	}
	total := int64(-1)
	schema := arrow.NewSchema(nil, nil)
	job, err := stores.Plan(ctx, &stores.All{View: v}, stores.Options{})
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, err
	case err != nil:
		about.Error = clip(err.Error())
	default:
		schema, total = job.Schema(), job.Total
		if about.Features == nil {
			about.Features = otherColumns(schema, v)
		}
	}
	ticket, err := tickets.Encode(&tickets.Ticket{All: &tickets.All{View: v.Name}})
	if err != nil {
		return nil, err
	}
	return flightInfo([]string{v.Name}, schema, ticket, total, about)
}

// otherColumns are the features of a view that lists none, found in the schema of its `all`.
func otherColumns(schema *arrow.Schema, v *stores.FeatureView) []string {
	n := len(schema.Fields()) - len(v.Keys) - 1
	if v.Created != "" {
		n--
	}
	features := make([]string, 0, n)
	for _, f := range schema.Fields()[len(v.Keys):][:n] {
		features = append(features, f.Name)
	}
	return features
}

func serviceInfo(ctx context.Context, c *stores.Catalog, sv *stores.FeatureService) (*flight.FlightInfo, error) {
	about := listing{Kind: "feature_service", Name: sv.Name}
	for _, ref := range sv.Features {
		about.Features = append(about.Features, ref.String())
	}
	schema := arrow.NewSchema(nil, nil)
	request, err := c.Resolve(&tickets.Ticket{Historical: &tickets.Historical{FeatureService: sv.Name}}, nil)
	if err == nil {
		var features *arrow.Schema
		if features, err = stores.FeatureSchema(ctx, request.(*stores.Historical)); err == nil {
			schema = features
		}
	}
	if err != nil {
		if ctx.Err() != nil {
			return nil, err
		}
		about.Error = clip(err.Error())
	}
	return flightInfo([]string{"feature_service", sv.Name}, schema, nil, -1, about)
}

// flightInfo has no endpoint where there is no ticket: a service needs entity rows, so nothing can be fetched as it is.
func flightInfo(path []string, schema *arrow.Schema, ticket []byte, total int64, about listing) (*flight.FlightInfo, error) {
	metadata, err := json.Marshal(about)
	if err != nil {
		return nil, err
	}
	info := &flight.FlightInfo{
		Schema:           flight.SerializeSchema(schema, memory.DefaultAllocator),
		FlightDescriptor: &flight.FlightDescriptor{Type: flight.DescriptorPATH, Path: path},
		TotalRecords:     total, TotalBytes: -1, AppMetadata: metadata,
	}
	if ticket != nil {
		info.Endpoint = []*flight.FlightEndpoint{{Ticket: &flight.Ticket{Ticket: ticket}}}
	}
	return info, nil
}

// DoAction and ListActions: explain alone, until Feast's actions come.
const explainAction = "flightd.explain"

// ListActions lists what DoAction takes.
func (s *Server) ListActions(_ *flight.Empty, stream flight.FlightService_ListActionsServer) error {
	return stream.Send(&flight.ActionType{Type: explainAction,
		Description: "Runs a ticket, throws the answer away, and returns as JSON what was read, what was skipped and how."})
}

// DoAction runs an action.
func (s *Server) DoAction(action *flight.Action, stream flight.FlightService_DoActionServer) error {
	if action.GetType() != explainAction {
		return fault.New(fault.Unimplemented, "no action %q; there is %q", clip(action.GetType()), explainAction)
	}
	body, err := s.explain(stream.Context(), action.GetBody())
	if err != nil {
		return err
	}
	return stream.Send(&flight.Result{Body: body})
}

// explain runs a request to its end, because what is skipped depends on what is in the rows.
func (s *Server) explain(ctx context.Context, ticket []byte) ([]byte, error) {
	t, err := parse(tickets.DoGet, ticket)
	if err != nil {
		return nil, err
	}
	leave, err := s.reads.enter(ctx, queueForReads)
	if err != nil {
		return nil, err
	}
	defer leave()
	entities, err := s.entityRows(ctx, t)
	if err != nil {
		return nil, err
	}
	job, err := s.plan(ctx, t, entities)
	if err != nil {
		return nil, err
	}
	c := callOf(ctx)
	c.trace = job.Trace
	for rec, err := range job.Records(ctx) {
		if err != nil {
			return nil, err
		}
		c.rows += rec.NumRows()
	}
	return json.Marshal(struct {
		Plan         []string `json:"plan"`
		Rows         int64    `json:"rows"`
		PartsRead    int64    `json:"parts_read"`
		PartsSkipped int64    `json:"parts_skipped"`
		RowsRead     int64    `json:"rows_read"`
		Fetched      int64    `json:"feature_rows_fetched"`
		Memory       int64    `json:"memory_reserved_bytes"`
	}{job.Trace.Plan, c.rows, job.Trace.PartsRead, job.Trace.PartsSkipped, job.Trace.RowsRead, job.Trace.Matched, c.memory.peak.Load()})
}
