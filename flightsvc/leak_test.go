package flightsvc

import (
	"context"
	"errors"
	"flag"
	"io"
	"runtime"
	"testing"

	"github.com/apache/arrow/go/v15/arrow/flight"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

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

// After any number of calls there are as many goroutines as before, and no memory is taken.
func TestNoLeak(t *testing.T) {
	catalog, _ := parsed(t, stats)
	f := serve(t, catalog, Limits{})
	round := func() {
		for _, ticket := range []string{string(allOfStats), `{"latest": {"view": "stats"}}`, `{"all": {"view": "nothing"}}`, `{`, ``} {
			if _, err := f.get(t.Context(), []byte(ticket)); status.Code(err) == codes.Internal {
				t.Fatal(err)
			}
		}
		if _, err := f.exchange(t.Context(), joinStats, entities(t, "1, 10:00", "7, 10:00")); err != nil {
			t.Fatal(err)
		}
		if _, err := f.exchange(t.Context(), []byte(`{"historical": {"features": ["stats:g"]}}`), entities(t, "1, 10:00")); err == nil {
			t.Fatal("a feature that is not there was found")
		}
		ctx, cancel := context.WithCancel(t.Context())
		if stream, err := f.client.DoExchange(ctx); err == nil {
			_ = stream.Send(&flight.FlightData{FlightDescriptor: descriptor(joinStats)})
		}
		cancel() // a client that went away
		if _, err := f.listed(); err != nil && !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
	}
	round()
	f.idle()
	before := runtime.NumGoroutine()
	for range *leakCalls {
		round()
	}
	f.idle()
	f.await("the end of all goroutines", func() bool { return runtime.NumGoroutine() <= before })
}
