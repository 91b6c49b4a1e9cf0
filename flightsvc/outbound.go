package flightsvc

import (
	"sync/atomic"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
)

// outbound is a FlightData on its way out. Its body goes to the wire as the buffers that Arrow has, without being put
// together in one piece first and without being copied once more into a protobuf message.
type outbound struct {
	header, metadata []byte
	body             [][]byte
	batch            bool   // a record batch, and not the schema
	size             int64  // of the body
	release          func() // called once, when nobody reads the buffers any more; nil: there is nothing to release
	encoded          bool
}

// Write implements io.Writer for ipc.Payload.SerializeBody, which writes buffers as they are.
func (m *outbound) Write(buffer []byte) (int, error) {
	m.body = append(m.body, buffer)
	m.size += int64(len(buffer))
	return len(buffer), nil
}

// copyBody makes the body independent of the buffers that were written.
func (m *outbound) copyBody() {
	whole := make([]byte, 0, m.size)
	for _, buffer := range m.body {
		whole = append(whole, buffer...)
	}
	m.body = [][]byte{whole}
}

// smallBuffer is what is cheaper to copy than to keep apart. It is above the size from which gRPC tells when it is done with
// a buffer.
const smallBuffer = 4 << 10

// encode is the message as protobuf writes it, in pieces. gRPC frees them, and by that the buffers of the body.
func (m *outbound) encode() mem.BufferSlice {
	m.encoded = true
	text := make([]byte, 0, len(m.header)+len(m.metadata)+32)
	for _, field := range []struct {
		number protowire.Number
		value  []byte
	}{{fieldHeader, m.header}, {fieldMetadata, m.metadata}} {
		if len(field.value) > 0 {
			text = protowire.AppendTag(text, field.number, protowire.BytesType)
			text = protowire.AppendBytes(text, field.value)
		}
	}
	if m.size > 0 {
		text = protowire.AppendTag(text, fieldBody, protowire.BytesType)
		text = protowire.AppendVarint(text, uint64(m.size))
	}
	last := &lender{release: m.release}
	last.lent.Store(1)
	var pieces mem.BufferSlice
	for _, buffer := range m.body {
		if len(buffer) < smallBuffer {
			text = append(text, buffer...)
			continue
		}
		pieces = append(pieces, mem.SliceBuffer(text))
		text = nil
		last.lent.Add(1)
		pieces = append(pieces, mem.NewBuffer(&buffer, last))
	}
	last.Put(nil)
	return append(pieces, mem.SliceBuffer(text))
}

// lender learns that gRPC is done with buffers: they come back to it, as if it were the pool that they are from.
type lender struct {
	lent    atomic.Int64
	release func()
}

// Get implements mem.BufferPool. Nobody asks.
func (l *lender) Get(n int) *[]byte {
	buffer := make([]byte, n)
	return &buffer
}

// Put implements mem.BufferPool.
func (l *lender) Put(*[]byte) {
	if l.lent.Add(-1) == 0 && l.release != nil {
		l.release()
	}
}
