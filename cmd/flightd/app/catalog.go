package app

import (
	"errors"
	"io/fs"
	"os"

	"github.com/urfave/cli/v2"

	"github.com/flightd/flightd/config"
)

// configFlags are the flags that say which catalog is meant.
func configFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "config", Usage: "the configuration `FILE`; without it ./flightd.yaml"},
		&cli.StringFlag{Name: "feast-repo", Usage: "a Feast repository in `DIR`; not there yet"},
	}
}

// loadConfig finds and reads the configuration.
func loadConfig(c *cli.Context) (*config.Config, error) {
	if c.IsSet("feast-repo") {
		return nil, usagef("--feast-repo: Feast repositories are not served yet; describe the views in a flightd.yaml")
	}
	path := c.String("config")
	if path == "" {
		path = "flightd.yaml"
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			if _, err := os.Stat("feature_store.yaml"); err == nil {
				return nil, configError{errors.New("there is a feature_store.yaml here, but Feast repositories are not served yet; " +
					"describe the views in a flightd.yaml")}
			}
			return nil, configError{errors.New("no configuration: looked for ./flightd.yaml and ./feature_store.yaml; give one with --config FILE, " +
				"or make a sample with `flightd init DIR`")}
		}
	}
	loaded, err := config.Load(path)
	if err != nil {
		return nil, configError{err}
	}
	return loaded, nil
}
