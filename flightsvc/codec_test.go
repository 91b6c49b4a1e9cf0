package flightsvc

import (
	"bytes"
	"math"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow/flight"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/flightd/flightd/internal/fault"
)

// unbounded is a message to be received, whatever its size.
func unbounded(message any) *inbound {
	return &inbound{message: message, limit: messageLimit{bytes: math.MaxInt64}, reserve: func(int64) error { return nil }}
}

// decode reads a message that came in pieces of a few bytes.
func decode(data []byte, piece int) (*flight.FlightData, error) {
	var slice mem.BufferSlice
	for rest := data; len(rest) > 0; {
		n := min(piece, len(rest))
		slice = append(slice, mem.SliceBuffer(rest[:n]))
		rest = rest[n:]
	}
	in := unbounded(new(flight.FlightData))
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

// A descriptor is made only if it is one that a call could take: its names take many times the bytes that came.
func TestDescriptorsAreBounded(t *testing.T) {
	names := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), uint64(flight.DescriptorPATH))
	names = append(names, bytes.Repeat([]byte{fieldPath<<3 | byte(protowire.BytesType), 0}, 3<<20)...)
	within := func(descriptor []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(nil, fieldDescriptor, protowire.BytesType), descriptor)
	}
	one, err := proto.Marshal(&flight.FlightDescriptor{Type: flight.DescriptorPATH, Path: []string{"stats"}})
	if err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		into any
		data []byte
		text string
	}{
		"a descriptor of many names":             {new(flight.FlightDescriptor), names, "found 3145728 names"},
		"a message with many names":              {new(flight.FlightData), within(names), "found 3145728 names"},
		"a message of many descriptors":          {new(flight.FlightData), bytes.Repeat(within(one), maxPath+1), "found 17 names"},
		"a message with a descriptor of 240 MiB": {new(flight.FlightData), within(bytes.Repeat(names, 40)), "longer than"},
	} {
		in := unbounded(c.into)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err := newCodec().Unmarshal(mem.BufferSlice{mem.SliceBuffer(c.data)}, in)
		runtime.ReadMemStats(&after)
		if err != nil || fault.KindOf(in.err) != fault.Invalid || !strings.Contains(in.err.Error(), c.text) {
			t.Errorf("%s: %v, %v", what, in.err, err)
		}
		if took := after.TotalAlloc - before.TotalAlloc; took > 10<<20 {
			t.Errorf("%s took %d bytes to refuse", what, took)
		}
	}
	in := unbounded(new(flight.FlightData))
	path := bytes.Repeat(within(one), maxPath)
	if err := newCodec().Unmarshal(mem.BufferSlice{mem.SliceBuffer(path)}, in); err != nil || in.err != nil {
		t.Errorf("as many as may be: %v, %v", err, in.err)
	}
}

// What came is reserved before it is decoded, and what nobody needs of a first message does not stay for as long as the
// call.
func TestFirstMessagesAreReserved(t *testing.T) {
	catalog, _ := parsed(t, stats)
	f := serve(t, catalog, Limits{Memory: 64 << 20, QueueFor: 50 * time.Millisecond})
	put := func() flight.FlightService_DoPutClient {
		stream, err := f.client.DoPut(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		path := &flight.FlightDescriptor{Type: flight.DescriptorPATH, Path: []string{"stats"}, Cmd: make([]byte, 1<<20)}
		if err := stream.Send(&flight.FlightData{FlightDescriptor: path, AppMetadata: make([]byte, 12<<20)}); err != nil {
			t.Fatal(err)
		}
		return stream
	}
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC() // the second takes what is in pools
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	const uploads = 6
	before := heap()
	var open []flight.FlightService_DoPutClient
	for i := range int64(uploads) {
		open = append(open, put())
		f.await("what is left of a message", func() bool {
			n := f.server.memory.inUse.Load()
			return n >= (i+1)*ticketCopies<<20 && n < (i+1)*ticketCopies<<20+1<<19
		})
	}
	if grown := heap() - before; grown > 40<<20 {
		t.Errorf("%d uploads that wait for their rows hold %d bytes", uploads, grown)
	}
	rest := f.server.memory.account(time.Second)
	if err := rest.Reserve(t.Context(), 40<<20); err != nil {
		t.Fatal(err)
	}
	_, err := put().Recv()
	wantCode(t, "a message for which there is no room", err, codes.Unavailable, "limits.memory")
	rest.close()
	for _, stream := range open {
		if err := stream.CloseSend(); err != nil {
			t.Fatal(err)
		}
		_, err := stream.Recv()
		wantCode(t, "no rows", err, codes.InvalidArgument, "without a schema")
	}
	f.idle()
}
