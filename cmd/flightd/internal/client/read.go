package client

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/flight"
	"github.com/apache/arrow/go/v15/arrow/ipc"

	"github.com/flightd/flightd/internal/arrowsize"
)

// Total is how many rows the answer to a command will have, as far as the server knows without making it; -1: it does not.
func (c *Client) Total(ctx context.Context, command []byte) (int64, error) {
	info, err := c.flight.GetFlightInfo(ctx, &flight.FlightDescriptor{Type: flight.DescriptorCMD, Cmd: command})
	if err != nil {
		return -1, c.fault(ctx, err)
	}
	return info.GetTotalRecords(), nil
}

// Get asks for the answer to a ticket and hands it to receive, which need not take all of it. The call has ended when Get
// returns.
func (c *Client) Get(ctx context.Context, ticket []byte, receive func(*Answer) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.flight.DoGet(ctx, &flight.Ticket{Ticket: ticket})
	if err != nil {
		return c.fault(ctx, err)
	}
	a, err := c.answer(ctx, &messages{stream: stream})
	if err != nil {
		return err
	}
	return receive(a)
}

// Rows are entity rows to send. A record is not kept beyond the step that yields it.
type Rows struct {
	Schema  *arrow.Schema
	Records iter.Seq2[arrow.Record, error]
	Sent    func(rows int64) // told after each message; may be nil
}

// Exchange sends entity rows with a command and hands the answer to receive while they are still being sent. An error of
// the rows ends the call and is the one that is returned.
func (c *Client) Exchange(ctx context.Context, command []byte, rows Rows, receive func(*Answer) error) error {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	stream, err := c.flight.DoExchange(ctx)
	if err != nil {
		return c.fault(ctx, err)
	}
	sent := make(chan error, 1)
	go func() {
		err := send(stream, command, rows)
		if err != nil {
			end(err)
		}
		sent <- err
	}()
	a, err := c.answer(ctx, &messages{stream: stream})
	if err == nil {
		err = receive(a)
	}
	if err == nil {
		return <-sent
	}
	end(nil)
	select {
	case <-sent:
	case <-time.After(time.Second): // it reads from a pipe, where nothing can wake it, and ends with the process
	}
	return err
}

// sender is the sending half of DoExchange and DoPut.
type sender interface {
	flight.DataStreamWriter
	CloseSend() error
	Context() context.Context
}

// send writes the rows and closes this side of the call. It fails only if the rows do: a stream that has ended has said
// why to the receiver.
func send(stream sender, command []byte, rows Rows) error {
	w := flight.NewRecordWriter(stream, ipc.WithSchema(rows.Schema))
	w.SetFlightDescriptor(&flight.FlightDescriptor{Type: flight.DescriptorCMD, Cmd: command})
	for rec, err := range rows.Records {
		if err != nil {
			return err
		}
		for piece := range pieces(rec) {
			err := w.Write(piece)
			n := piece.NumRows()
			piece.Release()
			if err != nil {
				return writeError(stream, err)
			}
			if rows.Sent != nil {
				rows.Sent(n)
			}
		}
	}
	if err := w.Close(); err != nil { // writes the schema if there were no rows
		return writeError(stream, err)
	}
	stream.CloseSend() //nolint:errcheck // always nil
	return nil
}

// writeError tells an error of the rows, which the encoder found, from the end of the stream.
func writeError(stream sender, err error) error {
	if errors.Is(err, io.EOF) || stream.Context().Err() != nil {
		return nil
	}
	return err
}

// pieceBytes is the size of messages that moves fastest through gRPC.
const pieceBytes = 2 << 20

// pieces cuts a record into messages of about pieceBytes.
func pieces(rec arrow.Record) iter.Seq[arrow.Record] {
	return func(yield func(arrow.Record) bool) {
		rows := rec.NumRows()
		step := max(1, rows*pieceBytes/max(pieceBytes, arrowsize.Record(rec)))
		for lo := int64(0); lo < rows; lo += step {
			if !yield(rec.NewSlice(lo, min(lo+step, rows))) {
				return
			}
		}
	}
}
