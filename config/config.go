// Package config reads flightd.yaml into typed, valid values.
//
// The rules: everything wrong with a file is reported at once, each mistake with its file, line and column; unknown keys
// are mistakes, with the nearest known key; ${NAME} in a value is the environment's NAME, which has to exist; a path is
// relative to the folder of the file. Reading a file touches nothing else, opening its stores is a second step.
//
// What a store needs to know is its own: the type that stands under `type` registers with package stores a struct, and
// the rest of the mapping is decoded into that.
package config

import (
	"time"

	"github.com/flightd/flightd/stores"
)

// Config is a valid configuration. Make one with Load or Parse.
type Config struct {
	Listen          string          `yaml:"listen"`     // host:port; the host may be empty (all addresses), port 0 is any free one
	FeastRepo       string          `yaml:"feast_repo"` // folder of a Feast repository that has the definitions; "": they are in the next three
	Feast           Feast           `yaml:"feast"`
	Stores          Stores          `yaml:"stores"`
	FeatureViews    FeatureViews    `yaml:"feature_views"`
	FeatureServices FeatureServices `yaml:"feature_services"`
	TLS             *TLS            `yaml:"tls"` // nil: plain text
	Auth            Auth            `yaml:"auth"`
	Limits          Limits          `yaml:"limits"`
	Metrics         string          `yaml:"metrics"` // host:port of /metrics, /healthz and /readyz; "": they are not served
	Log             Log             `yaml:"log"`
	ShutdownTimeout time.Duration   `yaml:"shutdown_timeout"`

	decoded *decoder // says at which line a value stands, for Open
}

// Feast says how a Feast repository is served.
type Feast struct {
	Python     string   `yaml:"python"`      // runs on-demand feature views: a path, or a name on the PATH; "": they are not served
	NoEntities string   `yaml:"no_entities"` // what a retrieval without entity rows gives: timeline or snapshot
	Folders    []string `yaml:"folders"`     // clients may describe files below them that are not registered yet
}

// Stores, FeatureViews and FeatureServices are mappings from names, in the order of the file.
type (
	Stores          []Store
	FeatureViews    []FeatureView
	FeatureServices []FeatureService
)

// Store is a named store, not yet opened.
type Store struct {
	Name   string
	Type   string
	Config stores.Config
}

// FeatureView says which rows of a store are a view and what their columns mean. Column names are those after
// FieldMapping.
type FeatureView struct {
	Name         string            `yaml:"-"`
	Store        string            `yaml:"store"`
	Source       string            `yaml:"source"` // what it means is the store's: a file, a folder, a table
	Keys         []string          `yaml:"keys"`   // join keys; none: an entity-less view
	Timestamp    string            `yaml:"timestamp"`
	Created      string            `yaml:"created"`       // "": none
	TTL          time.Duration     `yaml:"ttl"`           // 0: never too old
	Features     []string          `yaml:"features"`      // nil: every other column
	FieldMapping map[string]string `yaml:"field_mapping"` // column of the source -> name
}

// FeatureService is a named list of features, each written view:feature, or view for all of its features.
type FeatureService struct {
	Name     string   `yaml:"-"`
	Features []string `yaml:"features"`
	Log      *LogTo   `yaml:"log"` // nil: logged features have nowhere to go
}

// LogTo is where the logged features of a service go.
type LogTo struct {
	Store       string `yaml:"store"`
	Destination string `yaml:"destination"`
}

// TLS are PEM files.
type TLS struct {
	Cert     string `yaml:"cert"`
	Key      string `yaml:"key"`
	ClientCA string `yaml:"client_ca"` // "": clients need no certificate
}

// Auth says how callers are known. There is one way yet: they are not ("none").
type Auth struct {
	Type string `yaml:"type"`
}

// Limits bound what the server takes on.
type Limits struct {
	Memory     Size          `yaml:"memory"`      // joins, uploads and staged rows of all calls together
	Index      Size          `yaml:"index"`       // indexes of files that are kept, beside Memory; 0: none
	SpillDir   string        `yaml:"spill_dir"`   // where entity rows go that memory should not hold; empty: nowhere
	Spill      Size          `yaml:"spill"`       // what they take there, of all calls together
	EntityRows int64         `yaml:"entity_rows"` // of one request
	Message    Size          `yaml:"message"`     // one received message
	Staged     Size          `yaml:"staged"`      // staged entity rows; no more than Memory
	StagedFor  time.Duration `yaml:"staged_for"`
	Concurrent int           `yaml:"concurrent"` // retrievals at once, and as many uploads
	QueueFor   time.Duration `yaml:"queue_for"`  // how long an open upload waits for its turn
	Query      time.Duration `yaml:"query"`      // the longest call
	Stalled    time.Duration `yaml:"stalled"`    // how long a client may leave its answer unread
}

// Log says what is logged and how it looks.
type Log struct {
	Level  string `yaml:"level"`  // debug, info, warn or error
	Format string `yaml:"format"` // json, console, or auto: console on a terminal
}

// Default is the configuration of a server whose definitions are elsewhere, in a Feast repository.
func Default() *Config { return defaults() }

// defaults is the configuration that a file changes.
func defaults() *Config {
	return &Config{
		Listen: "127.0.0.1:8815",
		Feast:  Feast{NoEntities: "timeline"},
		Auth:   Auth{Type: "none"},
		Limits: Limits{
			Memory: 4 << 30, Spill: 64 << 30, EntityRows: 50_000_000, Message: 512 << 20, Staged: 1 << 30, StagedFor: 15 * time.Minute,
			Concurrent: 16, QueueFor: 30 * time.Second, Query: time.Hour, Stalled: time.Hour,
		},
		Log:             Log{Level: "info", Format: "auto"},
		ShutdownTimeout: 30 * time.Second,
	}
}
