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
)

// codec is gRPC's own, but for what comes in as an inbound and goes out as an outbound.
type codec struct{ encoding.CodecV2 }

func newCodec() codec { return codec{encoding.GetCodecV2(protocodec.Name)} }

// inbound is a message to be received. What is wrong with it ends up in err and not in gRPC's hands, which would answer
// INTERNAL for what a client got wrong.
type inbound struct {
	message any
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
	if m, ok := in.message.(*flight.FlightData); ok {
		r := data.Reader()
		defer r.Close() //nolint:errcheck // it frees its own references
		in.err = readFlightData(r, m)
	} else {
		in.err = c.CodecV2.Unmarshal(data, in.message)
	}
	return nil
}

// Numbers of FlightData's fields.
const (
	fieldDescriptor = 1
	fieldHeader     = 2
	fieldMetadata   = 3
	fieldBody       = 1000
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
		value, err := readBytes(r)
		if err != nil {
			return err
		}
		switch number {
		case fieldDescriptor:
			if m.FlightDescriptor == nil {
				m.FlightDescriptor = new(flight.FlightDescriptor)
			}
			if err := (proto.UnmarshalOptions{Merge: true}).Unmarshal(value, m.FlightDescriptor); err != nil {
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

// readBytes reads a length and as many bytes. No more is allocated than has come.
func readBytes(r *mem.Reader) ([]byte, error) {
	n, err := readVarint(r)
	if err != nil {
		return nil, err
	}
	if n > uint64(r.Remaining()) {
		return nil, io.ErrUnexpectedEOF
	}
	value := make([]byte, n)
	_, err = io.ReadFull(r, value)
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
