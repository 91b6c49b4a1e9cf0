package flightsvc

import (
	"context"
	"errors"
	"io/fs"

	"github.com/apache/arrow/go/v15/arrow/flight"

	"github.com/flightd/flightd/internal/fault"
	"github.com/flightd/flightd/registry"
	"github.com/flightd/flightd/stores"
	"github.com/flightd/flightd/tickets"
)

// feastPut carries out a DoPut of a Feast client: a write, or the first of the three calls of a read (to 0.66). The status
// is the acknowledgement.
func (s *Server) feastPut(ctx context.Context, f *tickets.Feast, command []byte, up *incoming) error {
	if f.API.IsRead() {
		return s.park(ctx, command, up)
	}
	switch f.API {
	case tickets.ValidateDataSource:
		if err := up.drain(); err != nil {
			return err
		}
		return s.feast.Validate(ctx, f.Source)
	case tickets.OfflineWriteBatch:
		return s.feastWrite(ctx, f, up)
	case tickets.WriteLoggedFeatures:
		return s.feastLog(ctx, f.Log, up)
	case tickets.PersistDataset:
		rows, err := s.streamed(ctx, up, callOf(ctx).memory)
		if err != nil {
			return err
		}
		entities := feastRows(rows)
		if entities == nil {
			if err := up.drain(); err != nil {
				return err
			}
		}
		return s.feastPersist(ctx, f, entities)
	}
	return fault.New(fault.Unimplemented, "%s is not a write", f.API)
}

// feastWriting is what Feast's clients expect of a write: columns under either name, and its casts.
func feastWriting(c *call) stores.WriteOptions {
	return stores.WriteOptions{MixedNames: true, RoundFloats: true, Budget: c.memory}
}

func (s *Server) feastWrite(ctx context.Context, f *tickets.Feast, up *incoming) error {
	c := callOf(ctx)
	view, err := s.feast.Write(ctx, f.Write)
	if err != nil {
		return err
	}
	c.views = []string{view.Name}
	c.memory.passing()
	rows, err := s.passing(ctx, up, c.memory)
	if err != nil {
		return err
	}
	written, err := stores.WriteView(ctx, view, f.CommandID, *rows, feastWriting(c))
	c.rows = written.Rows
	return err
}

func (s *Server) feastLog(ctx context.Context, f *tickets.FeastLog, up *incoming) error {
	c := callOf(ctx)
	log, err := s.feast.Log(ctx, f)
	if err != nil {
		return err
	}
	c.memory.passing()
	rows, err := s.passing(ctx, up, c.memory)
	if err != nil {
		return err
	}
	written, err := stores.WriteLog(ctx, log.Service, *rows, feastWriting(c))
	c.rows = written.Rows
	return err
}

// feastPersist runs a retrieval and writes its answer to a data source.
func (s *Server) feastPersist(ctx context.Context, f *tickets.Feast, entities *stores.Rows) error {
	p, err := s.feast.Persist(ctx, f.Persist, entities)
	if err != nil {
		return err
	}
	if err := s.destinationIsFree(ctx, p); err != nil {
		return err
	}
	schema, records, err := s.feastRead(ctx, p.Read)
	if err != nil {
		return err
	}
	rows := stores.Rows{Schema: schema, Len: -1, Records: records}
	written, err := stores.Replace(ctx, p.Store, p.Source, p.AllowOverwrite, rows)
	callOf(ctx).rows = written.Rows
	if errors.Is(err, fs.ErrExist) {
		return registry.LocationExists(p.Location)
	}
	return err
}

// destinationIsFree refuses a destination that holds something, unless it may be overwritten, before the work is done. What
// decides is what the store finds at the end of it.
func (s *Server) destinationIsFree(ctx context.Context, p *registry.Persist) error {
	if p.AllowOverwrite {
		return nil
	}
	_, err := p.Store.Schema(ctx, p.Source)
	switch {
	case err == nil:
		return registry.LocationExists(p.Location)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, stores.ErrNoColumns):
		return nil
	}
	return err
}

// park keeps a read and its entity rows for the two calls that follow.
func (s *Server) park(ctx context.Context, command []byte, up *incoming) error {
	_, u, err := s.stageFor(ctx, up, string(command))
	callOf(ctx).rows = u.rows
	return err
}

// parkedInfo answers the second call: a ticket for the third.
func (s *Server) parkedInfo(ctx context.Context, d *flight.FlightDescriptor) (*flight.FlightInfo, error) {
	id, err := s.staging.parked(string(d.GetCmd()), callOf(ctx).caller)
	if err != nil {
		return nil, err
	}
	return &flight.FlightInfo{
		FlightDescriptor: d, TotalRecords: -1, TotalBytes: -1,
		Endpoint: []*flight.FlightEndpoint{{Ticket: &flight.Ticket{Ticket: []byte(parkedTicket + id)}}},
	}, nil
}

// parkedTicket begins the tickets of parked reads; what follows is a random id that only the caller may use.
const parkedTicket = "feast:"

// parkedAnswer answers the third call. The rows are let go when the answer has gone out. They are here, so the call waits for
// its place before it uses them.
func (s *Server) parkedAnswer(ctx context.Context, id string, out dataSender) error {
	c := callOf(ctx)
	if err := c.place.enter(ctx, s.reads, s.limits.QueueFor); err != nil {
		return err
	}
	command, rows, release, err := s.staging.parkedRows(id, c.caller)
	if err != nil {
		return err
	}
	c.atEnd = append(c.atEnd, release)
	if err := c.memory.Reserve(ctx, (ticketCopies-1)*int64(len(command))); err != nil {
		return err
	}
	f, err := s.feastCommand(ctx, tickets.DoPut, []byte(command))
	if err == nil && f == nil {
		err = fault.New(fault.Invalid, "what was put under this ticket is not a command of a Feast client")
	}
	if err != nil {
		return err
	}
	if err := s.feastAnswer(ctx, f, feastRows(rows), out); err != nil {
		return err
	}
	s.staging.remove(id)
	return nil
}
