package flightsvc

import (
	"context"
	"encoding/json"
	"io"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/flight"
	"google.golang.org/protobuf/proto"

	"github.com/flightd/flightd/internal/arrowsize"
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

// Next returns the next message with data. pyarrow repeats the descriptor with the schema; another one is refused.
func (in *incoming) Next() (header, body []byte, err error) {
	msg := in.first
	for {
		if msg != nil && len(msg.GetDataHeader()) > 0 {
			if msg == in.first {
				in.first = &flight.FlightData{FlightDescriptor: msg.FlightDescriptor}
			}
			return msg.DataHeader, msg.DataBody, nil
		}
		if msg, err = in.stream.Recv(); err != nil {
			return nil, nil, err
		}
		if d := msg.GetFlightDescriptor(); d != nil && !proto.Equal(d, in.first.FlightDescriptor) {
			return nil, nil, fault.New(fault.Invalid, "the stream has a second flight descriptor that differs from its first")
		}
	}
}

// receive opens the stream of entity rows that follows a descriptor. A client that closes its side without a schema has
// sent no entity rows, which is not the same as a table of zero rows.
func (s *Server) receive(ctx context.Context, up *incoming, memory *account) (*stores.Rows, error) {
	r, err := ipcguard.NewReader(ctx, up, s.guard(memory))
	if err == io.EOF {
		return nil, fault.New(fault.Invalid, "historical: no entity rows came; give entity_rows, entity_rows_id, or end "+
			"(and start) in the command, or stream them")
	}
	if err != nil {
		return nil, err
	}
	return &stores.Rows{Schema: r.Schema(), Len: -1, Records: r.Records()}, nil
}

// inline reads entity rows that stand in the ticket itself.
func (s *Server) inline(ctx context.Context, stream []byte) (*stores.Rows, error) {
	r, err := ipcguard.NewReader(ctx, ipcguard.Bytes(stream), s.guard(callOf(ctx).memory))
	if err == io.EOF {
		return nil, fault.New(fault.Invalid, "historical.entity_rows: the Arrow IPC stream is empty")
	}
	if err != nil {
		return nil, err
	}
	var records []arrow.Record
	var rows int64
	for rec, err := range r.Records() {
		if err != nil {
			return nil, err
		}
		records = append(records, rec)
		rows += rec.NumRows()
	}
	return &stores.Rows{Schema: r.Schema(), Len: rows, Records: sequence(records)}, nil
}

func (s *Server) guard(memory *account) ipcguard.Limits {
	return ipcguard.Limits{Message: s.limits.Message, Rows: s.limits.EntityRows, Budget: memory}
}

// DoPut takes entity rows to be staged. Writes of features and logs are not there yet.
func (s *Server) DoPut(stream flight.FlightService_DoPutServer) error {
	ctx := stream.Context()
	c := callOf(ctx)
	up := &incoming{stream: stream}
	descriptor, err := up.descriptor()
	if err != nil {
		return err
	}
	t, err := parseDescriptor(tickets.DoPut, descriptor)
	if err != nil {
		return err
	}
	c.kind = t.Kind()
	if t.EntityRows == nil {
		return fault.New(fault.Unimplemented, "DoPut of %q is not there yet; only entity_rows can be put", t.Kind())
	}
	leave, err := s.uploads.enter(ctx, s.limits.QueueFor)
	if err != nil {
		return err
	}
	defer leave()
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

// stage receives entity rows and keeps them. The memory of staged rows is held by an account of their own, which lives
// as long as they do.
func (s *Server) stage(ctx context.Context, up *incoming) (string, *upload, error) {
	account := s.memory.account(s.limits.QueueFor)
	rows, err := s.receive(ctx, up, account)
	if err != nil {
		account.close()
		return "", nil, err
	}
	u := &upload{caller: callOf(ctx).caller, schema: rows.Schema, release: account.close}
	for rec, err := range rows.Records {
		if err == nil {
			u.records = append(u.records, rec)
			u.rows += rec.NumRows()
			u.bytes += arrowsize.Record(rec)
			err = s.staging.room(u.caller, u.bytes)
		}
		if err != nil {
			account.close()
			return "", nil, err
		}
	}
	id, err := s.staging.add(u)
	if err != nil {
		account.close()
	}
	return id, u, err
}
