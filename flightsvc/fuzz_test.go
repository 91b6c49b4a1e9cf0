package flightsvc

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/flight"
	"github.com/apache/arrow/go/v15/arrow/ipc"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/rs/zerolog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/flightd/flightd/internal/ipcguard"
	"github.com/flightd/flightd/stores"
)

var (
	uploads    = flag.Int("uploads", 1500, "damaged uploads that TestDamagedUploads makes")
	uploadSeed = flag.Uint64("upload-seed", 0, "seed of TestDamagedUploads; 0: by the clock")
)

// recorded is a client's stream as a list of messages, and takes what is sent back.
type recorded struct {
	grpc.ServerStream
	ctx      context.Context
	messages []*flight.FlightData
	sent     int
	put      *flight.PutResult
}

func (r *recorded) Context() context.Context { return r.ctx }

func (r *recorded) Recv() (*flight.FlightData, error) {
	if len(r.messages) == 0 {
		return nil, io.EOF
	}
	m := r.messages[0]
	r.messages = r.messages[1:]
	return m, nil
}

func (r *recorded) Send(*flight.FlightData) error { panic("answers are sent as they are") }

func (r *recorded) SendMsg(m any) error {
	pieces := m.(*outbound).encode()
	r.sent += pieces.Len()
	pieces.Free()
	return nil
}

// recordedPut is a recorded stream of DoPut, which answers with messages of another kind.
type recordedPut struct{ *recorded }

func (r recordedPut) Send(p *flight.PutResult) error {
	r.put = p
	return nil
}

// target is a server without a network.
type target struct {
	*Server
	log *logLines
}

