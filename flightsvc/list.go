package flightsvc

import (
	"context"
	"encoding/json"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/flight"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/flightd/flightd/stores"
	"github.com/flightd/flightd/tickets"
)

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
	FullNames bool     `json:"full_feature_names,omitempty"` // of a service: it is answered with these only
	Error     string   `json:"error,omitempty"`              // why the schema is empty
}

// ListFlights lists every view (its `all`) and every service. A source that cannot be read has an empty schema here and
// an error where it is asked for.
func (s *Server) ListFlights(_ *flight.Criteria, stream flight.FlightService_ListFlightsServer) error {
	ctx := stream.Context()
	if err := callOf(ctx).place.enter(ctx, s.plans, queueForReads); err != nil {
		return err
	}
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
	schema, err := serviceSchema(ctx, c, sv.Name, false)
	if err != nil && ctx.Err() == nil {
		if full, fullErr := serviceSchema(ctx, c, sv.Name, true); fullErr == nil {
			schema, err, about.FullNames = full, nil, true // two of its features have one short name
		}
	}
	if err != nil {
		schema = arrow.NewSchema(nil, nil)
		if ctx.Err() != nil {
			return nil, err
		}
		about.Error = clip(err.Error())
	}
	return flightInfo([]string{"feature_service", sv.Name}, schema, nil, -1, about)
}

// serviceSchema is the schema of the features of a service.
func serviceSchema(ctx context.Context, c *stores.Catalog, name string, full bool) (*arrow.Schema, error) {
	request, err := c.Resolve(&tickets.Ticket{Historical: &tickets.Historical{FeatureService: name, FullFeatureNames: full}}, nil)
	if err != nil {
		return nil, err
	}
	return stores.FeatureSchema(ctx, request.(*stores.Historical))
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
