package flightsvc

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/apache/arrow/go/v15/arrow/flight"

	"github.com/flightd/flightd/internal/fault"
	"github.com/flightd/flightd/joins"
	"github.com/flightd/flightd/stores"
	"github.com/flightd/flightd/tickets"
)

// DoGet streams the answer to a ticket.
func (s *Server) DoGet(ticket *flight.Ticket, stream flight.FlightService_DoGetServer) error {
	ctx := stream.Context()
	t, err := parse(tickets.DoGet, ticket.GetTicket())
	if err != nil {
		return err
	}
	leave, err := s.reads.enter(ctx, queueForReads)
	if err != nil {
		return err
	}
	defer leave()
	entities, err := s.entityRows(ctx, t)
	if err != nil {
		return err
	}
	return s.answer(ctx, t, entities, stream)
}

// DoExchange streams the answer to a command whose entity rows, if it needs any, are streamed in.
func (s *Server) DoExchange(stream flight.FlightService_DoExchangeServer) error {
	ctx := stream.Context()
	up := &incoming{stream: stream}
	descriptor, err := up.descriptor()
	if err != nil {
		return err
	}
	t, err := parseDescriptor(tickets.DoExchange, descriptor)
	if err != nil {
		return err
	}
	leave, err := s.reads.enter(ctx, s.limits.QueueFor)
	if err != nil {
		return err
	}
	defer leave()
	entities, err := s.entityRows(ctx, t)
	if err == nil && entities == nil && needsRows(t) {
		entities, err = s.receive(ctx, up, callOf(ctx).memory)
	}
	if err != nil {
		return err
	}
	return s.answer(ctx, t, entities, stream)
}

// answer is the way of every read: names to a request, the request to a job, the job's records to the stream.
func (s *Server) answer(ctx context.Context, t *tickets.Ticket, entities *stores.Rows, out dataSender) error {
	c := callOf(ctx)
	job, err := s.plan(ctx, t, entities)
	if err != nil {
		return err
	}
	c.trace = job.Trace
	a := newAnswer(out, job.Schema())
	err = a.stream(job.Records(ctx), func() []byte { return reportJSON(job.Report) })
	c.rows, c.bytes = a.rows, a.bytes
	return err
}

// plan resolves and plans a ticket against the catalog of this moment.
func (s *Server) plan(ctx context.Context, t *tickets.Ticket, entities *stores.Rows) (*stores.RetrievalJob, error) {
	c := callOf(ctx)
	c.kind = t.Kind()
	catalog, err := s.catalog(ctx)
	if err != nil {
		return nil, err
	}
	request, err := catalog.Resolve(t, entities)
	if err != nil {
		return nil, err
	}
	for _, v := range request.Views() {
		c.views = append(c.views, v.Name)
	}
	return stores.Plan(ctx, request, stores.Options{Budget: c.memory, EntityRows: s.limits.EntityRows})
}

// entityRows are the rows that a ticket itself brings: inline or staged. nil: it brings none.
func (s *Server) entityRows(ctx context.Context, t *tickets.Ticket) (*stores.Rows, error) {
	h := t.Historical
	switch {
	case h == nil:
		return nil, nil
	case h.EntityRowsID != "":
		return s.staging.rows(h.EntityRowsID, callOf(ctx).caller)
	case h.EntityRows != nil:
		return s.inline(ctx, h.EntityRows)
	}
	return nil, nil
}

// needsRows reports whether a ticket can only be answered with rows that come beside it.
func needsRows(t *tickets.Ticket) bool {
	h := t.Historical
	return h != nil && h.EntityRows == nil && h.EntityRowsID == "" && h.End.IsZero()
}

// parse reads a ticket or command. Feast's commands are recognised, so that their sender learns what is missing.
func parse(call tickets.Call, data []byte) (*tickets.Ticket, error) {
	t, err := tickets.ParseCommand(call, data)
	return t, ticketError(err)
}

func parseDescriptor(call tickets.Call, d *flight.FlightDescriptor) (*tickets.Ticket, error) {
	if d.GetType() == flight.DescriptorPATH {
		t, err := tickets.ParsePath(call, d.GetPath())
		return t, ticketError(err)
	}
	return parse(call, d.GetCmd())
}

func ticketError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, tickets.ErrFeast):
		return fault.New(fault.Unimplemented, "%w; Feast clients are not served yet", err)
	}
	return fault.New(fault.Invalid, "%w", err)
}

// reportJSON is a match report as the metadata of the last batch; nil if none was asked for.
func reportJSON(r *joins.Report) []byte {
	if r == nil {
		return nil
	}
	type counts struct {
		Rows       int64 `json:"rows"`
		Matched    int64 `json:"matched"`
		Expired    int64 `json:"expired"`
		NotYet     int64 `json:"not_yet"`
		UnknownKey int64 `json:"unknown_key"`
		NullKey    int64 `json:"null_key"`
	}
	views := make(map[string]counts, len(r.Views))
	for _, v := range r.Views {
		views[v.View] = counts{v.Rows, v.Matched, v.Expired, v.NotYet, v.UnknownKey, v.NullKey}
	}
	data, _ := json.Marshal(map[string]any{"views": views}) // a map of plain numbers always encodes
	return data
}
