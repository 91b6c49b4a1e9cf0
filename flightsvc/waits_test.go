package flightsvc

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/flight"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"github.com/flightd/flightd/internal/concat"
	"github.com/flightd/flightd/stores"
	"github.com/flightd/flightd/stores/memstore"
	"github.com/flightd/flightd/testdata/pit"
)

// Every wait of a call is bounded. These tests run in bubbles of their own time: they measure it exactly and do not wait.

// timed runs what must take exactly so long.
func timed(t *testing.T, want time.Duration, what func()) {
	t.Helper()
	start := time.Now()
	what()
	if took := time.Since(start); took != want {
		t.Errorf("it took %s, want %s", took, want)
	}
}

// uploader is the client's side of DoExchange and DoPut.
type uploader interface {
	Send(*flight.FlightData) error
	RecvMsg(any) error
	CloseSend() error
}

// uploads opens both kinds of upload, and gives the first message of each.
func (f *service) uploads(ctx context.Context) map[*flight.FlightData]uploader {
	f.t.Helper()
	exchange, err := f.client.DoExchange(ctx)
	if err != nil {
		f.t.Fatal(err)
	}
	put, err := f.client.DoPut(ctx)
	if err != nil {
		f.t.Fatal(err)
	}
	return map[*flight.FlightData]uploader{
		{FlightDescriptor: descriptor(joinStats)}:                    exchange,
		{FlightDescriptor: descriptor([]byte(`{"entity_rows":{}}`))}: put,
	}
}

// An open upload may be silent for a minute; each message begins another one.
func TestIdleUploads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		catalog, _ := parsed(t, stats)
		f := serve(t, catalog, Limits{})
		for first, stream := range f.uploads(t.Context()) {
			timed(t, 59*time.Second+time.Minute, func() {
				time.Sleep(59 * time.Second)
				for range 2 { // the descriptor, and once more
					if err := stream.Send(first); err != nil {
						t.Fatal(err)
					}
				}
				wantCode(t, "idle", stream.RecvMsg(new(flight.FlightData)), codes.DeadlineExceeded, "60 s")
			})
			break // the other one has been silent all the time
		}
		for _, stream := range f.uploads(t.Context()) {
			timed(t, time.Minute, func() {
				wantCode(t, "silent", stream.RecvMsg(new(flight.FlightData)), codes.DeadlineExceeded, "60 s")
			})
			break
		}
		f.idle()
	})
}

// large is a catalog whose view is larger than all buffers between server and client.
func large(t testing.TB) *stores.Catalog {
	t.Helper()
	v, err := pit.Parse("stats", stats)
	if err != nil {
		t.Fatal(err)
	}
	rec := v.Views[0].Source.Records[0]
	for range 18 { // double it, to half a million rows
		if rec, err = concat.Records([]arrow.Record{rec, rec}); err != nil {
			t.Fatal(err)
		}
	}
	store := memstore.New()
	if err := store.Put("stats", rec.Schema(), rec); err != nil {
		t.Fatal(err)
	}
	c, err := stores.NewCatalog([]*stores.FeatureView{{Name: "stats", Keys: []string{"key"}, Timestamp: "ts", Store: store, Source: memstore.Source("stats")}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// A client may leave its answer unread for limits.stalled.
func TestStalledClients(t *testing.T) {
	catalog := large(t)
	synctest.Test(t, func(t *testing.T) {
		f := serve(t, catalog, Limits{Query: 24 * time.Hour})
		stream, err := f.client.DoGet(t.Context(), &flight.Ticket{Ticket: allOfStats})
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if _, err := stream.Recv(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(59 * time.Minute) // slow, but not stalled
		}
		synctest.Wait()
		if f.server.memory.inUse.Load() == 0 {
			t.Error("an answer on its way takes no memory")
		}
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		f.idle() // the memory is back before the client knows
		for err == nil {
			_, err = stream.Recv()
		}
		wantCode(t, "stalled", err, codes.DeadlineExceeded, "limits.stalled")
	})
}

// No call is longer than limits.query, whatever it does, and whether the store listens or not.
func TestOverdueCalls(t *testing.T) {
	block := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	deaf := func(context.Context) error { time.Sleep(2 * time.Hour); return nil }
	read := func(f *service) error { _, err := f.get(context.Background(), allOfStats); return err }
	look := func(f *service) error {
		_, err := f.client.GetFlightInfo(context.Background(), descriptor(allOfStats))
		return err
	}
	for name, c := range map[string]struct {
		store *scripted
		call  func(*service) error
	}{
		"a scan":      {&scripted{scan: func(ctx context.Context, yield func(arrow.Record, error) bool) { yield(nil, block(ctx)) }}, read},
		"a plan":      {&scripted{schema: block}, look},
		"a deaf scan": {&scripted{scan: func(ctx context.Context, _ func(arrow.Record, error) bool) { _ = deaf(ctx) }}, read},
		"a deaf plan": {&scripted{schema: deaf}, look},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := serve(t, c.store.catalog(t), Limits{})
			timed(t, time.Hour, func() { wantCode(t, name, c.call(f), codes.DeadlineExceeded, "limits.query") })
			time.Sleep(time.Hour) // until the deaf have ended
			f.idle()
		})
	}
}

// The client's own deadline and cancel reach the store, and are told apart from the server's.
func TestClientsEndTheirCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan struct{}, 10)
		store := &scripted{scan: func(ctx context.Context, yield func(arrow.Record, error) bool) {
			<-ctx.Done()
			ended <- struct{}{}
			yield(nil, ctx.Err())
		}}
		f := serve(t, store.catalog(t), Limits{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		timed(t, time.Minute, func() {
			_, err := f.get(ctx, allOfStats)
			wantCode(t, "deadline", err, codes.DeadlineExceeded)
			<-ended
		})
		ctx, cancel = context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		timed(t, time.Second, func() {
			_, err := f.get(ctx, allOfStats)
			wantCode(t, "cancel", err, codes.Canceled)
			<-ended
		})
		f.idle()
		for _, code := range []string{"DeadlineExceeded", "Canceled"} {
			if !f.logged(`"code":"` + code + `"`) {
				t.Errorf("no call was logged as %s: %s", code, f.log.all())
			}
		}
	})
}

