package flightsvc

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
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

// Two calls may each hold a part of the memory and wait for the rest. Then the one that came last is refused at once, and what
// it held lets the other go on.
func TestCallsThatWaitForEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(100)
		outcome := make([]error, 2)
		var calls sync.WaitGroup
		start := time.Now()
		for i := range outcome {
			a := p.account(30 * time.Second)
			calls.Go(func() {
				defer a.close()
				if err := a.Start(t.Context(), 40); err != nil {
					t.Error(err)
				}
				time.Sleep(time.Duration(1+i) * time.Second) // each holds 40 of 100 now
				outcome[i] = a.Reserve(t.Context(), 50)
			})
		}
		calls.Wait()
		if outcome[0] != nil || !errors.Is(outcome[1], fault.Busy) || time.Since(start) != 2*time.Second {
			t.Errorf("the first: %v, the second: %v, after %s", outcome[0], outcome[1], time.Since(start))
		}
		if p.inUse.Load() != 0 || p.free != 100 || p.working != 0 {
			t.Errorf("%d bytes are still taken, %d free, %d at work", p.inUse.Load(), p.free, p.working)
		}
	})
}

// Work that has begun passes those that wait to begin, and these those that still receive.
func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(100)
		working, beginner, receiver := p.account(time.Minute), p.account(time.Minute), p.account(time.Minute)
		if err := working.Start(t.Context(), 70); err != nil {
			t.Fatal(err)
		}
		var order []string
		var mu sync.Mutex
		var calls sync.WaitGroup
		wait := func(what string, take func(context.Context, int64) error, bytes int64) {
			calls.Go(func() {
				if err := take(t.Context(), bytes); err != nil {
					t.Errorf("%s: %v", what, err)
				}
				mu.Lock()
				defer mu.Unlock()
				order = append(order, what)
			})
			synctest.Wait()
		}
		wait("begin", beginner.Start, 60)
		wait("receive", receiver.Reserve, 20) // there is room, but others come first
		if len(order) > 0 {
			t.Errorf("%q did not wait", order)
		}
		wait("work", working.Reserve, 30)
		if !slices.Equal(order, []string{"work"}) {
			t.Errorf("work waits for others: %q", order)
		}
		working.close()
		calls.Wait()
		if len(order) != 3 {
			t.Errorf("the order is %q", order)
		}
		receiver.close()
		wait("receive much", receiver.Reserve, 50) // 60 are held
		late := p.account(time.Minute)
		wait("begin late", late.Start, 60)
		beginner.close() // there is room for one
		synctest.Wait()
		if !slices.Equal(order[3:], []string{"begin late"}) {
			t.Errorf("whoever receives passes those that begin: %q", order)
		}
		late.close()
		calls.Wait()
		receiver.close()
		if p.inUse.Load() != 0 || p.free != 100 || p.working != 0 {
			t.Errorf("%d bytes are still taken, %d free, %d at work", p.inUse.Load(), p.free, p.working)
		}
	})
}

// A call that waits for a place holds the rows that it has received. If they are what others need, and nobody is at work, it is
// refused; not if that would help nobody, or while somebody is at work.
func TestPlacesAreNoPlaceToHoldMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, g := newPool(100), newGate(1)
		if err := g.enter(t.Context(), time.Second); err != nil { // the only place
			t.Fatal(err)
		}
		queued := &call{memory: p.account(time.Minute)}
		ctx := context.WithValue(t.Context(), callKey{}, queued)
		if err := queued.memory.Reserve(ctx, 60); err != nil {
			t.Fatal(err)
		}
		worker, late := p.account(time.Minute), p.account(time.Minute)
		if err := worker.Start(t.Context(), 10); err != nil {
			t.Fatal(err)
		}
		var calls sync.WaitGroup
		var begun error
		calls.Go(func() { begun = late.Start(t.Context(), 70) })
		outcome := make(chan error, 1)
		calls.Go(func() { outcome <- queued.place.enter(ctx, g, time.Minute); queued.memory.close() })
		synctest.Wait()
		select {
		case err := <-outcome:
			t.Errorf("while somebody is at work: %v", err)
		default:
		}
		start := time.Now()
		worker.close()
		if err := <-outcome; !errors.Is(err, fault.Busy) || time.Since(start) != 0 {
			t.Errorf("when nobody is: %v after %s", err, time.Since(start))
		}
		calls.Wait()
		if begun != nil || time.Since(start) != 0 {
			t.Errorf("the one that waits to begin: %v after %s", begun, time.Since(start))
		}
		late.close()
		if p.inUse.Load() != 0 || p.free != 100 || p.working != 0 || len(p.idle) != 0 {
			t.Errorf("%d bytes are still taken, %d free, %d at work, %d idle", p.inUse.Load(), p.free, p.working, len(p.idle))
		}
	})
}

// Calls that begin with what they need and hold little before are all served, however many there are; calls that need more
// as they go are served or refused, and nothing waits for long.
func TestManyCallsInLittleMemory(t *testing.T) {
	for _, prepaid := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			const size, calls = 1000, 60
			p := newPool(size)
			var all sync.WaitGroup
			var served, refused atomic.Int64
			for i := range calls {
				rng := rand.New(rand.NewPCG(uint64(i), 7))
				all.Go(func() {
					time.Sleep(time.Duration(rng.IntN(5)) * time.Second)
					a := p.account(5 * time.Minute)
					defer a.close()
					err := a.Reserve(t.Context(), 5) // rows that were received: of all together, so few that the largest still fits beside them
					rest := 300 + rng.Int64N(300)
					if err == nil && prepaid {
						err = a.Start(t.Context(), rest)
						rest = 0
					} else if err == nil {
						err = a.Start(t.Context(), 1)
					}
					for err == nil && rest > 0 {
						time.Sleep(time.Duration(rng.IntN(200)) * time.Millisecond)
						some := min(rest, 1+rng.Int64N(150))
						err = a.Reserve(t.Context(), some)
						rest -= some
					}
					if err != nil {
						if !errors.Is(err, fault.Busy) {
							t.Error(err)
						}
						refused.Add(1)
						return
					}
					time.Sleep(time.Second)
					served.Add(1)
				})
			}
			start := time.Now()
			all.Wait()
			t.Logf("prepaid %v: %d served, %d refused, in %s", prepaid, served.Load(), refused.Load(), time.Since(start))
			if prepaid && refused.Load() > 0 || served.Load() < 2 || time.Since(start) > 2*calls*time.Second {
				t.Errorf("prepaid %v: %d served, %d refused, in %s", prepaid, served.Load(), refused.Load(), time.Since(start))
			}
			if p.inUse.Load() != 0 || p.free != size || p.working != 0 {
				t.Errorf("%d bytes are still taken, %d free, %d at work", p.inUse.Load(), p.free, p.working)
			}
		})
	}
}
