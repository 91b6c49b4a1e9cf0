package flightsvc

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/netutil"
	"google.golang.org/grpc/peer"

	"github.com/flightd/flightd/internal/fault"
)

// arrivals watches messages while they arrive. gRPC collects a message to its end before a handler sees any of it, and
// has one limit for all of them whose error names nothing; without more, a few clients with large messages would take
// memory that no account knows of.
//
// What is known is how much comes in over each connection, and which calls wait for a message. What has come since a call
// began to wait is its message so far, or messages of other calls over that connection, which are taken off as they are
// handed out. So the estimate is never too small, and too large only while one connection carries several uploads.
type arrivals struct {
	limit int64         // bytes of unfinished messages, of all calls together
	idle  time.Duration // longest time without a message, or progress of one

	mu      sync.Mutex
	waiting map[*conn]struct{} // connections with calls that wait for a message

	open atomic.Int64 // connections
}

// slack is what may come in beside a message: frames, headers, the beginning of the next one.
func slack(bytes int64) int64 { return bytes + bytes/64 + lookEvery }

// lookEvery is how many bytes come in over a connection before somebody looks whether they are too many.
const lookEvery = 1 << 20

// messageLimit is how long a message may be, how often its bytes are reserved, and what is said if it is longer.
type messageLimit struct {
	bytes  int64
	copies int64
	err    error
}

// conn is a connection that counts what is read from it.
type conn struct {
	net.Conn
	arrivals *arrivals
	read     atomic.Int64
	looked   atomic.Int64 // read, when somebody looked last
	calls    atomic.Int64 // running calls
	watches  atomic.Int64 // calls that watch the health
	closed   sync.Once

	expected map[*expected]struct{} // guarded by arrivals.mu, as is base
	base     int64                  // of read, what is accounted for
}

// expected is a message that a call waits for.
type expected struct {
	arrivals *arrivals
	conn     *conn
	limit    messageLimit
	end      context.CancelCauseFunc
	idle     *time.Timer
	seen     int64 // read of the connection, when the timer was set
	over     bool  // the client is not waited for any more
}

func newArrivals(limit int64) *arrivals {
	return &arrivals{limit: limit, idle: uploadIdle, waiting: make(map[*conn]struct{})}
}

// listen counts what comes in over the connections of l, and bounds their number: more wait to be accepted.
func (a *arrivals) listen(l net.Listener) net.Listener {
	return &listener{netutil.LimitListener(l, maxConnections), a}
}

type listener struct {
	net.Listener
	arrivals *arrivals
}

func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.arrivals.open.Add(1)
	return &conn{Conn: c, arrivals: l.arrivals, expected: make(map[*expected]struct{})}, nil
}

func (c *conn) Close() error {
	c.closed.Do(func() { c.arrivals.open.Add(-1) })
	return c.Conn.Close()
}

func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if read := c.read.Add(int64(n)); read-c.looked.Load() >= lookEvery {
		c.looked.Store(read)
		c.arrivals.look()
	}
	return n, err
}

// RemoteAddr is the way from a call to its connection.
func (c *conn) RemoteAddr() net.Addr { return &remoteAddr{c.Conn.RemoteAddr(), c} }

type remoteAddr struct {
	net.Addr
	conn *conn
}

// carry counts a call among those of its connection until the returned function is called.
func carry(ctx context.Context) (over func()) {
	c := connOf(ctx)
	if c == nil {
		return func() {}
	}
	c.calls.Add(1)
	return func() { c.calls.Add(-1) }
}

// connOf is the connection of a call; nil if it came in some other way.
func connOf(ctx context.Context) *conn {
	if p, ok := peer.FromContext(ctx); ok {
		if addr, ok := p.Addr.(*remoteAddr); ok {
			return addr.conn
		}
	}
	return nil
}

