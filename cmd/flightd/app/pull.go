package app

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/flightd/flightd/cmd/flightd/internal/client"
	"github.com/flightd/flightd/tickets"
)

func latestCommand() *cli.Command {
	return pullCommand("latest", "print or save the newest row of every key of a feature view", func(p pull) *tickets.Ticket {
		return &tickets.Ticket{Latest: &tickets.Latest{View: p.view, Features: p.features, Start: p.start, End: p.end}}
	})
}

func allCommand() *cli.Command {
	return pullCommand("all", "print or save every row of a feature view", func(p pull) *tickets.Ticket {
		return &tickets.Ticket{All: &tickets.All{View: p.view, Features: p.features, Start: p.start, End: p.end}}
	})
}

// pull is a question about the rows of one view.
type pull struct {
	view       string
	features   []string
	start, end time.Time
}

func pullCommand(name, usage string, ticket func(pull) *tickets.Ticket) *cli.Command {
	flags := slices.Concat([]cli.Flag{
		&cli.StringFlag{Name: "start", Usage: "only rows from `TIME` on, such as 2024-01-31T12:00:00Z; without an offset it is UTC"},
		&cli.StringFlag{Name: "end", Usage: "only rows up to `TIME`, inclusive"},
		&cli.StringSliceFlag{Name: "features", Usage: "only these features, `F,...`"},
	}, outputFlags(), serverFlags())
	return command(name, "VIEW", usage, flags, func(c *cli.Context) error {
		p := pull{view: c.Args().First(), features: listFlag(c, "features")}
		var err error
		if p.start, err = timeFlag(c, "start"); err != nil {
			return err
		}
		if p.end, err = timeFlag(c, "end"); err != nil {
			return err
		}
		encoded, err := tickets.Encode(ticket(p))
		if err != nil {
			return usageError{err}
		}
		out, err := openOutput(c)
		if err != nil {
			return err
		}
		defer out.abandon()
		return withClient(c, func(ctx context.Context, server *client.Client) error {
			if err := out.learnTotal(ctx, server, encoded); err != nil {
				return err
			}
			if err := server.Get(ctx, encoded, out.receive); err != nil {
				return err
			}
			return out.finish()
		})
	})
}

func timeFlag(c *cli.Context, name string) (time.Time, error) {
	if !c.IsSet(name) {
		return time.Time{}, nil
	}
	t, err := tickets.ParseTime(c.String(name))
	if err != nil {
		return t, usagef("--%s: %s", name, ticketMessage(err))
	}
	return t, nil
}

// ticketMessage is what is wrong with a part of a ticket that came from a flag.
func ticketMessage(err error) string {
	var wrong *tickets.Error
	if errors.As(err, &wrong) {
		return wrong.Message
	}
	return err.Error()
}
