package flightsvc

import (
	"context"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/flight"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/flightd/flightd/stores"
	"github.com/flightd/flightd/tickets"
)

// GetFlightInfo plans a request and says how to fetch it: the schema, and one ticket for each share.
func (s *Server) GetFlightInfo(ctx context.Context, d *flight.FlightDescriptor) (*flight.FlightInfo, error) {
	if f, err := s.feastCommand(ctx, tickets.GetFlightInfo, d.GetCmd()); err != nil || f != nil {
		if err != nil {
			return nil, err
		}
		return s.parkedInfo(ctx, d)
	}
	t, job, err := s.look(ctx, tickets.GetFlightInfo, d)
	if err != nil {
		return nil, err
	}
	info := &flight.FlightInfo{
		Schema:           flight.SerializeSchema(job.Schema(), memory.DefaultAllocator),
		FlightDescriptor: d, TotalRecords: job.Total, TotalBytes: -1,
	}
	if info.Endpoint, err = endpoints(ctx, t, job.Total); err != nil {
		return nil, err
	}
	return info, nil
}

// look plans a request without running it.
func (s *Server) look(ctx context.Context, call tickets.Call, d *flight.FlightDescriptor) (*tickets.Ticket, *stores.RetrievalJob, error) {
	if err := callOf(ctx).place.enter(ctx, s.plans, queueForReads); err != nil {
		return nil, nil, err
	}
	t, err := parseDescriptor(ctx, call, d)
	if err != nil {
		return nil, nil, err
	}
	if needsRows(t) {
		return t, nil, nil
	}
	entities, err := s.entityRows(ctx, t)
	if err != nil {
		return nil, nil, err
	}
	job, err := s.plan(ctx, t, entities)
	return t, job, err
}

// endpoints are those whose tickets together are the whole of t: one, or at most as many as its `parts` asks for. There
// are fewer where the answer has fewer rows, and where the tickets, each of which holds the entity rows, would become
// too many bytes.
func endpoints(ctx context.Context, t *tickets.Ticket, rows int64) ([]*flight.FlightEndpoint, error) {
	n := max(1, t.Parts)
	if t.Historical != nil && rows >= 0 {
		n = int(min(int64(n), max(1, rows)))
	}
	first, err := tickets.Encode(share(t, 0, n))
	if err != nil {
		return nil, err
	}
	n = min(n, max(1, infoBytes/(len(first)+8)))
	if err := callOf(ctx).memory.Reserve(ctx, 2*int64(n*len(first))); err != nil { // here, and on its way
		return nil, err
	}
	all := make([]*flight.FlightEndpoint, n)
	for i := range all {
		ticket, err := tickets.Encode(share(t, i, n))
		if err != nil {
			return nil, err
		}
		all[i] = &flight.FlightEndpoint{Ticket: &flight.Ticket{Ticket: ticket}}
	}
	return all, nil
}

// share is the ticket of the i-th of n shares of t.
func share(t *tickets.Ticket, i, n int) *tickets.Ticket {
	cut := *t
	cut.Parts = 0
	if n == 1 {
		return &cut
	}
	part := tickets.Part{Index: i, Of: n}
	if t.Historical != nil {
		h := *t.Historical
		h.Part = part
		cut.Historical = &h
	} else {
		a := *t.All
		a.Part = part
		cut.All = &a
	}
	return &cut
}

// GetSchema is the schema of the answer. A historical command without entity rows has none of their columns to show: the
// answer is that of the feature columns alone.
func (s *Server) GetSchema(ctx context.Context, d *flight.FlightDescriptor) (*flight.SchemaResult, error) {
	t, job, err := s.look(ctx, tickets.GetSchema, d)
	if err != nil {
		return nil, err
	}
	var schema *arrow.Schema
	if job != nil {
		schema = job.Schema()
	} else if schema, err = s.featureSchema(ctx, t); err != nil {
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
	callOf(ctx).sees(request)
	return stores.FeatureSchema(ctx, request.(*stores.Historical))
}
