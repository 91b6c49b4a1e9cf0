package flightsvc

import (
	"context"
	"flag"
	"net"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow/flight"
	"github.com/rs/zerolog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/flightd/flightd/stores"
	"github.com/flightd/flightd/testdata/pit"
)

var (
	stagedUploads = flag.Int("staged-uploads", 3000, "uploads that TestStagingBounded makes")
	leakCalls     = flag.Int("leak-calls", 300, "rounds of calls that TestNoLeak makes")
)

// Uploads that nobody fetches are bounded, also those without rows; what is refused leaves nothing.
func TestStagingBounded(t *testing.T) {
	const limit = 4 << 20
	s := newTarget(t)
	s.staging.limit = limit
	taken := make(map[codes.Code]int)
	for i := range *stagedUploads {
		rows := pit.Table{Schema: many(1).Schema}
		if i%2 == 0 {
			rows = many(i % 1000)
		}
		messages := uploadOf(t, ipcStream(t, rows))
		messages[0].FlightDescriptor = descriptor([]byte(`{"entity_rows":{}}`))
		err := s.call("DoPut", func(ctx context.Context) error {
			return s.DoPut(recordedPut{&recorded{ctx: ctx, messages: messages}})
		})
		taken[status.Code(err)]++
		if s.staging.bytes > limit || s.memory.inUse.Load() != s.staging.bytes {
			t.Fatalf("after %d uploads %d bytes are staged, and %d taken from the memory", i+1, s.staging.bytes, s.memory.inUse.Load())
		}
	}
	if len(taken) != 2 || taken[codes.ResourceExhausted] < *stagedUploads/2 {
		t.Errorf("the uploads ended as %v", taken)
	}
	if n := len(s.staging.uploads); n > limit/uploadCost {
		t.Errorf("%d uploads are kept in %d bytes", n, limit)
	}
	t.Logf("%v, %d bytes staged", taken, s.staging.bytes)
}

// TestNoLeak: after any number of calls, good and bad, there are as many goroutines, descriptors and bytes as before.
func TestNoLeak(t *testing.T) {
	f := serveTCP(t, twoDays(t), Limits{Index: 1 << 20, SpillDir: t.TempDir()})
	calls := 0
	round := func(n int) {
		client := f.client
		if n%50 == 0 { // a client of its own, which goes away
			conn := f.dial()
			defer conn.Close()
			client = flight.NewFlightServiceClient(conn)
		}
		ask := func(ticket string) {
			calls++
			stream, err := client.DoGet(t.Context(), &flight.Ticket{Ticket: []byte(ticket)})
			for err == nil {
				_, err = stream.Recv()
			}
			if status.Code(err) == codes.Internal {
				t.Fatal(err)
			}
		}
		for _, ticket := range []string{`{"all": {"view": "stats"}}`, `{"latest": {"view": "stats"}}`, `{"all": {"view": "nothing"}}`, `{`, ``} {
			ask(ticket)
		}
		calls += 2
		if _, err := f.exchange(t.Context(), joinStats, entities(t, "1, 10:00", "7, 10:00")); err != nil {
			t.Fatal(err)
		}
		if _, err := f.exchange(t.Context(), []byte(`{"historical": {"features": ["stats:g"]}}`), entities(t, "1, 10:00")); err == nil {
			t.Fatal("a feature that is not there was found")
		}
		calls++
		ctx, cancel := context.WithCancel(t.Context())
		if stream, err := client.DoExchange(ctx); err == nil {
			_ = stream.Send(&flight.FlightData{FlightDescriptor: descriptor(joinStats)})
		}
		cancel() // a client that went away
		if n%10 == 0 {
			calls += 2
			id, err := f.stage(t.Context(), entities(t, "1, 10:00"))
			if err != nil {
				t.Fatal(err)
			}
			ask(string(request("historical", map[string]any{"features": []string{"stats"}, "entity_rows_id": id, "report": true})))
			f.server.staging.remove(id)
		}
	}
	for n := range 300 {
		round(n)
	}
	before := f.taken()
	calls = 0
	start := time.Now()
	for n := range *leakCalls {
		round(n)
	}
	took := time.Since(start)
	f.await("the end of all goroutines", func() bool { return runtime.NumGoroutine() <= before.goroutines })
	after := f.taken()
	t.Logf("%d calls in %s (%.0f a second): %+v before, %+v after", calls, took.Round(time.Second), float64(calls)/took.Seconds(), before, after)
	if after.descriptors > before.descriptors || after.heap > before.heap+before.heap/100+1<<20 {
		t.Errorf("before %+v, after %d calls %+v", before, calls, after)
	}
}

// taken is what a process has.
type taken struct {
	goroutines, descriptors int
	heap                    uint64
}

// taken counts what is there when no call runs.
func (f *service) taken() taken {
	f.idle()
	var m runtime.MemStats
	for range 3 { // finalizers, and what they free
		runtime.GC()
		time.Sleep(20 * time.Millisecond)
	}
	runtime.ReadMemStats(&m)
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		f.t.Log("descriptors are not counted:", err)
	}
	return taken{runtime.NumGoroutine(), len(open), m.HeapAlloc}
}

// serveTCP is serve on a port of the machine.
func serveTCP(t *testing.T, catalog *stores.Catalog, limits Limits) *service {
	t.Helper()
	f := &service{t: t, log: new(logLines), served: make(chan struct{})}
	var err error
	f.server, err = New(Options{
		Catalog: func(context.Context) (*stores.Catalog, error) { return catalog, nil }, Limits: limits, Log: zerolog.Nop(),
	})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer close(f.served)
		if err := f.server.Serve(ctx, listener); err != nil {
			t.Errorf("serve: %v", err)
		}
	}()
	f.dial = func() *grpc.ClientConn {
		conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}
	f.conn = f.dial()
	f.client = flight.NewFlightServiceClient(f.conn)
	t.Cleanup(func() {
		f.conn.Close()
		cancel()
		<-f.served
	})
	return f
}
