package app

import (
	"context"
	"fmt"
	"os"

	"github.com/urfave/cli/v2"

	"github.com/flightd/flightd/cmd/flightd/internal/client"
	"github.com/flightd/flightd/cmd/flightd/internal/rowfile"
	"github.com/flightd/flightd/cmd/flightd/internal/show"
	"github.com/flightd/flightd/tickets"
)

func putCommand() *cli.Command {
	flags := append([]cli.Flag{
		&cli.StringFlag{Name: "request-id", Usage: "makes a repeated write a duplicate: an `ID` of your choosing"},
	}, serverFlags()...)
	cmd := command("put", "VIEW FILE", "write rows to the source of a feature view, all or none", flags, put)
	cmd.UsageText = "flightd put VIEW FILE [--request-id ID] [options]"
	return cmd
}

func put(c *cli.Context) error {
	view, file := c.Args().Get(0), c.Args().Get(1)
	if c.IsSet("request-id") && c.String("request-id") == "" {
		return usagef("--request-id is empty; leave it out, and each call is a write of its own")
	}
	command, err := tickets.Encode(&tickets.Ticket{Write: &tickets.Write{View: view, RequestID: c.String("request-id")}})
	if err != nil {
		return usageError{err}
	}
	if _, err := rowfile.FormatOf(file); err != nil {
		return usageError{err}
	}
	if file == rowfile.Standard && show.IsTerminal(os.Stdin) {
		return usagef("put VIEW - reads an Arrow IPC stream from standard input, which is a terminal here; pipe it, or name a file")
	}
	return withClient(c, func(ctx context.Context, server *client.Client) error {
		rows, err := rowfile.Open(ctx, file, func() (rowfile.Columns, error) { return viewColumns(ctx, server, view) })
		if err != nil {
			return err
		}
		defer rows.Close()
		written, err := server.Put(ctx, command, client.Rows{Schema: rows.Schema, Records: rows.Records})
		if err != nil {
			return err
		}
		if written.Duplicate {
			fmt.Fprintf(&out, "this request id wrote %s before; nothing was written now\n", show.Count(written.Rows, "row"))
			return nil
		}
		fmt.Fprintf(&out, "%s written to %s\n", show.Count(written.Rows, "row"), view)
		return nil
	})
}

// viewColumns asks the server for the types of a view's columns, so that a CSV file is read as they are.
func viewColumns(ctx context.Context, server *client.Client, view string) (rowfile.Columns, error) {
	columns := rowfile.Columns{Types: map[string]rowfile.Typed{}}
	entries, err := server.List(ctx)
	if err != nil {
		return columns, err
	}
	for _, e := range entries {
		if e.Kind != client.FeatureView || e.Name != view || e.Schema == nil {
			continue
		}
		for _, f := range e.Schema.Fields() {
			columns.Types[f.Name] = rowfile.Typed{Type: f.Type, Why: "a column of " + view}
		}
	}
	return columns, nil
}
