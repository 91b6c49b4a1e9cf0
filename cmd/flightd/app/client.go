package app

import (
	"context"
	"os/signal"
	"syscall"

	"github.com/urfave/cli/v2"

	"github.com/flightd/flightd/cmd/flightd/internal/client"
)

// serverFlags say which server is asked.
func serverFlags() []cli.Flag {
	const category = "server:"
	return []cli.Flag{
		&cli.StringFlag{Name: "server", Usage: "the server's `URI`: grpc://host:port or grpc+tls://host:port", Category: category,
			EnvVars: []string{"FLIGHTD_SERVER"}, Value: "grpc://127.0.0.1:8815"},
		&cli.StringFlag{Name: "tls-ca", Usage: "`FILE` of the authority that signed the server's certificate (PEM); without it the system's", Category: category},
		&cli.StringFlag{Name: "tls-cert", Usage: "`FILE` of the client's own certificate (PEM)", Category: category},
		&cli.StringFlag{Name: "tls-key", Usage: "`FILE` of that certificate's key (PEM)", Category: category},
	}
}

// withClient runs the work of a command with a connection to the server that its flags name.
func withClient(c *cli.Context, work func(context.Context, *client.Client) error) error {
	address, err := client.ParseAddress(c.String("server"), c.String("tls-ca"), c.String("tls-cert"), c.String("tls-key"))
	if err != nil {
		return usageError{err}
	}
	server, err := client.Dial(address)
	if err != nil {
		return usageError{err}
	}
	defer server.Close()
	// The first signal ends the call, the second one the program, whatever it waits for.
	defer context.AfterFunc(c.Context, func() { signal.Reset(syscall.SIGINT, syscall.SIGTERM) })()
	return work(c.Context, server)
}
