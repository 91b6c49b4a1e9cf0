package app

import (
	"context"
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/flightd/flightd/cmd/flightd/internal/client"
	"github.com/flightd/flightd/cmd/flightd/internal/rowfile"
	"github.com/flightd/flightd/cmd/flightd/internal/show"
	"github.com/flightd/flightd/tickets"
)

func getCommand() *cli.Command {
	flags := slices.Concat([]cli.Flag{
		&cli.StringSliceFlag{Name: "features", Usage: "the features, `V:F,...`; a view alone means all its features"},
		&cli.StringFlag{Name: "service", Usage: "or the features of the service `NAME`"},
		&cli.StringFlag{Name: "entities", Usage: "`FILE` of the rows to join features to: .parquet, .csv, .arrow, .arrows; - is an Arrow IPC stream on standard input"},
		&cli.StringFlag{Name: "timestamp", Usage: "the `COLUMN` of these rows that holds the event time; without it event_timestamp, or the only timestamp column"},
		&cli.BoolFlag{Name: "full-names", DisableDefaultText: true, Usage: "name the features view__feature"},
		&cli.BoolFlag{Name: "known-at", DisableDefaultText: true, Usage: "only values that had been written by the event time"},
		&cli.BoolFlag{Name: "report", DisableDefaultText: true, Usage: "end with a report of what was found and why not; reads more"},
	}, outputFlags(), serverFlags())
	cmd := command("get", "", "join features to rows of yours, as they were known at each row's time", flags, get)
	cmd.UsageText = "flightd get --features V:F,... | --service NAME  --entities FILE  [-o FILE] [options]"
	return cmd
}

func get(c *cli.Context) error {
	out, err := openOutput(c)
	if err != nil {
		return err
	}
	defer out.abandon()
	ask, err := question(c, out.onScreen())
	if err != nil {
		return err
	}
	command, err := tickets.Encode(&tickets.Ticket{Historical: ask})
	if err != nil {
		return usageError{err}
	}
	entities := c.String("entities")
	if _, err := rowfile.FormatOf(entities); err != nil {
		return usageError{err}
	}
	if entities == rowfile.Standard && show.IsTerminal(os.Stdin) {
		return usagef("--entities - reads an Arrow IPC stream from standard input, which is a terminal here; pipe it, or name a file")
	}
	return withClient(c, func(ctx context.Context, server *client.Client) error {
		rows, err := rowfile.Open(ctx, entities, func() (rowfile.Columns, error) { return csvColumns(ctx, server, ask) })
		if err != nil {
			return err
		}
		defer rows.Close()
		out.expect(rows.Len)
		err = server.Exchange(ctx, command, client.Rows{Schema: rows.Schema, Records: rows.Records, Sent: out.sent}, out.receive)
		if err != nil {
			return err
		}
		return out.finish()
	})
}

// question reads the flags. The report is asked for if a person is looking.
func question(c *cli.Context, onScreen bool) (*tickets.Historical, error) {
	features := listFlag(c, "features")
	switch {
	case features == nil && !c.IsSet("service"):
		return nil, usagef("get: --features or --service is missing")
	case features != nil && c.IsSet("service"):
		return nil, usagef("get takes --features or --service, not both")
	case c.String("entities") == "":
		return nil, usagef("get: --entities is missing: the file of the rows to join features to")
	}
	ask := &tickets.Historical{
		FeatureService: c.String("service"), Timestamp: c.String("timestamp"), FullFeatureNames: c.Bool("full-names"),
		KnownAt: c.Bool("known-at"), Report: c.Bool("report") || onScreen && show.IsTerminal(os.Stdout),
	}
	for _, text := range features {
		ref, err := tickets.ParseFeatureRef(text)
		if err != nil {
			return nil, usagef("--features: %s", ticketMessage(err))
		}
		ask.Features = append(ask.Features, ref)
	}
	return ask, nil
}

// listFlag is the value of a flag that is a list; nil if it was not given.
func listFlag(c *cli.Context, name string) []string {
	if !c.IsSet(name) {
		return nil
	}
	all := []string{}
	for _, item := range c.StringSlice(name) {
		all = append(all, strings.TrimSpace(item))
	}
	return all
}
