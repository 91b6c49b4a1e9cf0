package flightsvc

import (
	"fmt"
	"io"

	"github.com/apache/arrow/go/v15/arrow/flight"
	"google.golang.org/grpc/encoding"
	protocodec "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/flightd/flightd/internal/fault"
)

// codec is gRPC's own, but for what comes in as an inbound and goes out as an outbound.
type codec struct{ encoding.CodecV2 }

func newCodec() codec { return codec{encoding.GetCodecV2(protocodec.Name)} }

// inbound is a message to be received. What is wrong with it ends up in err and not in gRPC's hands, which would answer
// INTERNAL for what a client got wrong.
type inbound struct {
	message any
	limit   messageLimit
	reserve func(bytes int64) error // asked before the message is decoded
	size    int64
	err     error
}

// Marshal implements encoding.CodecV2.
func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	if m, ok := v.(*outbound); ok {
		return m.encode(), nil
	}
	return c.CodecV2.Marshal(v)
}

// Unmarshal implements encoding.CodecV2.
func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	in, ok := v.(*inbound)
	if !ok {
		return c.CodecV2.Unmarshal(data, v)
	}
	in.size = int64(data.Len())
	in.err = c.decode(data, in)
	return nil
}

// decode makes the message of its bytes, if they may be so many and there is room for them.
func (c codec) decode(data mem.BufferSlice, in *inbound) error {
	if in.size > in.limit.bytes {
		return in.limit.err
	}
	if err := in.reserve(in.size); err != nil {
		return err
	}
	var err error
	switch m := in.message.(type) {
	case *flight.FlightData:
		r := data.Reader()
		defer r.Close() //nolint:errcheck // it frees its own references
		err = readFlightData(r, m)
	case *flight.FlightDescriptor:
		buf := data.MaterializeToBuffer(mem.DefaultBufferPool())
		defer buf.Free()
		err = readDescriptor(buf.ReadOnlyData(), m)
	default:
		err = c.CodecV2.Unmarshal(data, m)
	}
	if err != nil && fault.KindOf(err) == fault.Unknown {
		err = fault.New(fault.Invalid, "a message is not the protobuf message that the call takes: %w", err)
	}
	return err
}

// Numbers of FlightData's fields, and of FlightDescriptor's.
const (
	fieldDescriptor = 1
	fieldHeader     = 2
	fieldMetadata   = 3
	fieldBody       = 1000

	fieldPath = 3
)

// readFlightData reads a message field by field. The general way would hold a large body three times: as it came, in one
// piece, and as the field of the message.
func readFlightData(r *mem.Reader, m *flight.FlightData) error {
	for r.Remaining() > 0 {
		tag, err := readVarint(r)
		if err != nil {
			return err
		}
		number, kind := protowire.DecodeTag(tag)
		if number < protowire.MinValidNumber || number > protowire.MaxValidNumber {
			return fmt.Errorf("field number %d", number)
		}
		if kind != protowire.BytesType {
			if err := skipField(r, kind); err != nil {
				return err
			}
			continue
		}
		n, err := readVarint(r)
		if err != nil {
			return err
		}
		if number == fieldDescriptor && n > uint64(ticketLimit.bytes) {
			return ticketLimit.err
		}
		value, err := readBytes(r, n)
		if err != nil {
			return err
		}
		switch number {
		case fieldDescriptor:
			if m.FlightDescriptor == nil {
				m.FlightDescriptor = new(flight.FlightDescriptor)
			}
			if err := readDescriptor(value, m.FlightDescriptor); err != nil {
				return err
			}
		case fieldHeader:
			m.DataHeader = value
		case fieldMetadata:
			m.AppMetadata = value
		case fieldBody:
			m.DataBody = value
		}
	}
	return nil
}

// readDescriptor adds to a descriptor what data says. Names are counted before any is made: an empty one takes two bytes
// as it comes and many times that in memory.
func readDescriptor(data []byte, d *flight.FlightDescriptor) error {
	names := len(d.Path)
	for rest := data; len(rest) > 0; {
		number, _, n := protowire.ConsumeField(rest)
		if n < 0 {
			return protowire.ParseError(n)
		}
		if number == fieldPath {
			names++
		}
		rest = rest[n:]
	}
	if names > maxPath {
		return fault.New(fault.Invalid, "ticket: a descriptor's path is the name of one feature view, found %d names", names)
	}
	return proto.UnmarshalOptions{Merge: true, DiscardUnknown: true}.Unmarshal(data, d)
}

// skipField passes over a field that FlightData does not have.
func skipField(r *mem.Reader, kind protowire.Type) (err error) {
	switch kind {
	case protowire.VarintType:
		_, err = readVarint(r)
	case protowire.Fixed32Type:
		_, err = r.Discard(4)
	case protowire.Fixed64Type:
		_, err = r.Discard(8)
	default: // groups have not been written for long
		err = fmt.Errorf("wire type %d", kind)
	}
	return err
}

// readBytes reads n bytes. No more is allocated than has come.
func readBytes(r *mem.Reader, n uint64) ([]byte, error) {
	if n > uint64(r.Remaining()) {
		return nil, io.ErrUnexpectedEOF
	}
	value := make([]byte, n)
	_, err := io.ReadFull(r, value)
	return value, err
}

func readVarint(r *mem.Reader) (uint64, error) {
	var v uint64
	for shift := 0; shift <= 63; shift += 7 {
		b, err := r.ReadByte()
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return 0, err
		}
		if shift == 63 && b > 1 {
			break
		}
		v |= uint64(b&0x7f) << shift
		if b < 0x80 {
			return v, nil
		}
	}
	return 0, fmt.Errorf("a number of more than 64 bits")
}
