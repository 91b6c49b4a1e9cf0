package app

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/urfave/cli/v2"

	"github.com/flightd/flightd/cmd/flightd/internal/client"
	"github.com/flightd/flightd/cmd/flightd/internal/show"
	"github.com/flightd/flightd/tickets"
)

func explainCommand() *cli.Command {
	cmd := command("explain", "TICKET", "run a ticket (JSON, or - for standard input) and say what it read and skipped", serverFlags(), explain)
	cmd.Description = `The answer itself is thrown away. For example: flightd explain '{"all": {"view": "driver_stats"}}'`
	return cmd
}

func explain(c *cli.Context) error {
	ticket := []byte(c.Args().First())
	if string(ticket) == "-" {
		var err error
		if ticket, err = io.ReadAll(io.LimitReader(os.Stdin, tickets.MaxBytes+1)); err != nil {
			return fmt.Errorf("standard input: %w", err)
		}
	}
	if _, err := tickets.Parse(ticket); err != nil {
		return usageError{err}
	}
	return withClient(c, func(ctx context.Context, server *client.Client) error {
		e, err := server.Explain(ctx, ticket)
		if err != nil {
			return err
		}
		printExplanation(e)
		return nil
	})
}

func printExplanation(e *client.Explanation) {
	if len(e.Plan) > 0 {
		fmt.Fprintln(&out, "plan")
	}
	for _, step := range e.Plan {
		fmt.Fprintln(&out, "  "+step)
	}
	parts := e.PartsRead + e.PartsSkipped
	fmt.Fprintln(&out, "work")
	fact("answer", show.Count(e.Rows, "row"))
	fact("files", fmt.Sprintf("%d read, %d skipped", e.FilesRead, e.FilesSkipped))
	fact("groups", fmt.Sprintf("%d read, %d skipped (%s)", e.PartsRead, e.PartsSkipped, show.Share(e.PartsSkipped, parts)))
	apart := ""
	if e.Fetched > 0 {
		apart = ", features of winners apart"
	}
	fact("bytes", fmt.Sprintf("%s read, %s skipped%s", show.Bytes(e.BytesRead), show.Bytes(e.BytesSkipped), apart))
	fact("history", show.Count(e.RowsRead, "row")+" read")
	fact("features", show.Count(e.Fetched, "row")+" fetched")
	fact("memory", show.Bytes(e.Memory)+" reserved at most")
}
