package flightsvc

import (
	"context"
	"crypto/rand"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/flightd/flightd/joins"
)

// call is what one Flight call knows about itself: who asks, what its log line will say.
type call struct {
	id     string
	caller string // subject of the client certificate; "": not known
	kind   string // "historical", "latest", ...; empty until the ticket is read
	views  []string
	rows   int64
	bytes  int64
	memory *account
	trace  *joins.Trace
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

// begin puts a call into the context, bounded by limits.query and by the life of the server.
func (s *Server) begin(ctx context.Context) (context.Context, *call, context.CancelCauseFunc) {
	c := &call{id: rand.Text()[:12], caller: callerOf(ctx), memory: s.memory.account(s.limits.QueueFor)}
	ctx, end := context.WithCancelCause(context.WithValue(ctx, callKey{}, c))
	stopOnDrain := context.AfterFunc(s.lifetime, func() { end(context.Cause(s.lifetime)) })
	overdue := time.AfterFunc(s.limits.Query, func() { end(errOverdue) })
	return ctx, c, func(cause error) {
		stopOnDrain()
		overdue.Stop()
		c.memory.close()
		end(cause)
	}
}

// unary is the middleware of the calls that answer with one message.
func (s *Server) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (answer any, err error) {
	if !isFlight(info.FullMethod) {
		return handler(ctx, req)
	}
	start := time.Now()
	ctx, c, end := s.begin(ctx)
	defer end(nil)
	err = contain(func() error {
		answer, err = handler(ctx, req)
		return err
	})
	return answer, s.finish(ctx, c, info.FullMethod, start, err)
}

// stream is the middleware of the streaming calls. The handler runs beside it, so that a call whose client neither reads
// nor writes can be ended: gRPC interrupts a blocked Send or Recv only when the call itself returns.
func (s *Server) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	if !isFlight(info.FullMethod) {
		return handler(srv, ss)
	}
	start := time.Now()
	ctx, c, end := s.begin(ss.Context())
	done := make(chan error, 1)
	s.handlers.Add(1)
	go func() {
		defer s.handlers.Done()
		defer end(nil)
		done <- contain(func() error { return handler(srv, &watched{ServerStream: ss, ctx: ctx, end: end, limits: s.limits}) })
	}()
	select {
	case err := <-done:
		return s.finish(ctx, c, info.FullMethod, start, err)
	case <-ctx.Done():
	}
	select { // most work notices the end of its context by itself
	case err := <-done:
		return s.finish(ctx, c, info.FullMethod, start, err)
	case <-time.After(time.Second):
		return s.finish(ctx, c, info.FullMethod, start, ctx.Err())
	}
}

// watched is a stream that ends its call when a message takes too long to come or to go.
type watched struct {
	grpc.ServerStream
	ctx    context.Context
	end    context.CancelCauseFunc
	limits Limits
}

func (w *watched) Context() context.Context { return w.ctx }

func (w *watched) SendMsg(m any) error {
	timer := time.AfterFunc(w.limits.Stalled, func() { w.end(errStalled) })
	defer timer.Stop()
	return w.ServerStream.SendMsg(m)
}

func (w *watched) RecvMsg(m any) error {
	timer := time.AfterFunc(uploadIdle, func() { w.end(errIdle) })
	defer timer.Stop()
	return w.ServerStream.RecvMsg(m)
}

// contain turns a panic into an error, so that one bad call does not end the calls of everybody else.
func contain(work func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return work()
}

// finish turns a call's error into its status and writes its log line, the only one of a call.
func (s *Server) finish(ctx context.Context, c *call, method string, start time.Time, err error) error {
	st := toStatus(ctx, err)
	code := status.Code(st)
	level := zerolog.InfoLevel
	switch code {
	case codes.Internal, codes.DataLoss:
		level = zerolog.ErrorLevel
	}
	line := s.log.WithLevel(level).Str("id", c.id).Str("call", method[strings.LastIndexByte(method, '/')+1:]).
		Str("kind", c.kind).Strs("views", c.views).Int64("rows", c.rows).Int64("bytes", c.bytes).
		Dur("ms", time.Since(start)).Int64("memory", c.memory.peak.Load()).Str("code", code.String())
	if c.caller != "" {
		line = line.Str("caller", c.caller)
	}
	if t := c.trace; t != nil {
		line = line.Int64("parts_read", t.PartsRead).Int64("parts_skipped", t.PartsSkipped).Int64("rows_read", t.RowsRead)
	}
	if err != nil {
		line = line.Str("error", err.Error())
	}
	line.Msg("call")
	if code == codes.Internal {
		return status.Errorf(code, "internal error; the server's log has the details under call id %s", c.id)
	}
	return st
}

func isFlight(method string) bool {
	return strings.HasPrefix(method, "/arrow.flight.protocol.FlightService/")
}
