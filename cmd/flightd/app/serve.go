package app

import (
	"context"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/rs/zerolog"
	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"github.com/flightd/flightd/config"
	"github.com/flightd/flightd/flightsvc"
	"github.com/flightd/flightd/stores"
)

func serveCommand() *cli.Command {
	flags := append(configFlags(),
		&cli.StringFlag{Name: "listen", Usage: "`HOST:PORT` to listen on; port 0 picks a free one"},
		&cli.StringFlag{Name: "metrics", Usage: "`HOST:PORT` of /metrics, /healthz and /readyz"},
		&cli.StringFlag{Name: "tls-cert", Usage: "certificate `FILE` (PEM)"},
		&cli.StringFlag{Name: "tls-key", Usage: "key `FILE` of the certificate (PEM)"},
		&cli.StringFlag{Name: "tls-client-ca", Usage: "`FILE` of the authority that signs client certificates (PEM)"},
	)
	return command("serve", "", "serve a catalog over Arrow Flight", flags, serve)
}

func serve(c *cli.Context) error {
	conf, repo, err := loadConfig(c)
	if err != nil {
		return err
	}
	tlsFiles, err := tlsFrom(c, conf)
	if err != nil {
		return err
	}
	if c.IsSet("listen") {
		conf.Listen = c.String("listen")
		if _, err := net.ResolveTCPAddr("tcp", conf.Listen); err != nil {
			return usagef("--listen: want HOST:PORT, found %q: %w", conf.Listen, err)
		}
	}
	if c.IsSet("metrics") {
		conf.Metrics = c.String("metrics")
		if _, err := net.ResolveTCPAddr("tcp", conf.Metrics); err != nil {
			return usagef("--metrics: want HOST:PORT, found %q: %w", conf.Metrics, err)
		}
	}
	log := newLog(conf.Log)
	catalog, err := open(c, conf, repo, func(err error) { warnRegistry(log, err) })
	if err != nil {
		return err
	}
	defer catalog.close() //nolint:errcheck // nothing is being written any more
	listener, err := net.Listen("tcp", conf.Listen)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", conf.Listen, err)
	}
	defer listener.Close() // a server that ran has closed it already
	limitMemory(conf.Limits)
	spans, endSpans, err := traces(c.Context)
	if err != nil {
		return err
	}
	defer endSpans()
	service, err := flightsvc.New(flightsvc.Options{
		Catalog: catalog.catalog, Feast: catalog.feast, OnDemand: catalog.onDemand,
		Limits: limitsOf(conf.Limits), TLS: tlsFiles, Log: log, ShutdownTimeout: conf.ShutdownTimeout, Traces: spans,
	})
	if err != nil {
		return configError{err}
	}
	stopWatch, err := watch(conf.Metrics, service, log)
	if err != nil {
		return err
	}
	defer stopWatch()
	warnAddress(log, listener.Addr(), tlsFiles)
	if repo == "" {
		warnSources(c.Context, log, catalog)
	} else { // a registry may be far away, and the port is to be open before there is one
		ctx, cancel := context.WithCancel(c.Context)
		warned := make(chan struct{})
		go func() {
			defer close(warned)
			warnSources(ctx, log, catalog)
		}()
		defer func() { cancel(); <-warned }()
	}
	log.Info().Str("addr", listener.Addr().String()).Msg("serving")
	return run(c.Context, service, listener)
}

// run serves until the first signal, then drains; a second signal ends the drain at once.
func run(ctx context.Context, service *flightsvc.Server, l net.Listener) error {
	again := make(chan os.Signal, 1)
	stopWatching := context.AfterFunc(ctx, func() {
		signal.Notify(again, syscall.SIGINT, syscall.SIGTERM)
		if _, more := <-again; more {
			service.Stop()
		}
	})
	err := service.Serve(ctx, l)
	stopWatching()
	signal.Stop(again)
	close(again)
	return err
}

