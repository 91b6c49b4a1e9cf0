package app

import (
	"context"
	"fmt"

	"github.com/rs/zerolog"
	"github.com/urfave/cli/v2"

	"github.com/flightd/flightd/stores"
)

func checkCommand() *cli.Command {
	return command("check", "", "validate a configuration, open every store, and look for the columns of every view", configFlags(), check)
}

// checker is a store's configuration that can tell its operator more than clients may know, such as a path.
type checker interface {
	Check(context.Context) error
}

func check(c *cli.Context) error {
	conf, repo, err := loadConfig(c)
	if err != nil {
		return err
	}
	for _, s := range conf.Stores {
		if own, ok := s.Config.(checker); ok {
			if err := own.Check(c.Context); err != nil {
				return fmt.Errorf("store %s: %w", s.Name, err)
			}
		}
	}
	opened, err := open(c, conf, repo, zerolog.Nop())
	if err != nil {
		return err
	}
	defer opened.close() //nolint:errcheck // nothing is written
	catalog, err := opened.catalog(c.Context)
	if err != nil {
		return err
	}
	broken := 0
	for _, v := range catalog.Views() {
		if err := stores.Check(c.Context, v); err != nil {
			broken++
			fmt.Printf("%s: %v\n", v.Name, err)
			continue
		}
		fmt.Printf("%s: ok\n", v.Name)
	}
	if broken > 0 {
		return fmt.Errorf("%d of %d feature views cannot be served", broken, len(catalog.Views()))
	}
	return nil
}
