// Package flightsvc serves a catalog of feature views over Arrow Flight. It is the only package that knows gRPC.
//
// A read goes one way through it: the ticket's bytes become a ticket (package tickets), names become a request and the
// request a lazy job (package stores), and the job's records are cut to batch size and sent. DoExchange and staged rows
// bring entity rows in through internal/ipcguard, which trusts no byte of them.
package flightsvc

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apache/arrow/go/v15/arrow/flight"
	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"

	"github.com/flightd/flightd/internal/fault"
	"github.com/flightd/flightd/joins"
	"github.com/flightd/flightd/ondemand"
	"github.com/flightd/flightd/registry"
	"github.com/flightd/flightd/stores"
)

// Options say what to serve and how. Catalog is required.
type Options struct {
	Catalog         func(context.Context) (*stores.Catalog, error) // asked once for each call
	Limits          Limits
	TLS             *TLSFiles // nil: plain text
	Log             zerolog.Logger
	ShutdownTimeout time.Duration // how long running calls may go on after the end was asked for; 0: 30 s

	Feast    *registry.Repository // answers Feast's clients; nil: they are not served
	OnDemand *ondemand.Pool       // runs Feast's on-demand views; nil: they are refused

	Traces trace.TracerProvider // gets a span for each call; nil: none are made
}

// Server is a Flight server over a catalog.
type Server struct {
	flight.BaseFlightServer
	catalog  func(context.Context) (*stores.Catalog, error)
	limits   Limits
	log      zerolog.Logger
	grace    time.Duration
	grpc     *grpc.Server
	health   *health.Server
	arrivals *arrivals
	memory   *pool
	indexes  *joins.IndexCache
	spill    *spill // nil: entity rows stay in memory
	reads    *gate  // retrievals
	uploads  *gate  // calls that receive entity rows
	plans    *gate  // calls that only look at sources
	staging  *staging
	feast    *registry.Repository
	onDemand *ondemand.Pool
	metrics  *metrics
	tracer   trace.Tracer // nil: calls have no spans
	handlers sync.WaitGroup
	calls    sync.Map // those whose work goes on: id -> *call

	closing  context.Context // ends when no more calls are taken
	close    context.CancelFunc
	lifetime context.Context // ends when running calls must end
	end      context.CancelCauseFunc
	stopped  context.Context // ends when what does not end by itself may not be waited for
	stop     context.CancelFunc
	serving  atomic.Bool
	draining atomic.Bool
	gone     chan struct{} // closed when nothing is left
}

// New makes a server. It fails if the TLS files cannot be used.
func New(opt Options) (*Server, error) {
	limits := opt.Limits.withDefaults()
	s := &Server{
		catalog: opt.Catalog, limits: limits, log: opt.Log, grace: opt.ShutdownTimeout,
		health: health.NewServer(), memory: newPool(limits.Memory),
		arrivals: newArrivals(max(limits.Memory/2, 4*ticketBytes)),
		reads:    newGate(limits.Concurrent), uploads: newGate(limits.Concurrent), plans: newGate(limits.Concurrent),
		staging: newStaging(limits), gone: make(chan struct{}), feast: opt.Feast, onDemand: opt.OnDemand,
	}
	if limits.Index > 0 {
		s.indexes = joins.NewIndexCache(limits.Index)
	}
	if limits.SpillDir != "" {
		var err error
		if s.spill, err = newSpill(limits.SpillDir, limits.Spill); err != nil {
			return nil, err
		}
	}
	s.metrics = newMetrics(s)
	if opt.Traces != nil {
		s.tracer = opt.Traces.Tracer("github.com/flightd/flightd")
	}
	setDefault(&s.grace, 30*time.Second)
	s.closing, s.close = context.WithCancel(context.Background())
	s.lifetime, s.end = context.WithCancelCause(context.Background())
	s.stopped, s.stop = context.WithCancel(context.Background())
	options := s.grpcOptions()
	if opt.TLS != nil {
		config, err := opt.TLS.load(opt.Log)
		if err != nil {
			return nil, err
		}
		options = append(options, grpc.Creds(credentials.NewTLS(config)))
	}
	s.grpc = grpc.NewServer(options...)
	s.grpc.RegisterService(s.serviceDesc(), s)
	s.grpc.RegisterService(s.healthDesc(), s.health)
	return s, nil
}

// streamWindow is how much a client may send before anybody waits for it.
const streamWindow = 1 << 20

