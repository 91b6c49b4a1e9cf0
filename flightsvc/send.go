package flightsvc

import (
	"bytes"
	"context"
	"iter"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/ipc"

	"github.com/flightd/flightd/internal/anyarray"
)

// dataSender is the sending half of DoGet and DoExchange.
type dataSender interface {
	SendMsg(m any) error // an *outbound
}

// answer writes records as Flight messages, in batches. The newest message is held back until the next one comes,
// because the last of all may carry metadata.
type answer struct {
	ctx    context.Context // of the call, for the waits of ipc.Writer's callbacks
	out    dataSender
	writer *ipc.Writer
	memory *account
	held   *outbound
	record arrow.Record // that is being written
	kept   int64        // reserved for batches of the usual size, as long as the answer takes
	taken  int64        // reserved for held beside that
	schema *arrow.Schema
	rows   int64
	bytes  int64
	first  time.Time // when the first record batch was ready to go; zero: there was none
}

func newAnswer(out dataSender, schema *arrow.Schema, memory *account) *answer {
	a := &answer{out: out, schema: schema, memory: memory}
	a.writer = ipc.NewWriterWithPayloadWriter(a, ipc.WithSchema(schema))
	return a
}

// stream sends a whole answer; last gives the metadata of its last batch, nil for none.
func (a *answer) stream(ctx context.Context, records iter.Seq2[arrow.Record, error], last func() []byte) error {
	a.ctx = ctx
	if err := a.keep(); err != nil {
		return err
	}
	defer func() {
		a.drop()
		a.memory.Release(a.kept)
	}()
	for batch, err := range batches(records) {
		if err != nil {
			return err
		}
		if err := a.write(batch); err != nil {
			return err
		}
	}
	return a.close(last())
}

// copies is how many messages are there at once: one that is being made, one that is held back, and one that gRPC writes.
const copies = 3

// keep reserves the memory of batches on their way before the work begins: a call that has done its work and waits for
// memory to tell of it would hold what others need.
func (a *answer) keep() error {
	bytes := min(copies*batchBytes, a.memory.pool.size/8)
	if err := a.memory.Start(a.ctx, bytes); err != nil {
		return err
	}
	a.kept = bytes
	return nil
}

func (a *answer) write(batch arrow.Record) error {
	a.rows += batch.NumRows()
	a.record = sendable(batch)
	defer func() { a.record.Release(); a.record = nil }()
	return a.writer.Write(a.record)
}

// close sends what is held back. Metadata needs a batch to travel with, so an empty answer gets an empty one.
func (a *answer) close(metadata []byte) error {
	if metadata != nil && a.rows == 0 {
		empty := anyarray.EmptyRecord(a.schema)
		defer empty.Release()
		if err := a.write(empty); err != nil {
			return err
		}
	}
	if err := a.writer.Close(); err != nil { // writes the schema if nothing else did
		return err
	}
	a.held.metadata = metadata
	return a.flush()
}

// Start implements ipc.PayloadWriter.
func (a *answer) Start() error { return nil }

// Close implements ipc.PayloadWriter.
func (a *answer) Close() error { return nil }

// WritePayload implements ipc.PayloadWriter: it sends the message held back so far and holds this one.
func (a *answer) WritePayload(p ipc.Payload) error {
	if err := a.flush(); err != nil {
		return err
	}
	header := p.Meta()
	defer header.Release()
	m := &outbound{header: bytes.Clone(header.Bytes()), batch: a.record != nil}
	if err := p.SerializeBody(m); err != nil {
		return err
	}
	if more := copies*m.size - a.kept; more > 0 {
		if err := a.memory.Reserve(a.ctx, more); err != nil {
			return err
		}
		a.taken = more
	}
	switch {
	case a.record == nil:
	case isSliver(a.record, m.size):
		m.copyBody()
	default:
		a.record.Retain()
		m.release = a.record.Release
	}
	a.held = m
	return nil
}

// isSliver says whether a batch is a slice of so much that it must not keep it alive: whoever made that gives its memory
// back as soon as it has passed on the last slice, and the batch may wait for a client for long.
func isSliver(rec arrow.Record, size int64) bool {
	var whole int64
	for _, col := range rec.Columns() {
		whole += bufferBytes(col.Data())
	}
	return whole > 2*batchBytes && whole > 2*size
}

// bufferBytes is what an array keeps alive.
func bufferBytes(d arrow.ArrayData) (n int64) {
	for _, b := range d.Buffers() {
		if b != nil {
			n += int64(b.Len())
		}
	}
	for _, child := range d.Children() {
		n += bufferBytes(child)
	}
	if d.DataType().ID() == arrow.DICTIONARY {
		n += bufferBytes(d.Dictionary())
	}
	return n
}

func (a *answer) flush() error {
	if a.held == nil {
		return nil
	}
	m := a.held
	if m.batch && a.first.IsZero() {
		a.first = time.Now()
	}
	a.bytes += int64(len(m.header)) + m.size
	err := a.out.SendMsg(m)
	a.drop()
	return err
}

// drop lets go of what is held back. Buffers that gRPC has got are released when it is done with them.
func (a *answer) drop() {
	if m := a.held; m != nil && !m.encoded && m.release != nil {
		m.release()
	}
	a.memory.Release(a.taken)
	a.held, a.taken = nil, 0
}
