package flightsvc

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/dustin/go-humanize"
	"golang.org/x/sync/semaphore"

	"github.com/flightd/flightd/internal/fault"
)

// pool is the memory that all calls together may take: limits.memory.
//
// Calls wait for memory while they hold some, so two calls may wait for each other. That ends by patience: every wait is
// bounded (limits.queue_for), the call whose wait is over is refused as UNAVAILABLE, and what it held goes to those who
// still wait, in the order in which they came.
type pool struct {
	free  *semaphore.Weighted
	size  int64
	inUse atomic.Int64
}

func newPool(size int64) *pool { return &pool{free: semaphore.NewWeighted(size), size: size} }

// account is one call's share of the pool; it implements joins.Budget and ipcguard.Budget.
type account struct {
	pool     *pool
	patience time.Duration
	held     atomic.Int64
	peak     atomic.Int64
}

func (p *pool) account(patience time.Duration) *account { return &account{pool: p, patience: patience} }

// Reserve takes bytes from the pool. What the call could not have even alone is refused for good; for what others hold
// it waits a while.
func (a *account) Reserve(ctx context.Context, bytes int64) error {
	if bytes <= 0 {
		return nil
	}
	held := a.held.Load()
	if bytes > a.pool.size-held {
		return fault.New(fault.Exhausted, "the request needs more memory than limits.memory (%s) allows: it holds %s and asks for %s more; "+
			"raise limits.memory, have entity rows kept on disk (limits.spill_dir), or ask for fewer rows or features at a time (shares: `part`)",
			size(a.pool.size), size(held), size(bytes))
	}
	wait, cancel := context.WithTimeout(ctx, a.patience)
	defer cancel()
	if err := a.pool.free.Acquire(wait, bytes); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fault.New(fault.Busy, "the server's memory (limits.memory, %s) is in use by other calls: no %s came free within %s; try again",
			size(a.pool.size), size(bytes), a.patience)
	}
	a.pool.inUse.Add(bytes)
	a.note(bytes)
	return nil
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
	a.pool.free.Release(bytes)
}

// hand makes bytes that are held another account's.
func (a *account) hand(to *account, bytes int64) {
	a.held.Add(-bytes)
	to.note(bytes)
}

// close gives back whatever is still held.
func (a *account) close() { a.Release(a.held.Load()) }

// size writes a number of bytes for a message.
func size(bytes int64) string { return humanize.IBytes(uint64(bytes)) }
