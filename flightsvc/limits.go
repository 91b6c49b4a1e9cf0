package flightsvc

import (
	"context"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/flightd/flightd/internal/fault"
)

// Limits bound what the server takes on. A zero field means its default.
type Limits struct {
	Memory     int64         // bytes for joins, uploads, staged rows, answers on their way; 4 GiB
	Index      int64         // bytes of indexes that are kept, beside Memory; 0: none are
	SpillDir   string        // folder where entity rows go that are more than a part of Memory; empty: they are refused
	Spill      int64         // bytes there; 64 GiB
	EntityRows int64         // entity rows of one request; 50 million
	Message    int64         // bytes of one received message; 512 MiB
	Staged     int64         // bytes of staged entity rows; 1 GiB
	StagedFor  time.Duration // how long staged rows are kept; 15 minutes
	Concurrent int           // retrievals at once, and as many uploads, and as many plans; 16
	QueueFor   time.Duration // how long an opened DoExchange or DoPut waits for its turn; 30 s
	Query      time.Duration // longest call; 1 hour
	Stalled    time.Duration // longest time a client may leave its answer unread; 1 hour
}

// Fixed bounds, not worth a setting.
const (
	ticketBytes    = 4 << 20
	ticketCopies   = 3               // of a ticket's bytes that are reserved: as it came, as it is read, and what is made of it
	maxPath        = 16              // names in a descriptor's path; one is what any call takes
	queueFactor    = 8               // calls waiting for each that may run
	queueForReads  = 5 * time.Second // a refused DoGet may be retried, so it is refused soon
	uploadIdle     = time.Minute     // longest time an open upload may be silent
	callerShare    = 4               // an identified caller may hold this part of the staged bytes
	infoBytes      = 16 << 20        // tickets of one FlightInfo, all together
	maxConnections = 1024
)

func (l Limits) withDefaults() Limits {
	setDefault(&l.Memory, 4<<30)
	setDefault(&l.Spill, 64<<30)
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
	inside  atomic.Int64 // calls that have a place
	queue   int64
}

func newGate(concurrent int) *gate {
	return &gate{running: semaphore.NewWeighted(int64(concurrent)), queue: int64(concurrent) * queueFactor}
}

// enter waits for a place until patience is over.
func (g *gate) enter(ctx context.Context, patience time.Duration) error {
	if g.waiting.Add(1) > g.queue {
		g.waiting.Add(-1)
		return fault.New(fault.Busy, "the server is busy and its queue is full (limits.concurrent); try again")
	}
	defer g.waiting.Add(-1)
	wait, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := g.running.Acquire(wait, 1); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fault.New(fault.Busy, "the server is busy: no place within %s (limits.concurrent); try again", patience)
	}
	return nil
}

// place is what a call holds of a gate: at most one place at a time.
type place struct{ gate *gate }

// enter waits for a place in a gate. The place that the call has already is given back first: nobody waits for one place
// while holding another.
func (p *place) enter(ctx context.Context, g *gate, patience time.Duration) error {
	p.leave()
	wait := ctx
	if c, ok := ctx.Value(callKey{}).(*call); ok {
		defer c.in(queueing)()
		var over func()
		wait, over = c.memory.rests(ctx)
		defer over()
	}
	if err := g.enter(wait, patience); err != nil {
		if ctx.Err() == nil && context.Cause(wait) == refused {
			return fault.New(fault.Busy, "the server's memory (limits.memory) is in use by other calls, and this one came last; try again")
		}
		return err
	}
	g.inside.Add(1)
	p.gate = g
	return nil
}

func (p *place) leave() {
	if p.gate != nil {
		p.gate.running.Release(1)
		p.gate.inside.Add(-1)
		p.gate = nil
	}
}
