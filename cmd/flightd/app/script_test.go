package app_test

import (
	"context"
	"net"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/rs/zerolog"

	"github.com/flightd/flightd/cmd/flightd/app"
	"github.com/flightd/flightd/config"
	"github.com/flightd/flightd/flightsvc"
	"github.com/flightd/flightd/stores"
	_ "github.com/flightd/flightd/stores/filestore"
)

// The program as text: each file of testdata is a session on the command line. `serve FILE` serves a catalog in this
// process, and names the server in FLIGHTD_SERVER; everything else runs as in a shell.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"flightd": func() { os.Exit(app.Main(os.Args)) }})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata", Cmds: map[string]func(*testscript.TestScript, bool, []string){"serve": serve}})
}

func serve(ts *testscript.TestScript, _ bool, args []string) {
	loaded, err := config.Load(ts.MkAbs(args[0]))
	ts.Check(err)
	catalog, closeStores, err := loaded.Open(context.Background())
	ts.Check(err)
	service, err := flightsvc.New(flightsvc.Options{
		Catalog: func(context.Context) (*stores.Catalog, error) { return catalog, nil }, Log: zerolog.Nop(),
	})
	ts.Check(err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- service.Serve(ctx, listener) }()
	ts.Defer(func() {
		stop()
		ts.Check(<-done)
		ts.Check(closeStores())
	})
	ts.Setenv("FLIGHTD_SERVER", "grpc://"+listener.Addr().String())
}
