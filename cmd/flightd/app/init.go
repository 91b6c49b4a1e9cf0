package app

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"github.com/flightd/flightd/cmd/flightd/internal/sample"
	"github.com/flightd/flightd/cmd/flightd/internal/show"
)

func initCommand() *cli.Command {
	flags := []cli.Flag{&cli.BoolFlag{Name: "feast", DisableDefaultText: true, Usage: "make it a Feast repository too: feature_store.yaml, definitions.py, a registry, a client"}}
	return command("init", "DIR", "write a small working catalog with sample data", flags, initialize)
}

func initialize(c *cli.Context) error {
	dir := c.Args().First()
	feast := c.Bool("feast")
	err := sample.Write(dir, feast)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w; nothing was written (init replaces no file)", err)
	}
	if err != nil {
		return err
	}
	config, data := filepath.Join(dir, sample.Config), filepath.Join(dir, "data")
	fmt.Fprintf(&out, `Wrote %s and its data:

  driver_stats     %s of %d drivers
  customer_stats   %s of %d customers
  orders.parquet   %s to ask about

Next:

  flightd check --config %[7]s
  flightd serve --config %[7]s

and then, in another terminal:

  flightd list
  flightd get --service driver_activity --entities %[8]s --report
`, config, show.Count(sample.History, "row"), sample.Drivers, show.Count(sample.History, "row"), sample.Customers,
		show.Count(sample.Orders, "order"), config, filepath.Join(data, "orders.parquet"))
	if feast {
		fmt.Fprintf(&out, `
It is a Feast repository too:

  flightd serve --feast-repo %s

and then, in Python with Feast:

  FeatureStore(%q).get_historical_features(orders, features=["driver_stats:conv_rate"]).to_df()
`, dir, filepath.Join(dir, "client"))
	}
	return nil
}
