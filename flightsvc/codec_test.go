package flightsvc

import (
	"bytes"
	"testing"

	"github.com/apache/arrow/go/v15/arrow/flight"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// decode reads a message that came in pieces of a few bytes.
func decode(data []byte, piece int) (*flight.FlightData, error) {
	var slice mem.BufferSlice
	for rest := data; len(rest) > 0; {
		n := min(piece, len(rest))
		slice = append(slice, mem.SliceBuffer(rest[:n]))
		rest = rest[n:]
	}
	in := &inbound{message: new(flight.FlightData)}
	if err := newCodec().Unmarshal(slice, in); err != nil {
		return nil, err
	}
	return in.message.(*flight.FlightData), in.err
}

// FuzzFlightData: what the codec takes is what protobuf's own decoder makes of it, and it takes no more than that.
func FuzzFlightData(f *testing.F) {
	for _, m := range []*flight.FlightData{
		{}, {FlightDescriptor: descriptor([]byte("x")), DataHeader: []byte("header"), AppMetadata: []byte("m"), DataBody: bytes.Repeat([]byte("b"), 300)},
		{FlightDescriptor: &flight.FlightDescriptor{Type: flight.DescriptorPATH, Path: []string{"a", "ü"}}},
	} {
		data, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
		f.Add(append(data, data...)) // the last value counts, descriptors are merged
		unknown := protowire.AppendTag(nil, 77, protowire.VarintType)
		unknown = protowire.AppendVarint(unknown, 1<<63)
		unknown = protowire.AppendTag(unknown, 2, protowire.Fixed32Type) // a known number, but not its type
		unknown = protowire.AppendFixed32(unknown, 7)
		unknown = protowire.AppendTag(unknown, 78, protowire.Fixed64Type)
		unknown = protowire.AppendFixed64(unknown, 7)
		f.Add(append(unknown, data...))
	}
	f.Add([]byte{0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Add([]byte{0xc2, 0x3e, 0x05, 1, 2})
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, piece := range []int{1, 3, 1 << 20} {
			got, err := decode(data, piece)
			want := new(flight.FlightData)
			wantErr := proto.Unmarshal(data, want)
			if err != nil {
				continue // it may be stricter: groups are not taken
			}
			if wantErr != nil {
				t.Fatalf("%x was taken; protobuf says %v", data, wantErr)
			}
			want.ProtoReflect().SetUnknown(nil)
			if d := want.FlightDescriptor; d != nil {
				d.ProtoReflect().SetUnknown(nil)
				got.FlightDescriptor.ProtoReflect().SetUnknown(nil)
			}
			if !proto.Equal(got, want) {
				t.Fatalf("%x\n got %v\nwant %v", data, got, want)
			}
		}
	})
}

// TestFlightDataIsTaken: the fuzz target above would be content with a codec that refuses everything.
func TestFlightDataIsTaken(t *testing.T) {
	want := &flight.FlightData{FlightDescriptor: descriptor([]byte("x")), DataHeader: []byte("header"), AppMetadata: []byte("m"), DataBody: make([]byte, 70_000)}
	data, err := proto.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := decode(data, 16<<10)
	if err != nil || !proto.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
}

// rawCodec sends bytes as they are.
type rawCodec struct{}

func (rawCodec) Name() string                       { return "proto" }
func (rawCodec) Marshal(v any) ([]byte, error)      { return v.([]byte), nil }
func (rawCodec) Unmarshal(data []byte, v any) error { return nil }

// What is not the message that a call takes is the client's mistake, in every call.
func TestMessagesThatAreNotProtobuf(t *testing.T) {
	catalog, _ := parsed(t, stats)
	f := serve(t, catalog, Limits{})
	for _, message := range [][]byte{{0xff, 0xff, 0xff}, {0x0a, 5, 1}, {0xc2, 0x3e, 0xff, 0xff, 0xff, 0xff, 7}} {
		for _, method := range []string{"GetFlightInfo", "GetSchema", "PollFlightInfo", "ListFlights", "DoGet", "DoPut", "DoExchange", "DoAction", "ListActions"} {
			stream, err := f.conn.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true},
				"/arrow.flight.protocol.FlightService/"+method, grpc.ForceCodec(rawCodec{}))
			if err != nil {
				t.Fatal(err)
			}
			if err := stream.SendMsg(message); err != nil {
				t.Fatal(err)
			}
			if err := stream.CloseSend(); err != nil {
				t.Fatal(err)
			}
			wantCode(t, method, stream.RecvMsg(new([]byte)), codes.InvalidArgument, "protobuf")
		}
	}
	f.idle()
}
