package filestore

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/flightd/flightd/internal/fault"
	"github.com/flightd/flightd/stores"
)

func init() { stores.Register("file", func() stores.Config { return new(Config) }) }

// Config is the configuration of the type `file`.
type Config struct {
	// Root is the folder that holds the files, absolute or relative to the configuration file.
	Root string `yaml:"root"`
}

// Rebase makes a relative root one below dir, the folder of the configuration file.
func (c *Config) Rebase(dir string) {
	if c.Root != "" && !strings.Contains(c.Root, "://") && !filepath.IsAbs(c.Root) {
		c.Root = filepath.Join(dir, c.Root)
	}
}

// Validate reports a root that cannot be one. Whether the folder is there shows when a source is read.
func (c *Config) Validate() error {
	scheme, _, remote := strings.Cut(c.Root, "://")
	switch {
	case c.Root == "":
		return fault.New(fault.Invalid, "root is missing: the folder that holds the files, such as ./data")
	case strings.ContainsRune(c.Root, 0):
		return fault.New(fault.Invalid, "root has a zero byte")
	case remote && scheme == "s3":
		return fault.New(fault.Invalid, "root: s3:// is not there yet; a root is a local folder such as ./data")
	case remote:
		return fault.New(fault.Invalid, "root: %s:// is not known; a root is a local folder such as ./data", scheme)
	}
	return nil
}

// Check looks for the root and names its path, which clients do not get to see: it is for the operator, before serving.
func (c *Config) Check(context.Context) error {
	info, err := os.Stat(c.Root)
	if err != nil {
		return fmt.Errorf("root %s: %w", c.Root, reason(err))
	}
	if !info.IsDir() {
		return fmt.Errorf("root %s: it is not a folder", c.Root)
	}
	return nil
}

// Open makes the store. It touches no file: a root that is missing is an error of the requests that need it.
func (c *Config) Open(context.Context) (stores.OfflineStore, error) {
	root, err := filepath.Abs(c.Root)
	if err != nil {
		return nil, err
	}
	return &Store{root: root, footers: newFooters(footerBytes), residents: processResidents}, nil
}