// As many retrievals run as limits.concurrent says. Eight times as many wait: DoGet for 5 s, because it may be repeated,
// DoExchange for limits.queue_for, because it may not. Uploads and plans do not wait for retrievals.
func TestQueues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		store := &scripted{scan: func(ctx context.Context, yield func(arrow.Record, error) bool) {
			select {
			case <-release:
			case <-ctx.Done():
				yield(nil, ctx.Err())
			}
		}}
		f := serve(t, store.catalog(t), Limits{Concurrent: 1})
		first := make(chan error, 1)
		go func() {
			_, err := f.get(t.Context(), allOfStats)
			first <- err
		}()
		synctest.Wait()
		timed(t, 5*time.Second, func() {
			trailer := metadata.MD{}
			stream, err := f.client.DoGet(t.Context(), &flight.Ticket{Ticket: allOfStats}, grpc.Trailer(&trailer))
			if err != nil {
				t.Fatal(err)
			}
			_, err = answerOf(stream)
			wantCode(t, "DoGet", err, codes.Unavailable, "limits.concurrent", "5s")
			if after := trailer.Get("grpc-retry-pushback-ms"); len(after) != 1 || after[0] != retryAfter {
				t.Errorf("the trailer does not say when to try again: %v", trailer)
			}
		})
		timed(t, 30*time.Second, func() {
			_, err := f.exchange(t.Context(), joinStats, entities(t, "1, 10:00"))
			wantCode(t, "DoExchange", err, codes.Unavailable, "limits.concurrent", "30s")
		})
		timed(t, 0, func() {
			if _, err := f.client.GetFlightInfo(t.Context(), descriptor(allOfStats)); err != nil {
				t.Errorf("GetFlightInfo: %v", err)
			}
			if _, err := f.stage(t.Context(), entities(t, "1, 10:00")); err != nil {
				t.Errorf("DoPut: %v", err)
			}
		})
		var waiting []chan error
		for range queueFactor {
			done := make(chan error, 1)
			waiting = append(waiting, done)
			go func() {
				_, err := f.get(t.Context(), allOfStats)
				done <- err
			}()
		}
		synctest.Wait()
		timed(t, 0, func() {
			_, err := f.get(t.Context(), allOfStats)
			wantCode(t, "one more than may wait", err, codes.Unavailable, "limits.concurrent")
		})
		close(release)
		for _, done := range append(waiting, first) {
			if err := <-done; err != nil {
				t.Errorf("a call that had its turn: %v", err)
			}
		}
		f.idle()
	})
}

