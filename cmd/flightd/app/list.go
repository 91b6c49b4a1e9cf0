package app

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/flightd/flightd/cmd/flightd/internal/client"
	"github.com/flightd/flightd/cmd/flightd/internal/show"
)

func listCommand() *cli.Command {
	return command("list", "", "list the feature views and services of a server", serverFlags(), func(c *cli.Context) error {
		return withClient(c, func(ctx context.Context, server *client.Client) error {
			entries, err := server.List(ctx)
			if err != nil {
				return err
			}
			return printList(entries)
		})
	})
}

func printList(entries []*client.Entry) error {
	views := &show.Table{Columns: []show.Column{
		{Name: "feature view"}, {Name: "keys", Wrap: true}, {Name: "features", Wrap: true}, {Name: "source"}, {Name: "ttl", Right: true}}}
	services := &show.Table{Columns: []show.Column{{Name: "feature service"}, {Name: "features", Wrap: true}}}
	var broken []string
	for _, e := range entries {
		if e.Kind == client.FeatureView {
			views.Rows = append(views.Rows, []string{e.Name, names(e.Keys), names(e.Features), e.Source, ttl(e.TTL)})
		} else {
			services.Rows = append(services.Rows, []string{e.Name, names(e.Features)})
		}
		if e.Error != "" {
			broken = append(broken, fmt.Sprintf("  %s: %s", e.Name, e.Error))
		}
	}
	if len(entries) == 0 {
		fmt.Fprintln(&out, "The server has no feature views.")
		return nil
	}
	if err := render(views); err != nil {
		return err
	}
	if len(services.Rows) > 0 {
		fmt.Fprintln(&out)
		if err := render(services); err != nil {
			return err
		}
	}
	if len(broken) > 0 {
		fmt.Fprintf(&out, "\nThese cannot be answered now:\n%s\n", strings.Join(broken, "\n"))
	}
	return nil
}

// render writes a table to standard output.
func render(t *show.Table) error {
	_, err := t.Render(os.Stdout, show.Width(os.Stdout))
	return err
}

func names(all []string) string {
	if len(all) == 0 {
		return "-"
	}
	return strings.Join(all, ", ")
}

// ttl writes a duration as people do: 24h instead of 24h0m0s, 14d instead of 336h.
func ttl(text string) string {
	d, err := time.ParseDuration(text)
	if err != nil {
		return "-" // there is none
	}
	const day = 24 * time.Hour
	if d >= 2*day && d%day == 0 {
		return fmt.Sprintf("%dd", d/day)
	}
	short := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(short, zero) {
			short = strings.TrimSuffix(short, zero[1:])
		}
	}
	return short
}