// expect notes that the call of ctx waits for a message. If the message is too large, or does not come, or there is no
// room for it, the call is ended.
func (a *arrivals) expect(ctx context.Context, limit messageLimit, end context.CancelCauseFunc) *expected {
	e := &expected{arrivals: a, conn: connOf(ctx), limit: limit, end: end}
	a.mu.Lock()
	defer a.mu.Unlock()
	e.idle = time.AfterFunc(a.idle, e.tick)
	if c := e.conn; c != nil {
		e.seen = c.read.Load()
		if len(c.expected) == 0 {
			c.base = e.seen
			a.waiting[c] = struct{}{}
		}
		c.expected[e] = struct{}{}
	}
	return e
}

// complete notes that the message is here to its last byte. It counts among those that arrive until it is decoded.
func (e *expected) complete() {
	e.arrivals.mu.Lock()
	defer e.arrivals.mu.Unlock()
	e.over = true
	e.idle.Stop()
}

// came notes that a message of this size has been taken, or that none came.
func (e *expected) came(size int64) {
	e.complete()
	e.arrivals.mu.Lock()
	defer e.arrivals.mu.Unlock()
	if c := e.conn; c != nil {
		c.base = min(c.read.Load(), c.base+size)
		if delete(c.expected, e); len(c.expected) == 0 {
			delete(e.arrivals.waiting, c)
		}
	}
}

// tick ends a call that waits in vain. A large message over a slow line is not in vain.
func (e *expected) tick() {
	e.arrivals.mu.Lock()
	defer e.arrivals.mu.Unlock()
	if e.over {
		return
	}
	if c := e.conn; c != nil && c.read.Load()-e.seen >= lookEvery {
		e.seen = c.read.Load()
		e.idle.Reset(e.arrivals.idle)
		return
	}
	e.end(errIdle)
}

// look ends the calls whose messages are too large, and as many others as it takes to stay below the limit of all
// together.
func (a *arrivals) look() {
	a.mu.Lock()
	defer a.mu.Unlock()
	var total int64
	for c := range a.waiting {
		if c.pending() > c.allowed() {
			c.endAll(nil)
		}
		total += c.pending()
	}
	for total > slack(a.limit) {
		var largest *conn
		for c := range a.waiting {
			if largest == nil || c.pending() > largest.pending() {
				largest = c
			}
		}
		if largest == nil || largest.pending() == 0 {
			return
		}
		total -= largest.pending()
		if len(largest.expected) == 1 && largest.pending() > slack(a.limit) { // too large for the server alone: no retry will help
			largest.endAll(nil)
		} else {
			largest.endAll(errCrowded)
		}
	}
}

// pending is how much has come of messages that are not complete. The caller holds the lock.
func (c *conn) pending() int64 { return c.read.Load() - c.base }

// allowed is how much may be pending: the messages that are waited for, and what lies unread before calls that are busy.
func (c *conn) allowed() int64 {
	n := c.calls.Load() * streamWindow
	for e := range c.expected {
		n += slack(e.limit.bytes)
	}
	return n
}

// endAll ends the calls that wait for a message over this connection, each for its own limit if there is no other reason.
func (c *conn) endAll(why error) {
	for e := range c.expected {
		if why == nil {
			e.end(e.limit.err)
		} else {
			e.end(why)
		}
	}
	c.base = c.read.Load()
}

// messageLimit bounds the messages of uploads.
func (s *Server) messageLimit() messageLimit {
	if most := s.arrivals.limit; most < s.limits.Message {
		return messageLimit{most, 1, fault.New(fault.Exhausted, "a message has more than %s, which is all that limits.memory (%s) leaves for one, "+
			"because it is held twice while it is read; send smaller batches, or raise limits.memory", size(most), size(s.limits.Memory))}
	}
	return messageLimit{s.limits.Message, 1, fault.New(fault.Exhausted,
		"a message has more than limits.message allows (%s); send smaller batches, or raise the limit", size(s.limits.Message))}
}

// ticketLimit bounds the messages of calls that take a ticket or a command and no data, and the descriptors of others.
// Which tickets are too long is for package tickets to say; this only sees to it that they are not collected first. What
// their reading takes is reserved with them: nobody waits for it while holding the ticket.
var ticketLimit = messageLimit{2 * ticketBytes, ticketCopies, fault.New(fault.Invalid, "ticket: it is longer than %d bytes, so stage entity rows with DoPut "+
	"or stream them with DoExchange", ticketBytes)}
