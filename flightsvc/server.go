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
	"net"
	"sync"
	"time"

	"github.com/apache/arrow/go/v15/arrow/flight"
	"github.com/rs/zerolog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"

	"github.com/flightd/flightd/stores"
)

// Options say what to serve and how. Catalog is required.
type Options struct {
	Catalog         func(context.Context) (*stores.Catalog, error) // asked once for each call
	Limits          Limits
	TLS             *TLSFiles // nil: plain text
	Log             zerolog.Logger
	ShutdownTimeout time.Duration // how long running calls may go on after the end was asked for; 0: 30 s
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
	memory   *pool
	reads    *gate
	uploads  *gate
	staging  *staging
	handlers sync.WaitGroup
	lifetime context.Context // ends when running calls must end
	end      context.CancelCauseFunc
}

// New makes a server. It fails if the TLS files cannot be used.
func New(opt Options) (*Server, error) {
	limits := opt.Limits.withDefaults()
	s := &Server{
		catalog: opt.Catalog, limits: limits, log: opt.Log, grace: opt.ShutdownTimeout,
		health: health.NewServer(), memory: newPool(limits.Memory),
		reads: newGate(limits.Concurrent), uploads: newGate(limits.Concurrent),
		staging: newStaging(limits),
	}
	setDefault(&s.grace, 30*time.Second)
	s.lifetime, s.end = context.WithCancelCause(context.Background())
	options := s.grpcOptions()
	if opt.TLS != nil {
		config, err := opt.TLS.load()
		if err != nil {
			return nil, err
		}
		options = append(options, grpc.Creds(credentials.NewTLS(config)))
	}
	s.grpc = grpc.NewServer(options...)
	flight.RegisterFlightServiceServer(s.grpc, s)
	healthpb.RegisterHealthServer(s.grpc, s.health)
	return s, nil
}

// grpcOptions are the settings of the transport. The buffer sizes are those that measured best on loopback.
func (s *Server) grpcOptions() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.UnaryInterceptor(s.unary),
		grpc.StreamInterceptor(s.stream),
		grpc.MaxRecvMsgSize(int(s.limits.Message)),
		grpc.MaxSendMsgSize(1<<31 - 1),
		grpc.ReadBufferSize(128 << 10),
		grpc.WriteBufferSize(128 << 10),
		grpc.InitialWindowSize(1 << 20),
		grpc.InitialConnWindowSize(4 << 20),
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
// finish within the shutdown timeout and are then ended as UNAVAILABLE. It returns nil after a drain.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	s.health.SetServingStatus("", healthpb.HealthCheckResponse_SERVING)
	s.health.SetServingStatus("arrow.flight.protocol.FlightService", healthpb.HealthCheckResponse_SERVING)
	failed := make(chan error, 1)
	s.handlers.Add(1)
	go func() {
		defer s.handlers.Done()
		failed <- s.grpc.Serve(l)
	}()
	select {
	case err := <-failed:
		s.Stop()
		if err == nil || errors.Is(err, grpc.ErrServerStopped) {
			return nil
		}
		return fmt.Errorf("serve %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	s.drain()
	return nil
}

func (s *Server) drain() {
	s.health.Shutdown()
	late := time.AfterFunc(s.grace, func() { s.end(errDraining) })
	defer late.Stop()
	s.grpc.GracefulStop()
	s.Stop()
}

// Stop ends everything at once: running calls end as UNAVAILABLE. It may be called during a drain.
func (s *Server) Stop() {
	s.health.Shutdown()
	s.end(errDraining)
	s.grpc.GracefulStop() // calls end by themselves now, each with a status that says why
	s.handlers.Wait()
	s.staging.clear()
}
