package flightsvc

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/flightd/flightd/joins"
	"github.com/flightd/flightd/stores"
)

// call is what one Flight call knows about itself: who asks, what it holds, what its log line will say. Only the
// goroutine of its handler uses it.
type call struct {
	id     string
	method string
	start  time.Time
	caller string // subject of the client certificate; "": not known
	kind   string // "historical", "latest", ...; empty until the ticket is read
	views  []string
	rows   int64
	bytes  int64
	first  time.Duration // from the start until the first record batch of the answer was ready to go; 0: there was none
	trace  *joins.Trace  // of a read, filled by its job alone

	span  trace.Span            // nil: the call has none
	spent [working]atomic.Int64 // ns in each stage but the last
	came  atomic.Int64          // bytes of messages that came in

	end     context.CancelCauseFunc // ends the call from outside of its work, with the reason
	memory  *account
	message int64 // reserved for the message that came last
	place   place
	atEnd   []func() // what else is to be given back
}

type callKey struct{}

// callOf returns the call that a handler runs in. Every handler runs in one.
func callOf(ctx context.Context) *call { return ctx.Value(callKey{}).(*call) }

// callerOf is the subject of the verified client certificate, "" if there is none.
func callerOf(ctx context.Context) string {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return ""
	}
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok || len(info.State.VerifiedChains) == 0 {
		return ""
	}
	return info.State.VerifiedChains[0][0].Subject.String()
}

// run is the middleware of every Flight call. Its context is bounded by limits.query and by the life of the server.
//
// The work runs beside it, so that a call can be ended whose client neither reads nor writes: gRPC interrupts a blocked
// Send or Recv only when the call itself has returned. The log line comes when the work is over.
// What the work is given to end its own call from outside takes the reason.
func (s *Server) run(ctx context.Context, method string, work func(ctx context.Context, end context.CancelCauseFunc) error) error {
	c := &call{
		id: rand.Text()[:12], method: method[strings.LastIndexByte(method, '/')+1:], caller: callerOf(ctx),
		start: time.Now(), memory: s.memory.account(s.limits.QueueFor),
	}
	ctx = s.traced(ctx, c, method)
	ctx, end := context.WithCancelCause(context.WithValue(ctx, callKey{}, c))
	c.end = end
	stopOnDrain := context.AfterFunc(s.lifetime, func() { end(context.Cause(s.lifetime)) })
	overdue := time.AfterFunc(s.limits.Query, func() { end(errOverdue) })
	defer carry(ctx)()
	s.calls.Store(c.id, c)
	done := make(chan error, 1)
	s.handlers.Go(func() {
		err := s.closing.Err()
		if err != nil {
			err = errDraining
		} else {
			err = contain(func() error { return work(ctx, end) })
		}
		answer := s.finish(ctx, c, err)
		stopOnDrain()
		overdue.Stop()
		c.close()
		s.calls.Delete(c.id)
		done <- answer
		end(nil) // after the answer, which goes before a context that has ended
	})
	var err error
	select {
	case err = <-done:
	case <-ctx.Done():
		select {
		case err = <-done:
		default:
			err = toStatus(ctx, ctx.Err())
		}
	}
	if status.Code(err) == codes.Unavailable {
		_ = grpc.SetTrailer(ctx, metadata.Pairs("grpc-retry-pushback-ms", retryAfter)) // fails where the client is gone
	}
	return err
}

// retryAfter is what a refused client is asked to wait before it tries again, in milliseconds.
const retryAfter = "1000"

// sees notes the views of a request for the log.
func (c *call) sees(r stores.Request) {
	for _, v := range r.Views() {
		c.views = append(c.views, v.Name)
	}
}

// holds says how much is left of the message that came last. The rest of its memory is given back.
func (c *call) holds(bytes int64) {
	if c.message > bytes {
		c.memory.Release(c.message - bytes)
		c.message = bytes
	}
}

