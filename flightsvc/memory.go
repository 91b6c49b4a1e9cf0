package flightsvc

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/flightd/flightd/internal/fault"
)

// pool is the memory that all calls together may take: limits.memory.
//
// Calls that wait for memory hold some, which others may wait for. So that they do not all wait in vain:
//
//   - Work that has begun goes first. A call begins its work when what it is expected to take has been reserved at once
//     (account.Start), and waits for that in turn, with nothing in its hands but the rows that it has received.
//   - Whoever still receives rows waits until nobody else does. So uploads do not take what those that are complete need.
//   - If nobody is at work, and the first of those who wait would have enough if others did not hold what they wait with, the last
//     to come is refused (UNAVAILABLE), which frees what it holds.
//   - Every wait is bounded (limits.queue_for).
type pool struct {
	size  int64
	inUse atomic.Int64

	mu      sync.Mutex
	free    int64
	working int // accounts at work that do not wait
	waiting [turns][]*wanting
	idle    map[*account]context.CancelCauseFunc // those whose calls wait, for memory or for a place among those that run
	came    int64                                // accounts so far
}

// turn is who gets memory before whom.
type turn int

const (
	atWork turn = iota
	beginning
	receivingRows
	turns
)

// wanting is an account that waits for bytes.
type wanting struct {
	account *account
	bytes   int64
	turn    turn
	got     chan error // nil: it has them; one value
}

func newPool(size int64) *pool {
	return &pool{size: size, free: size, idle: make(map[*account]context.CancelCauseFunc)}
}

// account is one call's share of the pool; it implements joins.Budget and ipcguard.Budget.
type account struct {
	pool     *pool
	patience time.Duration
	held     atomic.Int64
	peak     atomic.Int64

	// Guarded by pool.mu:
	number  int64 // in the order in which accounts were made
	working bool
	waits   int // its threads that wait
}

func (p *pool) account(patience time.Duration) *account {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.came++
	return &account{pool: p, patience: patience, number: p.came}
}

// Reserve takes bytes from the pool. What the call could not have even alone is refused for good; for what others hold
// it waits a while.
func (a *account) Reserve(ctx context.Context, bytes int64) error {
	a.pool.mu.Lock()
	turn := receivingRows
	if a.working {
		turn = atWork
	}
	a.pool.mu.Unlock()
	return a.take(ctx, bytes, turn)
}

// Start implements joins.Starter: it takes bytes before work begins, and from then on the account is at work.
func (a *account) Start(ctx context.Context, bytes int64) error {
	return a.take(ctx, bytes, beginning)
}

// passing says that the account is at work from now on: what it takes it gives back soon, whatever others do.
func (a *account) passing() {
	a.pool.mu.Lock()
	defer a.pool.mu.Unlock()
	a.works()
}

// works notes that the account is at work. Nothing of it waits.
func (a *account) works() {
	if !a.working {
		a.working = true
		a.pool.working++
	}
}

func (a *account) take(ctx context.Context, bytes int64, turn turn) error {
	if bytes <= 0 {
		return nil
	}
	held := a.held.Load()
	if bytes > a.pool.size-held {
		return fault.New(fault.Exhausted, "the request needs more memory than limits.memory (%s) allows: it holds %s and asks for %s more; "+
			"raise limits.memory, have entity rows kept on disk (limits.spill_dir), or ask for fewer rows or features at a time (shares: `part`)",
			size(a.pool.size), size(held), size(bytes))
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := a.pool.acquire(ctx, a, bytes, turn); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fault.New(fault.Busy, "the server's memory (limits.memory, %s) is in use by other calls: no %s came free %s; try again",
			size(a.pool.size), size(bytes), err)
	}
	a.pool.inUse.Add(bytes)
	a.note(bytes)
	return nil
}

// notNow is why memory was not had.
type notNow string

func (n notNow) Error() string { return string(n) }

const refused notNow = "for a call that came this late"

func (p *pool) acquire(ctx context.Context, a *account, bytes int64, turn turn) error {
	p.mu.Lock()
	if p.fits(bytes, turn) {
		p.free -= bytes
		if turn == beginning {
			a.works()
		}
		p.mu.Unlock()
		return nil
	}
	w := &wanting{account: a, bytes: bytes, turn: turn, got: make(chan error, 1)}
	p.waiting[turn] = append(p.waiting[turn], w)
	if a.waits++; a.waits == 1 {
		if a.working {
			p.working--
		}
		p.idle[a] = func(err error) { p.refuse(a, err) }
	}
	p.relieve()
	p.mu.Unlock()
	timer := time.NewTimer(a.patience)
	defer timer.Stop()
	select {
	case err := <-w.got:
		return err
	case <-timer.C:
	case <-ctx.Done():
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case err := <-w.got: // just now
		return err
	default:
	}
	p.leave(w)
	p.share() // those behind it may fit
	return notNow("within " + a.patience.String())
}

