package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"github.com/urfave/cli/v2"

	"github.com/flightd/flightd/config"
	"github.com/flightd/flightd/ondemand"
	"github.com/flightd/flightd/registry"
	"github.com/flightd/flightd/stores"
	"github.com/flightd/flightd/stores/filestore"
)

// configFlags are the flags that say which catalog is meant.
func configFlags() []cli.Flag {
	const category = "Feast:"
	return []cli.Flag{
		&cli.StringFlag{Name: "config", Usage: "the configuration `FILE`; without it ./flightd.yaml; a Feast repository is served with --feast-repo"},
		&cli.StringFlag{Name: "feast-repo", Category: category, Usage: "serve the Feast repository in `DIR`, and Feast's clients"},
		&cli.StringFlag{Name: "feast-python", Category: category, EnvVars: []string{"FLIGHTD_FEAST_PYTHON"},
			Usage: "the `PYTHON` that runs on-demand feature views; it has your Feast"},
		&cli.StringFlag{Name: "feast-no-entities", Category: category, DefaultText: "timeline",
			Usage: "what a retrieval without entity rows gives: timeline, or snapshot as Feast's dask store does"},
		&cli.StringSliceFlag{Name: "feast-folder", Category: category, EnvVars: []string{"FLIGHTD_FEAST_FOLDERS"},
			Usage: "also describe files in `DIR` and below that clients are about to register; may be given several times"},
	}
}

// served is a catalog with what belongs to it.
type served struct {
	conf     *config.Config
	catalog  func(context.Context) (*stores.Catalog, error)
	feast    *registry.Repository // nil: definitions are in conf
	onDemand *ondemand.Pool       // nil: on-demand views are not run
	close    func() error
}

// source says which of the two kinds of definitions is meant: a configuration file, or the folder of a Feast repository.
func source(c *cli.Context) (file, repo string, err error) {
	file, repo = c.String("config"), c.String("feast-repo")
	switch {
	case file != "" && repo != "":
		return "", "", usagef("--config and --feast-repo say both where the definitions are; give one")
	case file != "" || repo != "":
		return file, repo, nil
	}
	for _, name := range []string{"flightd.yaml", "feature_store.yaml"} {
		if _, err := os.Stat(name); !errors.Is(err, fs.ErrNotExist) {
			if name == "flightd.yaml" {
				return name, "", nil
			}
			return "", ".", nil
		}
	}
	return "", "", configError{errors.New("no configuration: looked for ./flightd.yaml and ./feature_store.yaml; give one with --config FILE " +
		"or --feast-repo DIR, or make a sample with `flightd init DIR`")}
}

// loadConfig finds and reads the configuration; that of a Feast repository has the defaults, and its folder.
func loadConfig(c *cli.Context) (conf *config.Config, repo string, err error) {
	file, repo, err := source(c)
	if err != nil {
		return nil, "", err
	}
	if repo != "" {
		return config.Default(), repo, nil
	}
	if conf, err = config.Load(file); err != nil {
		return nil, "", configError{err}
	}
	return conf, conf.FeastRepo, nil
}

// open opens the stores of a configuration or of a Feast repository. lost is told what is wrong with the registry, which
// clients are not, and nil when it can be read again.
func open(c *cli.Context, conf *config.Config, repo string, lost func(error)) (*served, error) {
	if repo != "" {
		return openFeast(c, conf, repo, lost)
	}
	for _, flag := range []string{"feast-no-entities", "feast-folder"} {
		if c.IsSet(flag) {
			return nil, usagef("--%s says how a Feast repository is served, and there is none: --feast-repo DIR, or feast_repo in the configuration", flag)
		}
	}
	catalog, closeStores, err := conf.Open(c.Context)
	var mistake *config.Error
	if errors.As(err, &mistake) {
		return nil, configError{err}
	}
	if err != nil {
		return nil, err
	}
	return &served{conf: conf, close: closeStores, catalog: func(context.Context) (*stores.Catalog, error) { return catalog, nil }}, nil
}

func openFeast(c *cli.Context, conf *config.Config, repo string, lost func(error)) (*served, error) {
	settings, err := feastSettings(c, conf.Feast)
	if err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(repo)
	if err != nil {
		return nil, err
	}
	feast, err := registry.ReadConfig(dir, os.LookupEnv)
	if err != nil {
		return nil, configError{fmt.Errorf("Feast repository %s: %w", repo, err)}
	}
	repository, err := registry.Open(feast, registry.Options{
		Mode: stores.Mode(settings.NoEntities), Folders: settings.Folders, Warn: lost,
		Files: func(root string) (stores.OfflineStore, error) {
			return (&filestore.Config{Root: root}).Open(context.Background())
		},
	})
	if err != nil {
		return nil, configError{err}
	}
	s := &served{conf: conf, feast: repository, catalog: repository.Catalog, close: repository.Close}
	if settings.Python != "" {
		s.onDemand = ondemand.New(ondemand.Options{Command: []string{settings.Python}, Dir: dir, Timeout: time.Minute})
		s.close = func() error { return errors.Join(s.onDemand.Close(), repository.Close()) }
	}
	return s, nil
}

// feastSettings are those of the configuration, with what the flags say instead.
func feastSettings(c *cli.Context, s config.Feast) (config.Feast, error) {
	if c.IsSet("feast-python") {
		s.Python = c.String("feast-python")
	}
	if c.IsSet("feast-no-entities") {
		s.NoEntities = c.String("feast-no-entities")
	}
	if !slices.Contains([]stores.Mode{stores.Timeline, stores.Snapshot}, stores.Mode(s.NoEntities)) {
		return s, usagef("--feast-no-entities is timeline or snapshot, found %q", s.NoEntities)
	}
	if c.IsSet("feast-folder") {
		s.Folders = c.StringSlice("feast-folder")
	}
	var err error
	if strings.ContainsRune(s.Python, filepath.Separator) { // it is started in the folder of the repository
		if s.Python, err = filepath.Abs(s.Python); err != nil {
			return s, usagef("--feast-python: %w", err)
		}
	}
	folders := make([]string, len(s.Folders))
	for i, folder := range s.Folders {
		if folders[i], err = filepath.Abs(folder); err != nil || folder == "" {
			return s, usagef("--feast-folder: want the path of a folder, found %q", folder)
		}
	}
	s.Folders = folders
	return s, nil
}

func warnRegistry(log zerolog.Logger, err error) {
	if err == nil {
		log.Info().Msg("the Feast registry can be read again")
		return
	}
	log.Warn().Str("error", err.Error()).Msg("the Feast registry cannot be read; what was read of it before, if anything, is served")
}
