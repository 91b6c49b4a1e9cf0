package flightsvc

import (
	"context"
	"encoding/json"
	"io"
	"iter"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/flight"
	"google.golang.org/protobuf/proto"

	"github.com/flightd/flightd/internal/fault"
	"github.com/flightd/flightd/internal/ipcguard"
	"github.com/flightd/flightd/stores"
	"github.com/flightd/flightd/tickets"
)

// dataReceiver is the receiving half of DoPut and DoExchange.
type dataReceiver interface {
	Recv() (*flight.FlightData, error)
}

// incoming reads the messages of a client's stream: first the descriptor, then those that carry data. It implements
// ipcguard.Source.
type incoming struct {
	stream dataReceiver
	call   *call
	named  *flight.FlightDescriptor
	first  *flight.FlightData // that came with the descriptor; nil: it has been read
}

// descriptor reads the first message, which names the command and may already carry the schema. What else is in it is let
// go: nobody asks for it, and the call may be long.
func (in *incoming) descriptor(ctx context.Context) (*flight.FlightDescriptor, error) {
	msg, err := in.stream.Recv()
	if err == io.EOF || err == nil && msg.GetFlightDescriptor() == nil {
		return nil, fault.New(fault.Invalid, "the first message of the stream has no flight descriptor")
	}
	if err != nil {
		return nil, err
	}
	in.named = msg.FlightDescriptor
	in.first = &flight.FlightData{DataHeader: msg.DataHeader, DataBody: msg.DataBody}
	named := int64(proto.Size(in.named))
	in.call.holds(named + int64(len(msg.DataHeader)+len(msg.DataBody)))
	in.call.keeps(named)
	return in.named, in.call.memory.Reserve(ctx, (ticketCopies-1)*named)
}

// Next returns the next message with data. Others may come at any time, with metadata alone or the descriptor once more,
// as pyarrow sends it with the schema. Another descriptor, and data without a header that says what it is, are refused.
func (in *incoming) Next() (header, body []byte, err error) {
	for {
		msg := in.first
		if in.first = nil; msg == nil {
			if msg, err = in.stream.Recv(); err != nil {
				return nil, nil, err
			}
		}
		switch d := msg.GetFlightDescriptor(); {
		case d != nil && !proto.Equal(d, in.named):
			return nil, nil, fault.New(fault.Invalid, "the stream has a second flight descriptor that differs from its first")
		case len(msg.GetDataHeader()) > 0:
			return msg.DataHeader, msg.DataBody, nil
		case len(msg.GetDataBody()) > 0:
			return nil, nil, fault.New(fault.Invalid, "a message of the stream has a body of %d bytes and no header", len(msg.DataBody))
		}
	}
}

// handed lends memory to a reader of incoming messages: that of the message which it has just been handed is reserved
// already, by the call, and becomes the account's.
type handed struct {
	*account
	call *call
}

func (h handed) Reserve(ctx context.Context, bytes int64) error {
	here := min(bytes, h.call.message)
	h.call.keeps(here)
	h.call.memory.hand(h.account, here)
	return h.account.Reserve(ctx, bytes-here)
}

// streamed opens the entity rows that follow a descriptor. A client that closes its side without a schema has sent no
// entity rows, which is not the same as a table of zero rows.
func (s *Server) streamed(ctx context.Context, up *incoming, memory *account) (*stores.Rows, error) {
	r, err := s.reader(ctx, up, handed{memory, up.call})
	if err != nil {
		return nil, err
	}
	return &stores.Rows{Schema: r.Schema(), Len: -1, Records: s.bounded(r.Records())}, nil
}

// passing opens rows that are to be written: the memory of each record is given back when the next one is asked for.
func (s *Server) passing(ctx context.Context, up *incoming, memory *account) (*stores.Rows, error) {
	r, err := s.reader(ctx, up, handed{memory, up.call})
	if err != nil {
		return nil, err
	}
	return &stores.Rows{Schema: r.Schema(), Len: -1, Records: func(yield func(arrow.Record, error) bool) {
		defer r.Release()
		for rec, err := range r.Records() {
			if !yield(rec, err) {
				return
			}
			r.Release()
		}
	}}, nil
}

func (s *Server) reader(ctx context.Context, up ipcguard.Source, memory handed) (*ipcguard.Reader, error) {
	r, err := ipcguard.NewReader(ctx, up, s.guard(memory))
	if err == io.EOF {
		return nil, fault.New(fault.Invalid, "no rows came: the stream ended without a schema")
	}
	return r, err
}

