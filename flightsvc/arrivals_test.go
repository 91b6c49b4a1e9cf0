package flightsvc

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/apache/arrow/go/v15/arrow/flight"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
)

// unfinished is a call over a connection of its own that sends a part of a message and then waits.
type unfinished struct {
	conn   net.Conn
	framer *http2.Framer
	mu     sync.Mutex
	window int64
	more   *sync.Cond
	ended  chan struct{}
	code   codes.Code
	err    error
}

// beginMessage calls a method and sends the first bytes of a message that is said to be longer.
func beginMessage(t *testing.T, f *service, method string, claimed uint32, sent int) *unfinished {
	t.Helper()
	framer, conn := f.raw()
	u := &unfinished{conn: conn, framer: framer, window: 65535, ended: make(chan struct{})}
	u.more = sync.NewCond(&u.mu)
	t.Cleanup(func() { conn.Close(); <-u.ended })
	go u.listen()
	if err := u.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: headersOf(t, method), EndHeaders: true}); err != nil {
		t.Fatal(err)
	}
	message := make([]byte, sent)
	binary.BigEndian.PutUint32(message[1:], claimed)
	u.send(message)
	return u
}

// headersOf are the headers of a call to Flight, or to the service that the method names, in a form that does not depend on those before.
func headersOf(t *testing.T, method string) []byte {
	t.Helper()
	if !strings.HasPrefix(method, "/") {
		method = "/arrow.flight.protocol.FlightService/" + method
	}
	var out bytes.Buffer
	encoder := hpack.NewEncoder(&out)
	encoder.SetMaxDynamicTableSize(0)
	for _, h := range [][2]string{{":method", "POST"}, {":scheme", "http"}, {":path", method},
		{":authority", "test"}, {"content-type", "application/grpc"}, {"te", "trailers"}} {
		if err := encoder.WriteField(hpack.HeaderField{Name: h[0], Value: h[1], Sensitive: true}); err != nil {
			t.Fatal(err)
		}
	}
	return out.Bytes()
}

// send writes data as far as the server takes it.
func (u *unfinished) send(data []byte) {
	for len(data) > 0 {
		n := u.take(min(len(data), 16<<10))
		if n == 0 || u.framer.WriteData(1, false, data[:n]) != nil {
			return
		}
		data = data[n:]
	}
}

func (u *unfinished) take(n int) int {
	u.mu.Lock()
	defer u.mu.Unlock()
	for u.window == 0 {
		u.more.Wait()
	}
	if u.window < 0 {
		return 0
	}
	n = int(min(int64(n), u.window))
	u.window -= int64(n)
	return n
}