// grpcOptions are the settings of the transport. The buffer sizes are those that measured best on loopback. Messages may
// have any size as far as gRPC is concerned: arrivals knows better.
func (s *Server) grpcOptions() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.StreamInterceptor(s.stream),
		grpc.ForceServerCodecV2(newCodec()),
		grpc.MaxRecvMsgSize(math.MaxInt32),
		grpc.MaxSendMsgSize(math.MaxInt32),
		grpc.ReadBufferSize(128 << 10),
		grpc.WriteBufferSize(128 << 10),
		grpc.InitialWindowSize(streamWindow),
		grpc.InitialConnWindowSize(4 * streamWindow),
		grpc.MaxConcurrentStreams(64),
		grpc.ConnectionTimeout(10 * time.Second),
		grpc.MaxHeaderListSize(16 << 10),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			MaxConnectionIdle: 15 * time.Minute, MaxConnectionAge: 30 * time.Minute, MaxConnectionAgeGrace: s.limits.Query,
			Time: time.Minute, Timeout: 20 * time.Second,
		}),
	}
}

// Serve answers calls on l until ctx ends, then drains: health says NOT_SERVING, new calls are refused, running ones may
// finish within the shutdown timeout and are then ended as UNAVAILABLE. It returns nil after a drain that ended no call, and
// ErrCutOff after one that did. What goes on though it was ended is left behind soon.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	s.health.SetServingStatus("", healthpb.HealthCheckResponse_SERVING)
	s.health.SetServingStatus("arrow.flight.protocol.FlightService", healthpb.HealthCheckResponse_SERVING)
	s.serving.Store(true)
	failed := make(chan error, 1)
	s.handlers.Go(func() { failed <- s.grpc.Serve(s.arrivals.listen(l)) })
	select {
	case err := <-failed:
		s.Stop()
		if err == nil || errors.Is(err, grpc.ErrServerStopped) {
			return nil
		}
		return fmt.Errorf("serve %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	if !s.drain(s.grace) {
		return ErrCutOff
	}
	return nil
}

// ErrCutOff says that a drain did not wait for all calls.
var ErrCutOff = errors.New("calls were still running when the shutdown timeout was over, or a second signal came; they were ended")

// Stop ends everything at once: running calls end as UNAVAILABLE. It may be called during a drain.
func (s *Server) Stop() {
	s.close()
	s.stop()
	s.end(errDraining)
	s.drain(0)
}

// farewell is the time in which calls that were ended may tell their clients so. A client that does not read would
// otherwise keep its connection, and the server, for ever.
const farewell = time.Second

// lastWork is the time in which the work of calls that were ended has to end. A store that does not listen to its context
// would otherwise keep the server for as long as it likes.
const lastWork = 5 * time.Second

// Handshake implements Flight's login. Who calls is known from the client certificate, if at all.
func (s *Server) Handshake(flight.FlightService_HandshakeServer) error {
	return fault.New(fault.Unimplemented, "there is no login here; call without one, with a client certificate if the server asks for it")
}

// drain takes no more calls, lets the running ones go on for a while, ends them, and waits until nothing is left, or
// nothing that listens. The first call of it sets the time, others wait with it. It reports whether all calls ended by
// themselves.
func (s *Server) drain(grace time.Duration) (clean bool) {
	if !s.draining.CompareAndSwap(false, true) {
		<-s.gone
		return false
	}
	defer close(s.gone)
	s.close()
	s.health.Shutdown()
	over := make(chan struct{})
	go func() { // goes on after the drain only if a call does
		defer close(over)
		s.grpc.GracefulStop()
		s.handlers.Wait()
	}()
	clean = wait(over, grace, s.lifetime.Done())
	if !clean {
		s.end(errDraining)
		wait(over, farewell, nil)
	}
	s.grpc.Stop()
	ended := wait(over, lastWork, s.stopped.Done())
	if !ended && s.stopped.Err() != nil {
		ended = wait(over, farewell, nil) // what does listen has heard of it only now
	}
	if !ended {
		s.logLeft()
	}
	s.staging.clear()
	return clean
}

// logLeft names the calls whose work goes on.
func (s *Server) logLeft() {
	s.calls.Range(func(_, v any) bool {
		c := v.(*call)
		s.log.Error().Str("id", c.id).Str("call", c.method).Dur("ms", time.Since(c.start)).Msg("the work of this call does not end; it is left")
		return true
	})
}

// wait reports whether something was over in time, and before it was interrupted.
func wait(over <-chan struct{}, within time.Duration, interrupted <-chan struct{}) bool {
	timer := time.NewTimer(within)
	defer timer.Stop()
	select {
	case <-over:
		return true
	case <-timer.C:
	case <-interrupted:
	}
	return false
}
