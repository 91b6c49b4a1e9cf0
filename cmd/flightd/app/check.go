package app

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/flightd/flightd/stores"
)

func checkCommand() *cli.Command {
	return &cli.Command{
		Name: "check", Usage: "validate a configuration, open every store, and look for the columns of every view",
		Flags: configFlags(), Action: check,
	}
}

func check(c *cli.Context) error {
	conf, err := loadConfig(c)
	if err != nil {
		return err
	}
	catalog, closeStores, err := conf.Open(c.Context)
	if err != nil {
		return err
	}
	defer closeStores() //nolint:errcheck // stores are read-only: nothing can be lost
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