// What could never fit into limits.memory is refused for good and at once; what would fit later waits, and is refused
// for now if it waited in vain.
func TestMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		catalog, _ := parsed(t, stats)
		f := serve(t, catalog, Limits{Memory: 1 << 20, StagedFor: 15 * time.Minute})
		timed(t, 0, func() {
			_, err := f.exchange(t.Context(), joinStats, many(20_000))
			wantCode(t, "more than all memory", err, codes.ResourceExhausted, "limits.memory", "1.0 MiB", "raise", "part")
		})
		if _, err := f.stage(t.Context(), many(40_000)); err != nil {
			t.Fatal(err)
		}
		timed(t, 30*time.Second, func() {
			_, err := f.exchange(t.Context(), joinStats, many(5000))
			wantCode(t, "no memory now", err, codes.Unavailable, "limits.memory", "30s")
		})
		time.Sleep(15*time.Minute - 30*time.Second - 10*time.Second)
		timed(t, 10*time.Second, func() { // until the staged rows expire
			if _, err := f.exchange(t.Context(), joinStats, many(5000)); err != nil {
				t.Errorf("memory that comes free: %v", err)
			}
		})
		f.idle()
	})
}

// Staged rows expire, but not under a call that uses them.
func TestStagedRowsExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &scripted{}
		f := serve(t, store.catalog(t), Limits{StagedFor: time.Minute})
		id, err := f.stage(t.Context(), entities(t, "1, 10:00", "2, 08:00"))
		if err != nil {
			t.Fatal(err)
		}
		ask := request("historical", map[string]any{"features": []string{"stats:f"}, "entity_rows_id": id})
		store.scan = func(ctx context.Context, yield func(arrow.Record, error) bool) {
			time.Sleep(2 * time.Minute)
			for _, rec := range store.rows.Records {
				yield(rec, nil)
			}
		}
		timed(t, 2*time.Minute, func() {
			a, err := f.get(t.Context(), ask)
			if err != nil || a.Rows() != 2 {
				t.Errorf("rows that expire in the middle: %d rows, %v", a.Rows(), err)
			}
		})
		f.idle()
		if f.staged() != 0 {
			t.Error("expired rows are still there")
		}
		_, err = f.get(t.Context(), ask)
		wantCode(t, "expired", err, codes.NotFound, "entity_rows_id", "1m0s", "limits.staged_for")
	})
}

// Clients that go away in the middle of anything leave nothing behind.
func TestClientsThatGoAway(t *testing.T) {
	catalog := large(t)
	synctest.Test(t, func(t *testing.T) {
		f := serve(t, catalog, Limits{})
		for _, act := range []func(flight.FlightServiceClient, context.Context){
			func(c flight.FlightServiceClient, ctx context.Context) { _, _ = c.DoExchange(ctx) },
			func(c flight.FlightServiceClient, ctx context.Context) {
				if s, err := c.DoExchange(ctx); err == nil {
					_ = s.Send(&flight.FlightData{FlightDescriptor: descriptor(joinStats)})
				}
			},
			func(c flight.FlightServiceClient, ctx context.Context) {
				if s, err := c.DoPut(ctx); err == nil {
					_ = send(s, []byte(`{"entity_rows":{}}`), entities(t, "1, 10:00"))
				}
			},
			func(c flight.FlightServiceClient, ctx context.Context) {
				if s, err := c.DoGet(ctx, &flight.Ticket{Ticket: allOfStats}); err == nil {
					_, _ = s.Recv()
				}
			},
			func(c flight.FlightServiceClient, ctx context.Context) {
				if s, err := c.DoExchange(ctx); err == nil {
					_ = send(s, joinStats, entities(t, "1, 10:00"))
					_ = s.CloseSend()
					_, _ = s.Recv()
				}
			},
		} {
			ctx, cancel := context.WithCancel(t.Context())
			act(f.client, ctx)
			synctest.Wait()
			cancel() // this call alone
			synctest.Wait()
			f.idle()

			conn := f.dial()
			act(flight.NewFlightServiceClient(conn), t.Context())
			synctest.Wait()
			conn.Close() // and all at once
			synctest.Wait()
			f.idle()
		}
		if _, err := f.get(t.Context(), allOfStats); err != nil {
			t.Errorf("after all that: %v", err)
		}
	})
}

func (f *service) logged(text string) bool {
	for _, line := range f.log.all() {
		if strings.Contains(line, text) {
			return true
		}
	}
	return false
}
