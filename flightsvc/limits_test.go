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
		var leaves []func()
		for range 2 {
			leave, err := g.enter(t.Context(), time.Second)
			if err != nil {
				t.Fatal(err)
			}
			leaves = append(leaves, leave)
		}
		var refusedLate, waited sync.WaitGroup
		for range 2 * queueFactor { // as many as may wait
			refusedLate.Add(1)
			waited.Go(func() {
				defer refusedLate.Done()
				start := time.Now()
				if _, err := g.enter(t.Context(), 5*time.Second); !errors.Is(err, fault.Busy) {
					t.Errorf("a waiting call got %v, want busy", err)
				}
				if d := time.Since(start); d != 5*time.Second {
					t.Errorf("it waited %s, want 5s", d)
				}
			})
		}
		synctest.Wait()
		start := time.Now()
		if _, err := g.enter(t.Context(), 5*time.Second); !errors.Is(err, fault.Busy) || time.Since(start) != 0 {
			t.Errorf("with a full queue: %v after %s, want busy at once", err, time.Since(start))
		}
		waited.Wait()
		leaves[0]()
		if _, err := g.enter(t.Context(), time.Second); err != nil {
			t.Errorf("after one left: %v", err)
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
		released := 0
		put := func(s *staging, caller string, bytes int64) (string, error) {
			return s.add(&upload{caller: caller, bytes: bytes, schema: arrow.NewSchema(nil, nil), release: func() { released++ }})
		}
		s := newStaging(Limits{Staged: 100, StagedFor: time.Minute})
		id, err := put(s, "ann", 20)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.rows(id, "ann"); err != nil {
			t.Errorf("one's own rows: %v", err)
		}
		for _, other := range []string{"bob", ""} {
			if _, err := s.rows(id, other); !errors.Is(err, fault.NotFound) {
				t.Errorf("rows of somebody else, asked for by %q: %v, want not found", other, err)
			}
		}
		if _, err := put(s, "ann", 6); !errors.Is(err, fault.Exhausted) {
			t.Errorf("over a caller's share: %v, want exhausted", err)
		}
		if _, err := put(s, "", 80); err != nil {
			t.Errorf("the rest: %v", err)
		}
		if _, err := put(s, "bob", 1); !errors.Is(err, fault.Busy) {
			t.Errorf("others fill the limit: %v, want busy", err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if _, err := s.rows(id, "ann"); !errors.Is(err, fault.NotFound) {
			t.Errorf("expired rows: %v, want not found", err)
		}
		if released != 2 || s.bytes != 0 || len(s.byCaller) != 0 {
			t.Errorf("after expiry %d of 2 uploads are released, %d bytes staged, %d callers", released, s.bytes, len(s.byCaller))
		}
	})
}
