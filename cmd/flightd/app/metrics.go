package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/rs/zerolog"

	"github.com/flightd/flightd/flightsvc"
)

// Bounds of the HTTP port, which is for machines that ask every few seconds.
const (
	readyWithin  = 2 * time.Second
	scrapeWithin = 10 * time.Second
	scrapesMost  = 4
)

// watch serves /metrics, /healthz and /readyz at an address until the returned function is called. It does nothing for an
// empty address.
func watch(address string, service *flightsvc.Server, log zerolog.Logger) (stop func(), err error) {
	if address == "" {
		return func() {}, nil
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("metrics: listen on %s: %w", address, err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(service.Metrics(), promhttp.HandlerOpts{MaxRequestsInFlight: scrapesMost, Timeout: scrapeWithin}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), readyWithin)
		defer cancel()
		if err := service.Ready(ctx); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ready")
	})
	server := &http.Server{
		Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 5 * time.Second, WriteTimeout: 2 * scrapeWithin,
		IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			log.Error().Str("error", err.Error()).Msg("metrics are not served any more")
		}
	}()
	log.Info().Str("addr", listener.Addr().String()).Msg("metrics")
	return func() {
		_ = server.Close() // who asks now is told by the connection that ends
		<-done
	}, nil
}