func newTarget(t testing.TB) *target {
	t.Helper()
	text := `
view stats keys=key timestamp=ts
key:int64, ts:timestamp, f:utf8
1, 09:00, a

view weather timestamp=ts
ts:timestamp, temp:float64
08:00, 1.5

all stats

want
key:int64, ts:timestamp, f:utf8
`
	catalog, _ := parsed(t, text)
	log := new(logLines)
	s, err := New(Options{
		Catalog: func(context.Context) (*stores.Catalog, error) { return catalog, nil },
		Limits:  Limits{Memory: 64 << 20, QueueFor: time.Second, Query: 20 * time.Second}, Log: zerolog.New(log), // longer is a hang
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return &target{s, log}
}

// call runs a handler as the middleware does.
func (s *target) call(method string, handler func(context.Context) error) error {
	return s.run(context.Background(), "/arrow.flight.protocol.FlightService/"+method,
		func(ctx context.Context, _ context.CancelCauseFunc) error { return handler(ctx) })
}

// try gives the messages to DoExchange and DoPut, asks for what was staged, and checks what holds whatever they are.
func (s *target) try(t testing.TB, messages []*flight.FlightData) (taken bool) {
	t.Helper()
	err := s.call("DoExchange", func(ctx context.Context) error {
		return s.DoExchange(&recorded{ctx: ctx, messages: slices.Clone(messages)})
	})
	s.check(t, "DoExchange", err)

	put := &recorded{messages: slices.Clone(messages)}
	if len(messages) > 0 && messages[0].FlightDescriptor != nil {
		first := proto.Clone(messages[0]).(*flight.FlightData)
		first.FlightDescriptor = descriptor([]byte(`{"entity_rows":{}}`))
		put.messages[0] = first
	}
	putErr := s.call("DoPut", func(ctx context.Context) error {
		put.ctx = ctx
		return s.DoPut(recordedPut{put})
	})
	s.check(t, "DoPut", putErr)
	if putErr == nil {
		var answer struct {
			ID string `json:"entity_rows_id"`
		}
		if err := json.Unmarshal(put.put.GetAppMetadata(), &answer); err != nil {
			t.Fatal(err)
		}
		ticket := request("historical", map[string]any{"features": []string{"weather"}, "entity_rows_id": answer.ID, "report": true})
		err := s.call("DoGet", func(ctx context.Context) error {
			return s.DoGet(&flight.Ticket{Ticket: ticket}, &recorded{ctx: ctx})
		})
		if status.Code(err) != codes.Unavailable { // the staged rows may leave no memory to join them
			s.check(t, "DoGet", err)
		}
		s.staging.remove(answer.ID)
	}
	if n := s.memory.inUse.Load(); n != 0 {
		t.Fatalf("%d bytes are still taken", n)
	}
	return err == nil
}

// check: the code is one that the contract has for what a client sends, never that of a bug.
func (s *target) check(t testing.TB, method string, err error) {
	t.Helper()
	switch code := status.Code(err); code {
	case codes.OK, codes.InvalidArgument, codes.NotFound, codes.ResourceExhausted, codes.Unimplemented:
	default:
		t.Fatalf("%s: %v\n%s", method, err, s.log.all())
	}
	for _, line := range s.log.all() {
		if strings.Contains(line, "panic") {
			t.Fatalf("%s: a panic: %s", method, line)
		}
	}
	s.log.clear()
}

// delimited is the form of a list of messages as fuzz input.
func delimited(t testing.TB, messages []*flight.FlightData) (out []byte) {
	t.Helper()
	for _, m := range messages {
		data, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		out = protowire.AppendBytes(out, data)
	}
	return out
}

// undelimited reads as many messages as there are.
func undelimited(data []byte) (messages []*flight.FlightData) {
	for len(data) > 0 {
		content, n := protowire.ConsumeBytes(data)
		if n < 0 {
			break
		}
		m, err := decode(content, 1<<20)
		if err != nil {
			break
		}
		messages, data = append(messages, m), data[n:]
	}
	return messages
}

// weatherAsk is answered for rows of any shape, if they have a time.
var weatherAsk = []byte(`{"historical":{"features":["weather"],"report":true}}`)

// uploadSeeds are uploads of every shape of entity rows, and in every order of messages.
func uploadSeeds(t testing.TB) [][]*flight.FlightData {
	t.Helper()
	names, err := filepath.Glob(filepath.Join("..", "testdata", "ipc", "*.arrows"))
	if err != nil || len(names) < 10 {
		t.Fatalf("%d fixtures, %v", len(names), err)
	}
	var all [][]*flight.FlightData
	for _, name := range names {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if len(content) > 40_000 {
			continue
		}
		all = append(all, uploadOf(t, content))
		if timed := withTime(t, content); timed != nil {
			all = append(all, uploadOf(t, timed))
		}
	}
	m := uploadOf(t, ipcStream(t, entities(t, "1, 10:00", "2, 10:00")))
	meta := &flight.FlightData{AppMetadata: []byte("x")}
	body := &flight.FlightData{DataBody: []byte("x")}
	return append(all, nil, m, m[:1], m[1:], []*flight.FlightData{m[0], m[0], m[1]}, []*flight.FlightData{m[0], meta, m[1], meta},
		[]*flight.FlightData{m[0], body, m[1]}, []*flight.FlightData{m[0], {FlightDescriptor: m[0].FlightDescriptor}, m[1]},
		[]*flight.FlightData{m[0], {FlightDescriptor: descriptor([]byte("y"))}, m[1]}, []*flight.FlightData{m[1], m[0]},
		[]*flight.FlightData{{FlightDescriptor: m[0].FlightDescriptor}, meta, {DataHeader: m[0].DataHeader}, m[1]})
}

// uploadOf is an IPC stream as messages, the first with the descriptor of a request that any rows can be joined to.
func uploadOf(t testing.TB, stream []byte) (messages []*flight.FlightData) {
	t.Helper()
	for src := ipcguard.Bytes(stream); ; {
		header, body, err := src.Next()
		if err == io.EOF {
			break
		}
		if err != nil { // tensors cannot be told apart from the rest of the stream
			messages = append(messages, &flight.FlightData{DataHeader: stream})
			break
		}
		messages = append(messages, &flight.FlightData{DataHeader: header, DataBody: body})
	}
	messages[0].FlightDescriptor = descriptor(weatherAsk)
	return messages
}

// withTime is a stream with a column event_timestamp, so that its rows are joined and sent back; nil if it cannot be read.
func withTime(t testing.TB, stream []byte) []byte {
	t.Helper()
	r, err := ipcguard.NewReader(t.Context(), ipcguard.Bytes(stream), ipcguard.Limits{})
	if err != nil {
		return nil
	}
	schema := r.Schema()
	if schema.HasField("event_timestamp") {
		return nil
	}
	schema = arrow.NewSchema(append(slices.Clone(schema.Fields()), arrow.Field{Name: "event_timestamp", Type: arrow.FixedWidthTypes.Timestamp_us}), nil)
	var out bytes.Buffer
	w := ipc.NewWriter(&out, ipc.WithSchema(schema))
	for rec, err := range r.Records() {
		if err != nil {
			return nil
		}
		times := array.NewTimestampBuilder(memory.DefaultAllocator, arrow.FixedWidthTypes.Timestamp_us.(*arrow.TimestampType))
		for range rec.NumRows() {
			times.Append(1_704_103_200_000_000)
		}
		if err := w.Write(array.NewRecord(schema, append(slices.Clone(rec.Columns()), times.NewArray()), rec.NumRows())); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// FuzzDoPut: whatever messages a client sends to DoPut and DoExchange, the call ends, with a code that the contract has
// for it, and the memory is back.
func FuzzDoPut(f *testing.F) {
	s := newTarget(f)
	for _, messages := range uploadSeeds(f) {
		f.Add(delimited(f, messages))
	}
	f.Fuzz(func(t *testing.T, data []byte) { s.try(t, undelimited(data)) })
}

// TestDamagedUploads is a short form of the fuzz target for every run of the tests.
func TestDamagedUploads(t *testing.T) {
	seed := *uploadSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("-upload-seed=%d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	s := newTarget(t)
	seeds := uploadSeeds(t)
	sound := 0
	for _, messages := range seeds {
		if s.try(t, messages) {
			sound++
		}
	}
	if sound < len(seeds)/3 {
		t.Errorf("of %d sound uploads only %d are answered", len(seeds), sound)
	}
	answered := 0
	for range *uploads {
		if s.try(t, damaged(rnd, seeds)) {
			answered++
		}
	}
	t.Logf("%d damaged uploads, %d of them answered", *uploads, answered)
}

// damaged is an upload with one to four things wrong.
func damaged(rnd *rand.Rand, seeds [][]*flight.FlightData) []*flight.FlightData {
	pick := func() []*flight.FlightData { return seeds[rnd.IntN(len(seeds))] }
	out := slices.Clone(pick())
	for range 1 + rnd.IntN(4) {
		if len(out) == 0 {
			return out
		}
		at := rnd.IntN(len(out))
		switch rnd.IntN(8) {
		case 0:
			out = slices.Delete(out, at, at+1)
		case 1:
			out = slices.Insert(out, at, out[rnd.IntN(len(out))])
		case 2:
			if other := pick(); len(other) > 0 {
				out[at] = other[rnd.IntN(len(other))]
			}
		case 3:
			other := rnd.IntN(len(out))
			out[at], out[other] = out[other], out[at]
		default:
			m := proto.Clone(out[at]).(*flight.FlightData)
			out[at] = m
			part := m.DataHeader
			if rnd.IntN(2) == 0 {
				part = m.DataBody
			}
			if len(part) > 0 {
				part[rnd.IntN(len(part))] = []byte{0, 1, 0x7f, 0x80, 0xff, byte(rnd.Uint32())}[rnd.IntN(6)]
			}
		}
	}
	return out
}
