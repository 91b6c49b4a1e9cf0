package flightsvc

import (
	"context"
	"time"

	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/flightd/flightd/internal/fault"
)

// Bounds of the health service, which anybody may ask before anything else is known of them.
const (
	healthBytes = 4 << 10 // of a message: it is the name of a service
	maxWatches  = 4       // calls of one connection that watch the health
)

var healthLimit = messageLimit{healthBytes, 0, fault.New(fault.Exhausted, "a message to the health service has more than %s; it is the name of a service", size(healthBytes))}

// healthDesc is gRPC's health service, with its messages bounded while they come, as those of Flight are.
func (s *Server) healthDesc() *grpc.ServiceDesc {
	return withMethods(healthpb.Health_ServiceDesc, func(m grpc.MethodDesc) grpc.MethodHandler {
		return func(srv any, ctx context.Context, dec func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			ctx, end := s.healthContext(ctx)
			defer end(nil)
			received := func(m any) error { return s.receiveHealth(ctx, end, dec, m) }
			return m.Handler(srv, ctx, received, nil)
		}
	})
}

// healthContext ends when the server drains: those who watch the health have been told by then, and a drain waits for all
// calls.
func (s *Server) healthContext(ctx context.Context) (context.Context, context.CancelCauseFunc) {
	ctx, end := context.WithCancelCause(ctx)
	stop := context.AfterFunc(s.closing, func() { time.AfterFunc(lastWord, func() { end(errDraining) }) })
	return ctx, func(cause error) {
		stop()
		end(cause)
	}
}

// lastWord is the time in which those who watch the health are told of its end.
const lastWord = 100 * time.Millisecond

// receiveHealth gets a message. It comes beside the call, which can thus be ended while its client still sends.
func (s *Server) receiveHealth(ctx context.Context, end context.CancelCauseFunc, recv func(any) error, m any) error {
	defer carry(ctx)()
	in := &inbound{message: m, limit: healthLimit, reserve: func(int64) error { return nil }} // it is small
	came := make(chan error, 1)
	s.handlers.Go(func() {
		came <- contain(func() error { return s.collect(ctx, end, recv, in) })
	})
	select {
	case err := <-came:
		return toStatus(ctx, err)
	case <-ctx.Done():
		return toStatus(ctx, ctx.Err())
	}
}

// watch runs the streaming call of the health service.
func (s *Server) watch(srv any, ss grpc.ServerStream, handler grpc.StreamHandler) error {
	ctx, end := s.healthContext(ss.Context())
	defer end(nil)
	if c := connOf(ctx); c != nil {
		defer c.watches.Add(-1)
		if c.watches.Add(1) > maxWatches {
			return toStatus(ctx, fault.New(fault.Busy, "%d calls of this connection watch the health already; one is enough, so end another and try again", maxWatches))
		}
	}
	return handler(srv, &watching{ss, ctx, end, s})
}

// watching is the stream of a call that watches the health.
type watching struct {
	grpc.ServerStream
	ctx    context.Context
	end    context.CancelCauseFunc
	server *Server
}

func (w *watching) Context() context.Context { return w.ctx }

func (w *watching) RecvMsg(m any) error {
	return w.server.receiveHealth(w.ctx, w.end, w.ServerStream.RecvMsg, m)
}
