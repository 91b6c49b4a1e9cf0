package flightsvc

import (
	"context"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/dustin/go-humanize"

	"github.com/flightd/flightd/internal/fault"
)

// Limits bound what the server takes on. A zero field means its default.
type Limits struct {
	Memory     int64         // bytes for joins, uploads, staged rows; 4 GiB
	EntityRows int64         // entity rows of one request; 50 million
	Message    int64         // bytes of one received message; 512 MiB
	Staged     int64         // bytes of staged entity rows; 1 GiB
	StagedFor  time.Duration // how long staged rows are kept; 15 minutes
	Concurrent int           // retrievals at once, and as many uploads; 16
	QueueFor   time.Duration // how long an opened DoExchange or DoPut waits for its turn; 30 s
	Query      time.Duration // longest call; 1 hour
	Stalled    time.Duration // longest time a client may leave its answer unread; 1 hour
}

// Fixed bounds, not worth a setting.
const (
	ticketBytes   = 4 << 20
	queueFactor   = 8               // calls waiting for each that may run
	queueForReads = 5 * time.Second // a refused DoGet may be retried, so it is refused soon
	uploadIdle    = time.Minute
	serverClients = 4 // an identified caller may hold this part of the staged bytes
)

func (l Limits) withDefaults() Limits {
	setDefault(&l.Memory, 4<<30)
	setDefault(&l.EntityRows, 50_000_000)
	setDefault(&l.Message, 512<<20)
	setDefault(&l.Staged, 1<<30)
	setDefault(&l.StagedFor, 15*time.Minute)
	setDefault(&l.Concurrent, 16)
	setDefault(&l.QueueFor, 30*time.Second)
	setDefault(&l.Query, time.Hour)
	setDefault(&l.Stalled, time.Hour)
	return l
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// gate lets a bounded number of calls run, first come first served, and a bounded number wait.
type gate struct {
	running *semaphore.Weighted
	waiting atomic.Int64
	queue   int64
}

func newGate(concurrent int) *gate {
	return &gate{running: semaphore.NewWeighted(int64(concurrent)), queue: int64(concurrent) * queueFactor}
}

// enter waits for a place until patience is over. The returned function gives the place back.
func (g *gate) enter(ctx context.Context, patience time.Duration) (leave func(), err error) {
	if g.waiting.Add(1) > g.queue {
		g.waiting.Add(-1)
		return nil, fault.New(fault.Busy, "the server is busy and its queue is full; try again")
	}
	defer g.waiting.Add(-1)
	wait, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := g.running.Acquire(wait, 1); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fault.New(fault.Busy, "the server is busy (no place within %s); try again", patience)
	}
	return func() { g.running.Release(1) }, nil
}

// pool is the memory of the whole process that calls reserve from.
type pool struct {
	free  *semaphore.Weighted
	size  int64
	inUse atomic.Int64
}

func newPool(size int64) *pool { return &pool{free: semaphore.NewWeighted(size), size: size} }

// account is one call's share of the pool; it implements joins.Budget.
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
			"raise limits.memory, or ask for fewer rows or features at a time (shares: `part`)",
			humanize.IBytes(uint64(a.pool.size)), humanize.IBytes(uint64(held)), humanize.IBytes(uint64(bytes)))
	}
	wait, cancel := context.WithTimeout(ctx, a.patience)
	defer cancel()
	if err := a.pool.free.Acquire(wait, bytes); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fault.New(fault.Busy, "the server's memory is in use by other calls (limits.memory %s); try again",
			humanize.IBytes(uint64(a.pool.size)))
	}
	a.pool.inUse.Add(bytes)
	now := a.held.Add(bytes)
	for {
		peak := a.peak.Load()
		if now <= peak || a.peak.CompareAndSwap(peak, now) {
			return nil
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

// close gives back whatever the call still holds.
func (a *account) close() { a.Release(a.held.Load()) }
