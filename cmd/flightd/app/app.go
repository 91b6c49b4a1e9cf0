// Package app is the flightd program as a package: a binary with stores of its own imports them and calls Main.
package app

import (
	"context"
	"errors"
	"fmt"
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

// usageError marks what the caller of the program can mend in its command line.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// configError marks what can be mended in the configuration.
type configError struct{ error }

func (e configError) Unwrap() error { return e.error }

// commands are all that the program can do, in the order of its help.
func commands() []*cli.Command {
	return []*cli.Command{
		serveCommand(), checkCommand(), initCommand(),
		listCommand(), describeCommand(), getCommand(), latestCommand(), allCommand(), explainCommand(),
		putCommand(), compactCommand(),
		versionCommand(), helpCommand(),
	}
}

// out is where commands print what they found. What could not be printed is a failure: it may have been redirected to a full
// disk.
var out printed

type printed struct{ err error }

func (p *printed) Write(text []byte) (int, error) {
	n, err := os.Stdout.Write(text)
	if p.err == nil {
		p.err = err
	}
	return n, err
}

// Main runs the program with its arguments, the program's name first, and returns its exit status.
func Main(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	a := &cli.App{
		Name: "flightd", Usage: "an offline feature store over Arrow Flight", Version: Version,
		UsageText:       "flightd COMMAND [options] [arguments]   (flightd COMMAND --help says more about a command)",
		HideHelpCommand: true, ExitErrHandler: func(*cli.Context, error) {},
		OnUsageError: func(_ *cli.Context, err error, _ bool) error { return usageError{err} },
		Flags:        []cli.Flag{cli.HelpFlag}, // the library adds it only if there is no command of that name
		Commands:     commands(),
		Action: func(c *cli.Context) error {
			c.App.Writer = os.Stderr
			_ = cli.ShowAppHelp(c)
			return usagef("a command is missing")
		},
	}
	cli.VersionPrinter = func(*cli.Context) { printVersion() }
	cmd, args, err := arrange(a, args)
	if err == nil {
		err = errors.Join(a.RunContext(ctx, args), out.err)
	}
	return report(ctx, cmd, err)
}

// report says what went wrong, if anything did, and turns it into an exit status.
func report(ctx context.Context, cmd *cli.Command, err error) int {
	var usage usageError
	var wrong configError
	var mistake *config.Error
	switch {
	case err == nil:
		return 0
	case errors.Is(err, syscall.EPIPE): // whoever read our output has seen enough
		return exitFailure
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		fmt.Fprintln(os.Stderr, "flightd: interrupted")
		return exitFailure
	}
	fmt.Fprintln(os.Stderr, "flightd:", err)
	switch {
	case errors.As(err, &usage):
		if cmd != nil {
			fmt.Fprintf(os.Stderr, "usage: %s\n(flightd %s --help says more)\n", cmd.UsageText, cmd.Name)
		}
		return exitUsage
	case errors.As(err, &wrong), errors.As(err, &mistake):
		return exitUsage
	}
	return exitFailure
}

func versionCommand() *cli.Command {
	return command("version", "", "print the version", nil, func(*cli.Context) error {
		printVersion()
		return nil
	})
}

func printVersion() { fmt.Fprintln(&out, "flightd", Version) }
