// Package csvstore is the flightd store type `csv`: a folder of CSV files whose header says what is in them. It is the
// example of docs/adding-a-store.md.
//
//	driver_id:int64,event_timestamp:timestamp,trips:int64,note:string
//	1001,2024-01-01T09:00:00Z,12,"rain, all day"
//	1002,2024-01-01T09:00:00Z,\N,
//
// A field \N is null; a text that begins with a backslash has one more in front of it.
package csvstore

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/flightd/flightd/stores"
)

func init() {
	stores.Register("csv", func() stores.Config { return &Config{Separator: ","} })
}

// Config is what may stand under a store of the type `csv` in flightd.yaml.
type Config struct {
	Folder    string `yaml:"folder"`    // relative to the configuration file
	Separator string `yaml:"separator"` // one ASCII character, "," if absent
}

// Rebase makes a relative folder one below dir, where the configuration file is.
func (c *Config) Rebase(dir string) {
	if c.Folder != "" && !filepath.IsAbs(c.Folder) {
		c.Folder = filepath.Join(dir, c.Folder)
	}
}

// Validate reports every value that cannot be, all at once, and looks at nothing outside.
func (c *Config) Validate() error {
	var problems []error
	if c.Folder == "" {
		problems = append(problems, errors.New("folder is missing: where the CSV files are, such as ./tables"))
	}
	if len(c.Separator) != 1 || strings.ContainsAny(c.Separator, "\"\r\n\x00") {
		problems = append(problems, errors.New("separator must be one ASCII character other than a quote or a line end"))
	}
	return errors.Join(problems...)
}

// Open makes the store. The root keeps every source inside the folder, whatever its name or a link says.
func (c *Config) Open(context.Context) (stores.OfflineStore, error) {
	root, err := os.OpenRoot(c.Folder)
	if err != nil {
		return nil, err
	}
	return &Store{root: root, separator: rune(c.Separator[0])}, nil
}
