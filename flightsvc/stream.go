package flightsvc

import (
	"context"
	"strings"
	"time"

	"github.com/apache/arrow/go/v15/arrow/flight/gen/flight"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/flightd/flightd/internal/fault"
)

// serviceDesc is Flight's service with its calls run by the middleware: those that answer with one message here, the
// streaming ones by stream.
func (s *Server) serviceDesc() *grpc.ServiceDesc {
	desc := flight.FlightService_ServiceDesc
	return withMethods(desc, func(m grpc.MethodDesc) grpc.MethodHandler { return s.unary(desc.ServiceName, m) })
}

// withMethods is a service with other handlers of the calls that answer with one message. gRPC's own interceptor of them
// comes too late, when the request has been received.
func withMethods(desc grpc.ServiceDesc, handler func(grpc.MethodDesc) grpc.MethodHandler) *grpc.ServiceDesc {
	methods := make([]grpc.MethodDesc, len(desc.Methods))
	for i, m := range desc.Methods {
		methods[i] = grpc.MethodDesc{MethodName: m.MethodName, Handler: handler(m)}
	}
	desc.Methods = methods
	return &desc
}

func (s *Server) unary(service string, m grpc.MethodDesc) grpc.MethodHandler {
	return func(srv any, ctx context.Context, dec func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		var answer any // written by the work, which may outlive a call that was ended
		err := s.run(ctx, "/"+service+"/"+m.MethodName, func(ctx context.Context, end context.CancelCauseFunc) (err error) {
			received := func(m any) error { return s.receive(ctx, end, ticketLimit, dec, m) }
			answer, err = m.Handler(srv, ctx, received, nil)
			return err
		})
		if err != nil {
			return nil, err
		}
		return answer, nil
	}
}

// stream is the middleware of the streaming calls.
func (s *Server) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	if !isFlight(info.FullMethod) {
		return s.watch(srv, ss, handler)
	}
	limit := ticketLimit
	if info.IsClientStream {
		limit = s.messageLimit()
	}
	return s.run(ss.Context(), info.FullMethod, func(ctx context.Context, end context.CancelCauseFunc) error {
		return handler(srv, &watched{ServerStream: ss, ctx: ctx, end: end, server: s, limit: limit})
	})
}

// watched is a stream that ends its call when a message takes too long to come or to go, or is too large.
type watched struct {
	grpc.ServerStream
	ctx    context.Context
	end    context.CancelCauseFunc
	server *Server
	limit  messageLimit
}

func (w *watched) Context() context.Context { return w.ctx }

func (w *watched) SendMsg(m any) error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	timer := time.AfterFunc(w.server.limits.Stalled, func() { w.end(errStalled) })
	defer timer.Stop()
	defer callOf(w.ctx).in(sending)()
	return w.ServerStream.SendMsg(m)
}

func (w *watched) RecvMsg(m any) error {
	return w.server.receive(w.ctx, w.end, w.limit, w.ServerStream.RecvMsg, m)
}

// receive gets one message of a Flight call, which ends the call if it is too large or does not come. Its memory is
// reserved before it is decoded, and until the next one is asked for.
func (s *Server) receive(ctx context.Context, end context.CancelCauseFunc, limit messageLimit, recv func(any) error, m any) error {
	c := callOf(ctx)
	c.holds(0)
	defer c.in(receiving)()
	reserve := func(bytes int64) error {
		c.came.Add(bytes)
		bytes *= limit.copies
		err := c.memory.Reserve(ctx, bytes)
		if err == nil {
			c.message += bytes
		}
		return err
	}
	return s.collect(ctx, end, recv, &inbound{message: m, limit: limit, reserve: reserve})
}

// collect gets one message while arrivals watches it.
func (s *Server) collect(ctx context.Context, end context.CancelCauseFunc, recv func(any) error, in *inbound) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	coming := s.arrivals.expect(ctx, in.limit, end)
	reserve := in.reserve
	in.reserve = func(bytes int64) error {
		coming.complete()
		return reserve(bytes)
	}
	err := recv(in)
	coming.came(in.size)
	switch {
	case err != nil && status.Code(err) == codes.Internal: // a message cut off, or not framed as gRPC does
		return fault.New(fault.Invalid, "the stream of messages is broken: %w", err)
	case err != nil:
		return err
	}
	return in.err
}

func isFlight(method string) bool {
	return strings.HasPrefix(method, "/"+flight.FlightService_ServiceDesc.ServiceName+"/")
}