func tlsFrom(c *cli.Context, conf *config.Config) (*flightsvc.TLSFiles, error) {
	var files flightsvc.TLSFiles
	if conf.TLS != nil {
		files = flightsvc.TLSFiles{Cert: conf.TLS.Cert, Key: conf.TLS.Key, ClientCA: conf.TLS.ClientCA}
	}
	for flag, field := range map[string]*string{"tls-cert": &files.Cert, "tls-key": &files.Key, "tls-client-ca": &files.ClientCA} {
		if c.IsSet(flag) {
			*field = c.String(flag)
		}
	}
	switch {
	case files == flightsvc.TLSFiles{}:
		return nil, nil
	case files.Cert == "" || files.Key == "":
		return nil, usagef("TLS needs a certificate and its key: --tls-cert FILE --tls-key FILE")
	}
	return &files, nil
}

func limitsOf(l config.Limits) flightsvc.Limits {
	return flightsvc.Limits{
		Memory: int64(l.Memory), Index: int64(l.Index), SpillDir: l.SpillDir, Spill: int64(l.Spill), EntityRows: l.EntityRows, Message: int64(l.Message), Staged: int64(l.Staged), StagedFor: l.StagedFor,
		Concurrent: l.Concurrent, QueueFor: l.QueueFor, Query: l.Query, Stalled: l.Stalled,
	}
}

// limitMemory tells the garbage collector to work harder before the process outgrows the budget by much. What stands in
// GOMEMLIMIT goes first.
func limitMemory(l config.Limits) {
	if os.Getenv("GOMEMLIMIT") == "" && int64(l.Memory) < math.MaxInt64/4 && int64(l.Index) < math.MaxInt64/4 {
		debug.SetMemoryLimit(int64(l.Memory) + int64(l.Index) + 256<<20)
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbage)
	}
}

// garbage is how much of it may be there, in percent of what is in use, before it is collected. Most of what a server
// holds is batches on their way out, which are garbage soon: the runtime's own 100 keeps twice the memory for little speed.
const garbage = 40

// warnAddress says what is not safe.
func warnAddress(log zerolog.Logger, addr net.Addr, files *flightsvc.TLSFiles) {
	if tcp, ok := addr.(*net.TCPAddr); ok && !tcp.IP.IsLoopback() && (files == nil || files.ClientCA == "") {
		log.Warn().Str("addr", addr.String()).Msg("listening beyond loopback without authentication: everybody who reaches this port can use every view")
	}
}

// warnSources says what will not work, before the first call meets it.
func warnSources(ctx context.Context, log zerolog.Logger, s *served) {
	catalog, err := s.catalog(ctx)
	if err != nil {
		if s.feast == nil { // what is wrong with a registry has been said
			log.Warn().Str("error", err.Error()).Msg("the catalog cannot be read")
		}
		return
	}
	warn := func(view string, err error) {
		if err != nil && ctx.Err() == nil {
			log.Warn().Str("view", view).Str("error", err.Error()).Msg("the source of a feature view cannot be read")
		}
	}
	for _, v := range catalog.Views() {
		warn(v.Name, stores.Check(ctx, v))
	}
	if s.feast != nil {
		if snapshot, err := s.feast.Snapshot(ctx); err == nil {
			for name, why := range snapshot.Unserved() {
				warn(name, why)
			}
		}
	}
}

func newLog(l config.Log) zerolog.Logger {
	zerolog.DurationFieldUnit = time.Millisecond
	var out io.Writer = os.Stderr
	if l.Format == "console" || l.Format == "auto" && term.IsTerminal(int(os.Stderr.Fd())) {
		out = zerolog.ConsoleWriter{Out: os.Stderr, TimeFormat: time.TimeOnly}
	}
	level, err := zerolog.ParseLevel(l.Level)
	if err != nil {
		level = zerolog.InfoLevel
	}
	return zerolog.New(out).Level(level).With().Timestamp().Logger()
}