// keeps says that a part of the message that came last stays as long as the call.
func (c *call) keeps(bytes int64) { c.message -= min(bytes, c.message) }

// sent notes what went out of an answer.
func (c *call) sent(a *answer) {
	c.rows, c.bytes = a.rows, a.bytes
	if !a.first.IsZero() {
		c.first = a.first.Sub(c.start)
	}
}

// close gives back all that the call holds.
func (c *call) close() {
	c.place.leave()
	for _, release := range c.atEnd {
		release()
	}
	c.memory.close()
}

// panicked is a panic turned into an error. Its text is for the log.
type panicked struct {
	value any
	stack []byte
}

func (p *panicked) Error() string { return fmt.Sprintf("panic: %v", p.value) }

// contain turns a panic into an error, so that one bad call does not end the calls of everybody else.
func contain(work func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &panicked{p, debug.Stack()}
		}
	}()
	return work()
}

// finish turns a call's error into its status and writes its log line, the only one of a call.
func (s *Server) finish(ctx context.Context, c *call, err error) error {
	answer := toStatus(ctx, err)
	code, took := status.Code(answer), time.Since(c.start)
	s.metrics.ended(c, code, took)
	c.endSpan(code, took, err)
	level := zerolog.InfoLevel
	switch code {
	case codes.Internal, codes.DataLoss:
		level = zerolog.ErrorLevel
	}
	line := s.log.WithLevel(level).Str("id", c.id).Str("call", c.method).
		Str("kind", c.kind).Strs("views", c.views).Int64("rows", c.rows).Int64("bytes", c.bytes).
		Dur("ms", took).Int64("memory", c.memory.peak.Load()).Str("code", code.String())
	if c.span != nil {
		line = line.Str("trace_id", c.span.SpanContext().TraceID().String())
	}
	if c.caller != "" {
		line = line.Str("caller", c.caller)
	}
	if c.first > 0 {
		line = line.Dur("first_ms", c.first)
	}
	for s, spent := range c.stages(took) {
		line = line.Dur(stageNames[s]+"_ms", spent)
	}
	if t := c.trace; t != nil {
		line = withTrace(line, t)
	}
	if err != nil {
		line = line.Str("error", err.Error())
		if hidden := concealed(err); hidden != "" {
			line = line.Str("cause", hidden)
		}
	}
	var bug *panicked
	if errors.As(err, &bug) {
		s.metrics.panics.Inc()
		line = line.Str("stack", string(bug.stack))
	}
	line.Msg("call")
	if code == codes.Internal {
		return status.Errorf(code, "internal error; the server's log has the details under call id %s", c.id)
	}
	return answer
}

// loggedSteps is how many steps of a plan are logged: a request may have a thousand views.
const loggedSteps = 16

// withTrace adds what a read did, by the names that explain has for it.
func withTrace(line *zerolog.Event, t *joins.Trace) *zerolog.Event {
	plan := t.Plan
	if more := len(plan) - loggedSteps; more > 0 {
		plan = append(plan[:loggedSteps:loggedSteps], fmt.Sprintf("and %d more", more))
	}
	return line.Strs("plan", plan).Int64("files_read", t.FilesRead).Int64("files_skipped", t.FilesSkipped).
		Int64("parts_read", t.PartsRead).Int64("parts_skipped", t.PartsSkipped).
		Int64("bytes_read", t.BytesRead).Int64("bytes_skipped", t.BytesSkipped).
		Int64("rows_read", t.RowsRead).Int64("feature_rows_fetched", t.Fetched)
}

// concealed is what an error does not say and wraps all the same: it is not for clients.
func concealed(err error) string {
	text := err.Error()
	for err != nil {
		if !strings.Contains(text, err.Error()) {
			return err.Error()
		}
		switch e := err.(type) {
		case interface{ Unwrap() error }:
			err = e.Unwrap()
		case interface{ Unwrap() []error }:
			all := e.Unwrap()
			err = all[len(all)-1]
		default:
			err = nil
		}
	}
	return ""
}
