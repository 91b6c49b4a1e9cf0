package app

import (
	"errors"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/flightd/flightd/cmd/flightd/internal/show"
	"github.com/flightd/flightd/internal/nearest"
	"github.com/flightd/flightd/stores"
)

// leastGrace is the shortest grace time: longer than servers believe an old list of a folder's parts.
const leastGrace = time.Minute

func compactCommand() *cli.Command {
	flags := append([]cli.Flag{
		&cli.DurationFlag{Name: "grace", DefaultText: "limits.query",
			Usage: "how long parts that were merged stay for those who are reading them: a `TIME` such as 90m, no shorter than the longest call"},
		&cli.BoolFlag{Name: "log", Usage: "VIEW is a feature service, and its logged features are meant"},
	}, configFlags()...)
	cmd := command("compact", "VIEW", "merge the small parts that writes to a feature view have left; also beside running servers", flags, compact)
	cmd.UsageText = "flightd compact VIEW [--grace TIME] [options]"
	return cmd
}

func compact(c *cli.Context) error {
	conf, repo, err := loadConfig(c)
	if err != nil {
		return err
	}
	grace := conf.Limits.Query
	if c.IsSet("grace") {
		grace = c.Duration("grace")
	}
	if grace < leastGrace {
		return usagef("--grace: %s is too short for servers to notice; give %s at least", grace, leastGrace)
	}
	var lost error
	opened, err := open(c, conf, repo, func(err error) { lost = err })
	if err != nil {
		return err
	}
	defer opened.close() //nolint:errcheck // what was written is durable
	catalog, err := opened.catalog(c.Context)
	if err = errors.Join(lost, err); err != nil {
		return err
	}
	store, src, err := compacted(catalog, c.Args().First(), c.Bool("log"))
	if err != nil {
		return err
	}
	done, err := stores.Compact(c.Context, store, src, stores.CompactOptions{Grace: grace})
	if err != nil {
		return err
	}
	if done.Removed > 0 {
		fmt.Fprintf(&out, "%s merged before removed\n", show.Count(int64(done.Removed), "part"))
	}
	if done.Merged == 0 {
		fmt.Fprintln(&out, "there are no small parts to merge")
	} else {
		fmt.Fprintf(&out, "%s with %s merged into %d\n", show.Count(int64(done.Merged), "part"), show.Count(done.Rows, "row"), done.Made)
	}
	if done.Waiting > 0 {
		fmt.Fprintf(&out, "%s stay for readers; the next write or compact after %s removes them\n", show.Count(int64(done.Waiting), "merged part"), grace)
	}
	return nil
}

// compacted is the source that a name stands for.
func compacted(catalog *stores.Catalog, name string, log bool) (stores.OfflineStore, stores.DataSource, error) {
	if !log {
		view, err := catalog.View(name)
		if err != nil {
			return nil, nil, err
		}
		return view.Store, view.Source, nil
	}
	service, err := catalog.Service(name)
	if err != nil {
		return nil, nil, err
	}
	if service.Log == nil {
		return nil, nil, fmt.Errorf("feature service %s has no log", nearest.Quote(name))
	}
	src, err := service.Log.Store.Source(service.Log.Destination)
	return service.Log.Store, src, err
}
