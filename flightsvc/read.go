package flightsvc

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"strings"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/flight"

	"github.com/flightd/flightd/internal/fault"
	"github.com/flightd/flightd/joins"
	"github.com/flightd/flightd/stores"
	"github.com/flightd/flightd/tickets"
)

// DoGet streams the answer to a ticket.
func (s *Server) DoGet(ticket *flight.Ticket, stream flight.FlightService_DoGetServer) error {
	ctx := stream.Context()
	if id, ok := strings.CutPrefix(string(ticket.GetTicket()), parkedTicket); ok && s.feast != nil {
		return s.parkedAnswer(ctx, id, stream)
	}
	t, err := parse(ctx, tickets.DoGet, ticket.GetTicket())
	if err != nil {
		return err
	}
	if err := callOf(ctx).place.enter(ctx, s.reads, queueForReads); err != nil {
		return err
	}
	entities, err := s.entityRows(ctx, t)
	if err != nil {
		return err
	}
	return s.answer(ctx, t, entities, stream)
}

// DoExchange streams the answer to a command whose entity rows are streamed in. It has a place among the uploads while
// they come, and among the retrievals from then on.
func (s *Server) DoExchange(stream flight.FlightService_DoExchangeServer) error {
	ctx := stream.Context()
	c := callOf(ctx)
	if err := c.place.enter(ctx, s.uploads, s.limits.QueueFor); err != nil {
		return err
	}
	up := &incoming{stream: stream, call: c}
	descriptor, err := up.descriptor(ctx)
	if err != nil {
		return err
	}
	if f, err := s.feastCommand(ctx, tickets.DoExchange, descriptor.GetCmd()); err != nil || f != nil {
		if err == nil {
			err = s.feastExchange(ctx, f, up, stream)
		}
		return up.heard(ctx, err)
	}
	t, err := parseDescriptor(ctx, tickets.DoExchange, descriptor)
	if err != nil {
		return err
	}
	entities, err := s.received(ctx, up, c)
	if err != nil {
		return err
	}
	return s.answer(ctx, t, entities, stream)
}

// received opens the entity rows of a DoExchange. All are received before the first is handed on, and the call has its place
// among the retrievals from then on.
func (s *Server) received(ctx context.Context, up *incoming, c *call) (*stores.Rows, error) {
	then := func() error { return c.place.enter(ctx, s.reads, s.limits.QueueFor) }
	if s.spill != nil {
		return s.spooled(ctx, up, c, then)
	}
	entities, err := s.streamed(ctx, up, c.memory)
	if err != nil {
		return nil, err
	}
	entities.Records = whole(entities.Records, then)
	return entities, nil
}

// whole collects records to the last one, calls then, and only then hands them on.
func whole(records iter.Seq2[arrow.Record, error], then func() error) iter.Seq2[arrow.Record, error] {
	return func(yield func(arrow.Record, error) bool) {
		var all []arrow.Record
		for rec, err := range records {
			if err != nil {
				yield(nil, err)
				return
			}
			all = append(all, rec)
		}
		if err := then(); err != nil {
			yield(nil, err)
			return
		}
		sequence(all)(yield)
	}
}

// answer is the way of every read: names to a request, the request to a job, the job's records to the stream.
func (s *Server) answer(ctx context.Context, t *tickets.Ticket, entities *stores.Rows, out dataSender) error {
	c := callOf(ctx)
	job, err := s.plan(ctx, t, entities)
	if err != nil {
		return err
	}
	c.trace = job.Trace
	a := newAnswer(out, job.Schema(), c.memory)
	err = a.stream(ctx, job.Records(ctx), func() []byte { return reportJSON(job.Report) })
	c.sent(a)
	return err
}

// plan resolves and plans a ticket against the catalog of this moment.
func (s *Server) plan(ctx context.Context, t *tickets.Ticket, entities *stores.Rows) (*stores.RetrievalJob, error) {
	c := callOf(ctx)
	defer c.planned()()
	catalog, err := s.catalog(ctx)
	if err != nil {
		return nil, err
	}
	request, err := catalog.Resolve(t, entities)
	if err != nil {
		return nil, err
	}
	c.sees(request)
	return stores.Plan(ctx, request, s.planOptions(c))
}

// planOptions are what the server lends to the jobs of a call: what all may hold of features at once is a share of its memory.
func (s *Server) planOptions(c *call) stores.Options {
	return stores.Options{
		Budget: c.memory, EntityRows: s.limits.EntityRows, EntityBytes: s.limits.Memory / spillShare, Indexes: s.indexes,
		GatherBytes: max(s.limits.Memory/int64(s.limits.Concurrent), 8<<20),
	}
}

// entityRows are the rows that a ticket itself brings: inline or staged. nil: it brings none.
func (s *Server) entityRows(ctx context.Context, t *tickets.Ticket) (*stores.Rows, error) {
	h := t.Historical
	switch {
	case h == nil:
		return nil, nil
	case h.EntityRowsID != "":
		c := callOf(ctx)
		rows, release, err := s.staging.rows(h.EntityRowsID, c.caller)
		if err == nil {
			c.atEnd = append(c.atEnd, release)
		}
		return rows, err
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

// parse reads a ticket or command, for which memory is reserved (ticketCopies). Feast's commands are recognised, so that
// their sender learns what is missing.
func parse(ctx context.Context, call tickets.Call, data []byte) (*tickets.Ticket, error) {
	t, err := tickets.ParseCommand(call, data)
	if err != nil {
		return nil, ticketError(err)
	}
	callOf(ctx).kind = t.Kind()
	return t, nil
}

func parseDescriptor(ctx context.Context, call tickets.Call, d *flight.FlightDescriptor) (*tickets.Ticket, error) {
	if d.GetType() != flight.DescriptorPATH {
		return parse(ctx, call, d.GetCmd())
	}
	t, err := tickets.ParsePath(call, d.GetPath())
	if err != nil {
		return nil, ticketError(err)
	}
	callOf(ctx).kind = t.Kind()
	return t, nil
}

func ticketError(err error) error {
	if errors.Is(err, tickets.ErrFeast) {
		return fault.New(fault.Unimplemented, "%w; Feast's clients read by DoExchange, or by the ticket of a GetFlightInfo, from a server of a Feast repository (--feast-repo DIR)", err)
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
