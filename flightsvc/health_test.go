package flightsvc

import (
	"context"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

// A message to the health service that is too large is refused while it comes, whatever its call.
func TestHealthMessages(t *testing.T) {
	catalog, _ := parsed(t, stats)
	f := serve(t, catalog, Limits{})
	for _, method := range []string{"Check", "List", "Watch"} {
		sends := beginMessage(t, f, "/grpc.health.v1.Health/"+method, 1<<31-1, 100<<20)
		select {
		case <-sends.ended:
			if sends.code != codes.ResourceExhausted {
				t.Errorf("%s: %s, %v", method, sends.code, sends.err)
			}
		case <-time.After(20 * time.Second):
			t.Errorf("%s: a message of 2 GiB is collected", method)
		}
		f.await("the end of the message", func() bool {
			f.server.arrivals.mu.Lock()
			defer f.server.arrivals.mu.Unlock()
			return len(f.server.arrivals.waiting) == 0
		})
	}
	client := healthpb.NewHealthClient(f.conn)
	ask := func(bytes int) error {
		_, err := client.Check(t.Context(), &healthpb.HealthCheckRequest{Service: strings.Repeat("x", bytes)})
		return err
	}
	wantCode(t, "just the limit", ask(healthBytes-3), codes.NotFound)
	wantCode(t, "over the limit by 1", ask(healthBytes-2), codes.ResourceExhausted, "4.0 KiB")
	if h, err := client.Check(t.Context(), &healthpb.HealthCheckRequest{}); err != nil || h.Status != healthpb.HealthCheckResponse_SERVING {
		t.Errorf("after that: %v, %v", h, err)
	}
}

// Those who watch the health are bounded in number, for each connection.
func TestWatchesAreBounded(t *testing.T) {
	catalog, _ := parsed(t, stats)
	f := serve(t, catalog, Limits{})
	watch := func(conn *grpc.ClientConn) (end context.CancelFunc, err error) {
		ctx, cancel := context.WithCancel(t.Context())
		stream, err := healthpb.NewHealthClient(conn).Watch(ctx, &healthpb.HealthCheckRequest{})
		if err == nil {
			_, err = stream.Recv()
		}
		return cancel, err
	}
	var end context.CancelFunc
	for range maxWatches {
		var err error
		if end, err = watch(f.conn); err != nil {
			t.Fatal(err)
		}
	}
	_, err := watch(f.conn)
	wantCode(t, "one more", err, codes.Unavailable, "4 calls")
	other := f.dial()
	defer other.Close()
	if _, err := watch(other); err != nil {
		t.Errorf("over another connection: %v", err)
	}
	end()
	f.await("a place", func() bool { _, err := watch(f.conn); return err == nil })
}
