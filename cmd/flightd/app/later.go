package app

import (
	"errors"

	"github.com/urfave/cli/v2"
)

// Commands that have a name already and do nothing yet.

func putCommand() *cli.Command {
	flags := append([]cli.Flag{&cli.StringFlag{Name: "request-id", Usage: "makes a repeated write a duplicate: an `ID` of your choosing"}}, serverFlags()...)
	return command("put", "VIEW FILE", "write rows to a feature view; not there yet", flags, func(*cli.Context) error {
		return errors.New("put is not there yet: flightd does not write features; write Parquet files beside those that are there, the next request sees them")
	})
}

func compactCommand() *cli.Command {
	return command("compact", "VIEW", "merge the small parts of a feature view; not there yet", configFlags(), func(*cli.Context) error {
		return errors.New("compact is not there yet: flightd does not write features, so it has no small parts to merge")
	})
}
