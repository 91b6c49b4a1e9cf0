package app

import (
	"errors"

	"github.com/urfave/cli/v2"
)

// Commands that have a name already and do nothing yet.

func compactCommand() *cli.Command {
	return command("compact", "VIEW", "merge the small parts of a feature view; not there yet", configFlags(), func(*cli.Context) error {
		return errors.New("compact is not there yet: parts stay as they were written")
	})
}
