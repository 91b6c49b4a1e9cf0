package client

import (
	"context"
	"errors"
	"io"
	"iter"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/flight"

	"github.com/flightd/flightd/internal/ipcguard"
)

// Answer is a stream of records that a server sends.
type Answer struct {
	client *Client
	ctx    context.Context
	source *messages
	reader *ipcguard.Reader
}

// Schema is the schema of the records.
func (a *Answer) Schema() *arrow.Schema { return a.reader.Schema() }

// Records yields the records, and at most one error, at the end.
func (a *Answer) Records() iter.Seq2[arrow.Record, error] {
	return func(yield func(arrow.Record, error) bool) {
		for rec, err := range a.reader.Records() {
			if !yield(rec, a.client.fault(a.ctx, err)) {
				return
			}
		}
	}
}

// Metadata is what came beside the records, the match report for one. It is complete when Records is.
func (a *Answer) Metadata() []byte { return a.source.metadata }

// messages are the Flight messages of an answer as a source of IPC messages.
type messages struct {
	stream interface {
		Recv() (*flight.FlightData, error)
	}
	metadata []byte // of the newest message that had any
}

// Next implements ipcguard.Source. A message without data carries metadata alone.
func (m *messages) Next() (header, body []byte, err error) {
	for {
		data, err := m.stream.Recv()
		if err != nil {
			return nil, nil, err
		}
		if len(data.GetAppMetadata()) > 0 {
			m.metadata = data.AppMetadata
		}
		if len(data.GetDataHeader()) > 0 {
			return data.DataHeader, data.DataBody, nil
		}
	}
}

func (c *Client) answer(ctx context.Context, m *messages) (*Answer, error) {
	r, err := ipcguard.NewReader(ctx, m, ipcguard.Limits{})
	if errors.Is(err, io.EOF) {
		return nil, broken(err)
	}
	if err != nil {
		return nil, c.fault(ctx, err)
	}
	return &Answer{client: c, ctx: ctx, source: m, reader: r}, nil
}