// fits says whether somebody may have bytes now whose turn it is. Work that has begun passes those that wait: to end it is
// what gives them memory.
func (p *pool) fits(bytes int64, turn turn) bool {
	if bytes > p.free {
		return false
	}
	if turn == atWork {
		return true
	}
	for before := range turn + 1 {
		if len(p.waiting[before]) > 0 {
			return false
		}
	}
	return true
}

// share gives what is free to those who wait.
func (p *pool) share() {
	for _, w := range slices.Clone(p.waiting[atWork]) {
		if w.bytes <= p.free {
			p.give(w, nil)
		}
	}
	for _, turn := range []turn{beginning, receivingRows} {
		for len(p.waiting[turn]) > 0 && p.waiting[turn][0].bytes <= p.free && len(p.waiting[turn-1]) == 0 {
			p.give(p.waiting[turn][0], nil)
		}
	}
	p.relieve()
}

// give ends a wait.
func (p *pool) give(w *wanting, err error) {
	p.leave(w)
	if err == nil {
		p.free -= w.bytes
		if w.turn == beginning {
			w.account.works()
		}
	}
	w.got <- err
}

// leave takes somebody out of those who wait.
func (p *pool) leave(w *wanting) {
	for turn := range p.waiting {
		p.waiting[turn] = slices.DeleteFunc(p.waiting[turn], func(other *wanting) bool { return other == w })
	}
	if w.account.waits--; w.account.waits == 0 {
		if w.account.working {
			p.working++
		}
		delete(p.idle, w.account)
	}
}

// refuse ends all waits of an account.
func (p *pool) refuse(a *account, err error) {
	for _, some := range p.waiting {
		for _, w := range slices.Clone(some) {
			if w.account == a {
				p.give(w, err)
			}
		}
	}
}

// relieve refuses the last to come of those who hold memory and can do nothing but wait, if nobody is at work who would give
// some back, and if by that the first of those who want some gets it.
func (p *pool) relieve() {
	if p.working > 0 {
		return
	}
	var first *wanting
	for _, some := range p.waiting {
		for _, w := range some {
			if first == nil {
				first = w
			}
		}
	}
	if first == nil {
		return
	}
	could := p.free
	var last *account
	for a := range p.idle {
		if a == first.account {
			continue
		}
		could += a.held.Load()
		if a.held.Load() > 0 && (last == nil || a.number > last.number) {
			last = a
		}
	}
	if last == nil || could < first.bytes {
		return
	}
	p.idle[last](refused)
	delete(p.idle, last)
}

// rests says that the account's call can do nothing until somebody else has done something. The context that is returned ends,
// with the reason, if the call is refused meanwhile.
func (a *account) rests(ctx context.Context) (context.Context, func()) {
	ctx, end := context.WithCancelCause(ctx)
	p := a.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	p.idle[a] = end
	p.relieve()
	return ctx, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.idle, a)
		end(nil)
	}
}

// note adds bytes to what is held.
func (a *account) note(bytes int64) {
	now := a.held.Add(bytes)
	for {
		peak := a.peak.Load()
		if now <= peak || a.peak.CompareAndSwap(peak, now) {
			return
		}
	}
}

// Release gives bytes back.
func (a *account) Release(bytes int64) {
	if bytes <= 0 {
		return
	}
	a.held.Add(-bytes)
	a.pool.inUse.Add(-bytes)
	a.pool.mu.Lock()
	defer a.pool.mu.Unlock()
	a.pool.free += bytes
	a.pool.share()
}

// hand makes bytes that are held another account's.
func (a *account) hand(to *account, bytes int64) {
	a.held.Add(-bytes)
	to.note(bytes)
}

// close gives back whatever is still held. The account is not at work any more.
func (a *account) close() {
	a.pool.mu.Lock()
	if a.working {
		a.working = false
		a.pool.working--
	}
	a.pool.mu.Unlock()
	a.Release(a.held.Load())
}

// size writes a number of bytes for a message.
func size(bytes int64) string { return humanize.IBytes(uint64(bytes)) }