// listen follows the stream's window and its end. The window of the connection is larger than the stream's, and follows
// what is read at once.
func (u *unfinished) listen() {
	defer close(u.ended)
	reader := http2.NewFramer(io.Discard, u.conn)
	reader.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	for {
		frame, err := reader.ReadFrame()
		u.mu.Lock()
		switch f := frame.(type) {
		case *http2.SettingsFrame:
			if v, ok := f.Value(http2.SettingInitialWindowSize); ok {
				u.window += int64(v) - 65535
			}
		case *http2.WindowUpdateFrame:
			if f.StreamID == 1 {
				u.window += int64(f.Increment)
			}
		case *http2.MetaHeadersFrame:
			for _, h := range f.Fields {
				if h.Name == "grpc-status" {
					n, _ := strconv.Atoi(h.Value)
					u.code, err = codes.Code(n), io.EOF
				}
			}
		}
		if err != nil {
			u.window = -1
			u.err = err
		}
		u.more.Broadcast()
		u.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// A message over the limit is refused while it comes, by name; one of just the limit is taken.
func TestMessageLimit(t *testing.T) {
	catalog, _ := parsed(t, stats)
	f := serve(t, catalog, Limits{Message: 1 << 20})
	command := descriptor([]byte(`{"entity_rows":{}}`))
	put := func(bodyBytes int) error {
		stream, err := f.client.DoPut(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_ = stream.Send(&flight.FlightData{FlightDescriptor: command, DataBody: make([]byte, bodyBytes)})
		_, err = stream.Recv()
		return err
	}
	envelope := proto.Size(&flight.FlightData{FlightDescriptor: command, DataBody: make([]byte, 1<<20)}) - 1<<20
	for _, over := range []int{1, 100_000, 1 << 20, 30 << 20} {
		wantCode(t, "over the limit by "+strconv.Itoa(over), put(1<<20-envelope+over), codes.ResourceExhausted, "limits.message", "1.0 MiB", "raise")
	}
	wantCode(t, "just the limit", put(1<<20-envelope), codes.InvalidArgument, "no header") // it was looked at

	for _, size := range []int{5 << 20, 40 << 20} {
		_, err := f.get(t.Context(), bytes.Repeat([]byte{' '}, size))
		wantCode(t, "a ticket that is too long", err, codes.InvalidArgument, "4194304")
		_, err = f.client.GetFlightInfo(t.Context(), descriptor(bytes.Repeat([]byte{' '}, size)))
		wantCode(t, "a command that is too long", err, codes.InvalidArgument, "4194304")
	}
	f.idle()
}

// A claim costs nothing, and what comes of a message that is too large is not collected.
func TestUnfinishedMessages(t *testing.T) {
	catalog, _ := parsed(t, stats)
	f := serve(t, catalog, Limits{Message: 1 << 20})
	claims := beginMessage(t, f, "DoPut", 1<<31-1, 1000)
	sends := beginMessage(t, f, "DoExchange", 1<<31-1, 500<<20)
	<-sends.ended
	if sends.code != codes.ResourceExhausted {
		t.Errorf("a message that is too large: %s, %v", sends.code, sends.err)
	}
	ticket := beginMessage(t, f, "DoGet", 1<<31-1, 500<<20)
	<-ticket.ended
	if ticket.code != codes.InvalidArgument {
		t.Errorf("a ticket that is too large: %s, %v", ticket.code, ticket.err)
	}
	select {
	case <-claims.ended:
		t.Errorf("a message that is said to be large, but has not come: %s, %v", claims.code, claims.err)
	default:
	}
}

// All unfinished messages together are bounded by the memory limit: the largest have to go.
func TestCrowdOfUnfinishedMessages(t *testing.T) {
	catalog, _ := parsed(t, stats)
	f := serve(t, catalog, Limits{Memory: 64 << 20}) // 32 MiB of them may be unfinished
	small := beginMessage(t, f, "DoPut", 30<<20, 1<<20)
	first := beginMessage(t, f, "DoPut", 30<<20, 16<<20)
	second := beginMessage(t, f, "DoExchange", 30<<20, 20<<20)
	select {
	case <-first.ended:
	case <-second.ended:
	}
	f.server.arrivals.mu.Lock()
	var pending int64
	for c := range f.server.arrivals.waiting {
		pending += c.pending()
	}
	f.server.arrivals.mu.Unlock()
	if pending > slack(32<<20) {
		t.Errorf("%d bytes of unfinished messages are kept", pending)
	}
	ended := 0
	for _, u := range []*unfinished{small, first, second} {
		select {
		case <-u.ended:
			if ended++; u.code != codes.Unavailable {
				t.Errorf("the call that had to go: %s, %v", u.code, u.err)
			}
		default:
		}
	}
	if ended != 1 {
		t.Errorf("%d calls had to go, one is enough", ended)
	}
}

// Uploads that share a connection do not answer for each other.
func TestUploadsOverOneConnection(t *testing.T) {
	catalog, _ := parsed(t, stats)
	f := serve(t, catalog, Limits{Message: 1 << 20, Staged: 512 << 20})
	idle, err := f.client.DoExchange(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := idle.Send(&flight.FlightData{FlightDescriptor: descriptor(joinStats)}); err != nil {
		t.Fatal(err)
	}
	rows := many(50_000) // 800 KB
	for range 5 {
		rows.Records = append(rows.Records, rows.Records...)
	}
	if _, err := f.stage(t.Context(), rows); err != nil {
		t.Errorf("%d bytes in messages below the limit: %v", 32*50_000*16, err)
	}
	if err := send(idle, joinStats, entities(t, "1, 10:00")); err != nil {
		t.Fatal(err)
	}
	if err := idle.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if a, err := answerOf(idle); err != nil || a.Rows() != 1 {
		t.Errorf("an upload that waited meanwhile: %d rows, %v", a.Rows(), err)
	}
	f.idle()
}
