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
	first  *flight.FlightData
}

// descriptor reads the first message, which names the command and may already carry the schema.
func (in *incoming) descriptor() (*flight.FlightDescriptor, error) {
	msg, err := in.stream.Recv()
	if err == io.EOF || err == nil && msg.GetFlightDescriptor() == nil {
		return nil, fault.New(fault.Invalid, "the first message of the stream has no flight descriptor")
	}
	if err != nil {
		return nil, err
	}
	in.first = msg
	return msg.FlightDescriptor, nil
}

// Next returns the next message with data. Others may come at any time, with metadata alone or the descriptor once more,
// as pyarrow sends it with the schema. Another descriptor, and data without a header that says what it is, are refused.
func (in *incoming) Next() (header, body []byte, err error) {
	msg := in.first
	for {
		switch d := msg.GetFlightDescriptor(); {
		case d != nil && !proto.Equal(d, in.first.FlightDescriptor):
			return nil, nil, fault.New(fault.Invalid, "the stream has a second flight descriptor that differs from its first")
		case len(msg.GetDataHeader()) > 0:
			if msg == in.first {
				in.first = &flight.FlightData{FlightDescriptor: d} // it is not to be read again
			}
			return msg.DataHeader, msg.DataBody, nil
		case len(msg.GetDataBody()) > 0:
			return nil, nil, fault.New(fault.Invalid, "a message of the stream has a body of %d bytes and no header", len(msg.DataBody))
		}
		if msg, err = in.stream.Recv(); err != nil {
			return nil, nil, err
		}
	}
}

// streamed opens the entity rows that follow a descriptor. A client that closes its side without a schema has sent no
// entity rows, which is not the same as a table of zero rows.
func (s *Server) streamed(ctx context.Context, up *incoming, memory *account) (*stores.Rows, error) {
	r, err := ipcguard.NewReader(ctx, up, s.guard(memory))
	if err == io.EOF {
		return nil, fault.New(fault.Invalid, "no entity rows came: the stream ended without a schema")
	}
	if err != nil {
		return nil, err
	}
	return &stores.Rows{Schema: r.Schema(), Len: -1, Records: s.bounded(r.Records())}, nil
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

func (s *Server) guard(memory *account) ipcguard.Limits {
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

// DoPut takes entity rows to be staged. Writes of features and logs are not there yet.
func (s *Server) DoPut(stream flight.FlightService_DoPutServer) error {
	ctx := stream.Context()
	c := callOf(ctx)
	if err := c.place.enter(ctx, s.uploads, s.limits.QueueFor); err != nil {
		return err
	}
	up := &incoming{stream: stream}
	descriptor, err := up.descriptor()
	if err != nil {
		return err
	}
	t, err := parseDescriptor(ctx, tickets.DoPut, descriptor)
	if err != nil {
		return err
	}
	if t.EntityRows == nil {
		return fault.New(fault.Unimplemented, "DoPut of %q is not there yet; only entity_rows can be put", t.Kind())
	}
	id, u, err := s.stage(ctx, up)
	if err != nil {
		return err
	}
	c.rows, c.bytes = u.rows, u.bytes
	metadata, err := json.Marshal(struct {
		ID      string `json:"entity_rows_id"`
		Rows    int64  `json:"rows"`
		Expires string `json:"expires"`
	}{id, u.rows, u.expires.UTC().Format(time.RFC3339)})
	if err != nil {
		return err
	}
	return stream.Send(&flight.PutResult{AppMetadata: metadata})
}
