package flightsvc

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/flightd/flightd/internal/fault"
)

func TestGateBoundsRunningAndWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(2)
		places := make([]place, 2)
		for i := range places {
			if err := places[i].enter(t.Context(), g, time.Second); err != nil {
				t.Fatal(err)
			}
		}
		var refusedLate, waited sync.WaitGroup
		for range 2 * queueFactor { // as many as may wait
			refusedLate.Add(1)
			waited.Go(func() {
				defer refusedLate.Done()
				start := time.Now()
				if err := g.enter(t.Context(), 5*time.Second); !errors.Is(err, fault.Busy) {
					t.Errorf("a waiting call got %v, want busy", err)
				}
				if d := time.Since(start); d != 5*time.Second {
					t.Errorf("it waited %s, want 5s", d)
				}
			})
		}
		synctest.Wait()
		start := time.Now()
		if err := g.enter(t.Context(), 5*time.Second); !errors.Is(err, fault.Busy) || time.Since(start) != 0 {
			t.Errorf("with a full queue: %v after %s, want busy at once", err, time.Since(start))
		}
		waited.Wait()
		places[0].leave()
		places[0].leave() // once is enough
		if err := g.enter(t.Context(), time.Second); err != nil {
			t.Errorf("after one left: %v", err)
		}
		if err := g.enter(t.Context(), time.Second); !errors.Is(err, fault.Busy) {
			t.Errorf("after one left and one came: %v", err)
		}
		if err := places[1].enter(t.Context(), g, time.Second); err != nil {
			t.Errorf("a place changed for another of the same gate: %v", err)
		}
	})
}

func TestAccountTellsNeverFromNotNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(100)
		a, b := p.account(time.Second), p.account(time.Second)
		if err := a.Reserve(t.Context(), 60); err != nil {
			t.Fatal(err)
		}
		if err := a.Reserve(t.Context(), 41); !errors.Is(err, fault.Exhausted) {
			t.Errorf("more than the pool holds: %v, want exhausted", err)
		}
		if err := b.Reserve(t.Context(), 60); !errors.Is(err, fault.Busy) {
			t.Errorf("more than is free: %v, want busy", err)
		}
		go func() {
			time.Sleep(500 * time.Millisecond)
			a.close()
		}()
		if err := b.Reserve(t.Context(), 60); err != nil {
			t.Errorf("what is freed within the patience: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := a.Reserve(ctx, 60); !errors.Is(err, context.Canceled) {
			t.Errorf("a cancelled call: %v", err)
		}
		b.close()
		if p.inUse.Load() != 0 {
			t.Errorf("%d bytes are still taken", p.inUse.Load())
		}
	})
}

func TestStagingIsBoundedAndPrivate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(1 << 20)
		put := func(s *staging, caller string, bytes int64) (string, error) {
			u := &upload{caller: caller, bytes: bytes, schema: arrow.NewSchema(nil, nil), memory: p.account(time.Second)}
			if err := u.memory.Reserve(t.Context(), bytes); err != nil {
				t.Fatal(err)
			}
			id, err := s.add(u)
			if err != nil {
				u.memory.close()
			}
			return id, err
		}
		s := newStaging(Limits{Staged: 100, StagedFor: time.Minute})
		id, err := put(s, "ann", 20)
		if err != nil {
			t.Fatal(err)
		}
		_, release, err := s.rows(id, "ann")
		if err != nil {
			t.Errorf("one's own rows: %v", err)
		}
		for _, other := range []string{"bob", ""} {
			if _, _, err := s.rows(id, other); !errors.Is(err, fault.NotFound) {
				t.Errorf("rows of somebody else, asked for by %q: %v, want not found", other, err)
			}
		}
		if _, err := put(s, "ann", 6); !errors.Is(err, fault.Exhausted) {
			t.Errorf("over a caller's share: %v, want exhausted", err)
		}
		if _, err := put(s, "", 101); !errors.Is(err, fault.Exhausted) {
			t.Errorf("more than the limit: %v, want exhausted", err)
		}
		if _, err := put(s, "", 80); err != nil {
			t.Errorf("the rest: %v", err)
		}
		if _, err := put(s, "bob", 1); !errors.Is(err, fault.Busy) {
			t.Errorf("others fill the limit: %v, want busy", err)
		}
		if _, err := put(s, "", 21); !errors.Is(err, fault.Exhausted) {
			t.Errorf("those without a name fill the limit: %v, want exhausted", err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if _, _, err := s.rows(id, "ann"); !errors.Is(err, fault.NotFound) {
			t.Errorf("expired rows: %v, want not found", err)
		}
		if s.bytes != 0 || len(s.byCaller) != 0 {
			t.Errorf("after expiry %d bytes are staged, of %d callers", s.bytes, len(s.byCaller))
		}
		if n := p.inUse.Load(); n != 20 {
			t.Errorf("%d bytes of memory are taken while a call uses 20 that have expired", n)
		}
		release()
		if n := p.inUse.Load(); n != 0 {
			t.Errorf("%d bytes of memory are taken in the end", n)
		}
	})
}

// Two calls may each hold a part of the memory and wait for the rest. That ends by patience: one is refused for now, and
// what it held lets the other go on.
func TestCallsThatWaitForEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(100)
		outcome := make(chan error, 2)
		for i := range 2 {
			go func() {
				a := p.account(30 * time.Second)
				defer a.close()
				if err := a.Reserve(t.Context(), 40); err != nil {
					t.Error(err)
				}
				time.Sleep(time.Duration(1+i) * time.Second) // each holds 40 of 100 now
				err := a.Reserve(t.Context(), 50)
				outcome <- err
			}()
		}
		start := time.Now()
		if err := <-outcome; !errors.Is(err, fault.Busy) || time.Since(start) != 31*time.Second {
			t.Errorf("the first that waits: %v after %s", err, time.Since(start))
		}
		if err := <-outcome; err != nil || time.Since(start) != 31*time.Second {
			t.Errorf("the other: %v after %s", err, time.Since(start))
		}
		synctest.Wait()
		if p.inUse.Load() != 0 {
			t.Errorf("%d bytes are still taken", p.inUse.Load())
		}
	})
}
