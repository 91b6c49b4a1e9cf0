// Package app is the flightd program as a package: a binary with stores of its own imports them and calls Main.
package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"syscall"

	"github.com/urfave/cli/v2"

	"github.com/flightd/flightd/config"
)

// Version is what `flightd version` prints.
const Version = "0.1.0"

// Exit statuses.
const (
	exitFailure = 1
	exitUsage   = 2 // wrong usage or configuration
)

// usageError marks what the caller of the program can mend in its command line or configuration.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// Main runs the program with its arguments, the program's name first, and returns its exit status.
func Main(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	a := &cli.App{
		Name: "flightd", Usage: "an offline feature store over Arrow Flight", Version: Version,
		HideVersion: true, HideHelpCommand: true, ExitErrHandler: func(*cli.Context, error) {},
		OnUsageError: func(_ *cli.Context, err error, _ bool) error { return usageError{err} },
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return usagef("there is no command %q; flightd --help lists them", c.Args().First())
			}
			return cli.ShowAppHelp(c)
		},
		Commands: []*cli.Command{serveCommand(), checkCommand(), versionCommand()},
	}
	for _, c := range a.Commands {
		c.OnUsageError = a.OnUsageError
	}
	err := a.RunContext(ctx, args)
	if err == nil {
		return 0
	}
	fmt.Fprintln(os.Stderr, "flightd:", err)
	var usage usageError
	var wrong *config.Error
	if errors.As(err, &usage) || errors.As(err, &wrong) {
		return exitUsage
	}
	return exitFailure
}

func versionCommand() *cli.Command {
	return &cli.Command{Name: "version", Usage: "print the version", Action: func(*cli.Context) error {
		fmt.Println("flightd", Version)
		return nil
	}}
}

// configFlags are the flags that say which catalog is meant.
func configFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "config", Usage: "the configuration `FILE`; without it ./flightd.yaml"},
		&cli.StringFlag{Name: "feast-repo", Usage: "a Feast repository in `DIR`; not there yet"},
	}
}

// loadConfig finds and reads the configuration.
func loadConfig(c *cli.Context) (*config.Config, error) {
	if c.Args().Present() {
		return nil, usagef("%s takes no arguments, found %q", c.Command.Name, c.Args().First())
	}
	if c.IsSet("feast-repo") {
		return nil, usagef("--feast-repo: Feast repositories are not served yet; describe the views in a flightd.yaml")
	}
	path := c.String("config")
	if path == "" {
		path = "flightd.yaml"
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			if _, err := os.Stat("feature_store.yaml"); err == nil {
				return nil, usagef("there is a feature_store.yaml here, but Feast repositories are not served yet; describe the views in a flightd.yaml")
			}
			return nil, usagef("no configuration: looked for ./flightd.yaml and ./feature_store.yaml; give one with --config FILE, " +
				"or make a sample with `flightd init DIR`")
		}
	}
	loaded, err := config.Load(path)
	if err != nil {
		return nil, usageError{err}
	}
	return loaded, nil
}
