package flightsvc

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/flight"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

// gated is a store whose scan waits until it is released.
func gated() (*scripted, func()) {
	release := make(chan struct{})
	store := new(scripted)
	store.scan = func(ctx context.Context, yield func(arrow.Record, error) bool) {
		select {
		case <-release:
			for _, rec := range store.rows.Records {
				yield(rec, nil)
			}
		case <-ctx.Done():
			yield(nil, ctx.Err())
		}
	}
	return store, func() { close(release) }
}

// running starts a read and returns what will become of it.
func (f *service) running() <-chan error {
	done := make(chan error, 1)
	go func() {
		_, err := f.get(context.Background(), allOfStats)
		done <- err
	}()
	synctest.Wait()
	return done
}

// Those who watch the health are told at once; new calls are refused, also over connections that are open; running ones
// may finish; then the server is gone.
func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, release := gated()
		f := serve(t, store.catalog(t), Limits{})
		watch, err := healthpb.NewHealthClient(f.conn).Watch(t.Context(), &healthpb.HealthCheckRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if h, err := watch.Recv(); err != nil || h.Status != healthpb.HealthCheckResponse_SERVING {
			t.Errorf("before: %v, %v", h, err)
		}
		read := f.running()
		upload, err := f.client.DoPut(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		first := &flight.FlightData{FlightDescriptor: descriptor([]byte(`{"entity_rows":{}}`))}
		if err := upload.Send(first); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		f.drain()
		timed(t, 0, func() {
			if h, err := watch.Recv(); err != nil || h.Status != healthpb.HealthCheckResponse_NOT_SERVING {
				t.Errorf("after the signal: %v, %v", h, err)
			}
			_, err := f.get(t.Context(), allOfStats)
			wantCode(t, "a new call", err, codes.Unavailable)
		})
		time.Sleep(20 * time.Second)
		select {
		case err := <-read:
			t.Errorf("a running call did not go on: %v", err)
		case <-f.served:
			t.Error("the server did not wait for its calls")
		default:
		}
		release()
		if err := <-read; err != nil {
			t.Errorf("a running call did not finish: %v", err)
		}
		if err := send(upload, first.FlightDescriptor.Cmd, entities(t, "1, 10:00")); err != nil {
			t.Errorf("a running upload: %v", err)
		}
		if err := upload.CloseSend(); err != nil {
			t.Error(err)
		}
		if _, err := upload.Recv(); err != nil {
			t.Errorf("a running upload did not finish: %v", err)
		}
		if _, err := upload.Recv(); err != io.EOF {
			t.Errorf("a running upload ended with %v", err)
		}
		timed(t, 0, func() { <-f.served })
		if f.ended != nil {
			t.Errorf("the drain ended with %v", f.ended)
		}
	})
}

// What is not over when the shutdown timeout is, ends as UNAVAILABLE; what cannot even be told so is cut off a little
// later.
func TestDrainIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, _ := gated()
		f := serve(t, store.catalog(t), Limits{})
		read := f.running()
		f.drain()
		timed(t, 30*time.Second, func() {
			wantCode(t, "a call that does not end", <-read, codes.Unavailable, "shutting down")
			<-f.served
		})
		if !errors.Is(f.ended, ErrCutOff) {
			t.Errorf("the drain ended with %v", f.ended)
		}
	})
	catalog := large(t)
	synctest.Test(t, func(t *testing.T) {
		f := serve(t, catalog, Limits{})
		stream, err := f.client.DoGet(t.Context(), &flight.Ticket{Ticket: allOfStats})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // it fills all buffers, and is not read
		f.drain()
		timed(t, 30*time.Second+farewell, func() { <-f.served })
		_, err = answerOf(stream)
		wantCode(t, "an answer that is not read", err, codes.Unavailable)
	})
}

// A second signal ends everything at once.
func TestStopDuringDrain(t *testing.T) {
	catalog := large(t)
	synctest.Test(t, func(t *testing.T) {
		f := serve(t, catalog, Limits{})
		stream, err := f.client.DoGet(t.Context(), &flight.Ticket{Ticket: allOfStats})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		f.drain()
		time.Sleep(10 * time.Second)
		timed(t, farewell, func() {
			f.server.Stop()
			<-f.served
		})
		if !errors.Is(f.ended, ErrCutOff) {
			t.Errorf("the drain ended with %v", f.ended)
		}
		_, err = answerOf(stream)
		wantCode(t, "an answer that is not read", err, codes.Unavailable)
	})
	synctest.Test(t, func(t *testing.T) {
		store, _ := gated()
		f := serve(t, store.catalog(t), Limits{})
		read := f.running()
		timed(t, 0, func() {
			f.server.Stop() // without a drain
			wantCode(t, "a running call", <-read, codes.Unavailable, "shutting down")
			<-f.served
		})
	})
}

// Work that does not listen to its context is left behind: the server ends, soon, and says which calls they were.
func TestDrainOfDeafWork(t *testing.T) {
	for what, c := range map[string]struct {
		leave bool          // the client goes away before
		again time.Duration // a second signal comes so much later
		takes time.Duration
	}{
		"one signal":                           {takes: 30*time.Second + farewell + lastWork},
		"the client has gone":                  {leave: true, takes: 30*time.Second + farewell + lastWork},
		"a second signal during the drain":     {again: 10 * time.Second, takes: 10*time.Second + 2*farewell},
		"a second signal while work goes on":   {again: 30*time.Second + farewell + time.Second, takes: 30*time.Second + 2*farewell + time.Second},
		"a second signal, the client has gone": {leave: true, again: 10 * time.Second, takes: 10*time.Second + 2*farewell},
	} {
		synctest.Test(t, func(t *testing.T) {
			release := make(chan struct{})
			store := &scripted{schema: func(context.Context) error { <-release; return nil }}
			f := serve(t, store.catalog(t), Limits{})
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			ended := make(chan error, 1)
			go func() {
				_, err := f.client.GetFlightInfo(ctx, descriptor(allOfStats))
				ended <- err
			}()
			synctest.Wait()
			if c.leave {
				leave()
				wantCode(t, what, <-ended, codes.Canceled)
			}
			timed(t, c.takes, func() {
				f.drain()
				if c.again > 0 {
					time.Sleep(c.again)
					f.server.Stop()
				}
				<-f.served
			})
			if !c.leave {
				wantCode(t, what, <-ended, codes.Unavailable, "shutting down")
			}
			if !errors.Is(f.ended, ErrCutOff) {
				t.Errorf("%s: the drain ended with %v", what, f.ended)
			}
			if !f.logged(`"call":"GetFlightInfo"`) || !f.logged("does not end") {
				t.Errorf("%s: the call that is left was not logged: %v", what, f.log.all())
			}
			close(release)
			f.idle()
		})
	}
}