// inline reads entity rows that stand in the ticket itself.
func (s *Server) inline(ctx context.Context, stream []byte) (*stores.Rows, error) {
	const key = "historical.entity_rows"
	r, err := ipcguard.NewReader(ctx, ipcguard.Bytes(stream), s.guard(callOf(ctx).memory))
	if err == io.EOF {
		return nil, fault.New(fault.Invalid, "%s: the Arrow IPC stream is empty", key)
	}
	if err != nil {
		return nil, within(key, err)
	}
	var records []arrow.Record
	var rows int64
	for rec, err := range s.bounded(r.Records()) {
		if err != nil {
			return nil, within(key, err)
		}
		records = append(records, rec)
		rows += rec.NumRows()
	}
	return &stores.Rows{Schema: r.Schema(), Len: rows, Records: sequence(records)}, nil
}

// within says where in a ticket an error was. It stays of its kind.
func within(key string, err error) error {
	if fault.IsContext(err) {
		return err
	}
	return fault.New(fault.KindOf(err), "%s: %w", key, err)
}

func (s *Server) guard(memory ipcguard.Budget) ipcguard.Limits {
	return ipcguard.Limits{Message: s.messageLimit().bytes, Budget: memory}
}

// bounded ends the stream of entity rows with an error when there are too many.
func (s *Server) bounded(records iter.Seq2[arrow.Record, error]) iter.Seq2[arrow.Record, error] {
	return func(yield func(arrow.Record, error) bool) {
		var rows int64
		for rec, err := range records {
			if err == nil {
				if rows += rec.NumRows(); rows > s.limits.EntityRows {
					rec, err = nil, fault.New(fault.Exhausted, "more than %d entity rows in one request (limits.entity_rows); "+
						"send them in several requests, or raise the limit", s.limits.EntityRows)
				}
			}
			if !yield(rec, err) || err != nil {
				return
			}
		}
	}
}

// DoPut takes rows: to be staged for later calls, or to be written.
func (s *Server) DoPut(stream flight.FlightService_DoPutServer) error {
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
	if f, err := s.feastCommand(ctx, tickets.DoPut, descriptor.GetCmd()); err != nil || f != nil {
		if err == nil {
			err = s.feastPut(ctx, f, descriptor.GetCmd(), up)
		}
		return up.heard(ctx, err)
	}
	t, err := parseDescriptor(ctx, tickets.DoPut, descriptor)
	if err != nil {
		return err
	}
	var answer any
	if t.EntityRows != nil {
		answer, err = s.putEntityRows(ctx, up)
	} else {
		answer, err = s.putWrite(ctx, t, up)
	}
	if err != nil {
		return err
	}
	metadata, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	return stream.Send(&flight.PutResult{AppMetadata: metadata})
}

// putEntityRows stages rows and says how they are called.
func (s *Server) putEntityRows(ctx context.Context, up *incoming) (any, error) {
	id, u, err := s.stage(ctx, up)
	if err != nil {
		return nil, err
	}
	c := callOf(ctx)
	c.rows, c.bytes = u.rows, u.bytes
	return struct {
		ID      string `json:"entity_rows_id"`
		Rows    int64  `json:"rows"`
		Expires string `json:"expires"`
	}{id, u.rows, u.expires.UTC().Format(time.RFC3339)}, nil
}

// putWrite writes rows to the source of a view, or to where the logged features of a service go. The answer comes after the
// rows are durable.
func (s *Server) putWrite(ctx context.Context, t *tickets.Ticket, up *incoming) (any, error) {
	c := callOf(ctx)
	c.memory.passing()
	catalog, err := s.catalog(ctx)
	if err != nil {
		return nil, err
	}
	write, err := writer(c, catalog, t)
	if err != nil {
		return nil, err
	}
	rows, err := s.passing(ctx, up, c.memory)
	if err != nil {
		return nil, err
	}
	written, err := write(ctx, *rows)
	if err != nil {
		return nil, err
	}
	c.rows = written.Rows
	return struct {
		Rows      int64 `json:"rows"`
		Duplicate bool  `json:"duplicate"`
	}{written.Rows, written.Duplicate}, nil
}

// writer looks up the names of a write.
func writer(c *call, catalog *stores.Catalog, t *tickets.Ticket) (func(context.Context, stores.Rows) (stores.Written, error), error) {
	if t.Log != nil {
		service, err := catalog.Service(t.Log.FeatureService)
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context, rows stores.Rows) (stores.Written, error) {
			return stores.WriteLog(ctx, service, rows, stores.WriteOptions{Budget: c.memory})
		}, nil
	}
	view, err := catalog.View(t.Write.View)
	if err != nil {
		return nil, err
	}
	c.views = []string{view.Name}
	return func(ctx context.Context, rows stores.Rows) (stores.Written, error) {
		return stores.WriteView(ctx, view, t.Write.RequestID, rows, stores.WriteOptions{Budget: c.memory})
	}, nil
}
