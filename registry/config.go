package registry

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/goccy/go-yaml"

	"github.com/flightd/flightd/internal/nearest"
)

// Where Feast looks for its configuration besides the folder of the repository.
const (
	yamlInEnvironment = "FEATURE_STORE_YAML_BASE64" // the whole file
	pathInEnvironment = "FEAST_FS_YAML_FILE_PATH"
	yamlName          = "feature_store.yaml"
)

// Config is what a feature_store.yaml says, as far as it matters to an offline server. Everything else in the file is
// accepted and has no effect here.
type Config struct {
	Dir     string // folder of the repository, absolute; relative paths begin there
	File    string // where it was read, for messages
	Project string

	// Offline is the offline store's type: file, dask or duckdb. All of them are Parquet files.
	Offline string

	registry location
}

// location says where the registry is.
type location struct {
	kind string // "file", "sqlite" or "postgres"
	path string // of a file or of an SQLite database, absolute
	dsn  string // of a PostgreSQL database
}

// ConfigError is a mistake in a feature_store.yaml, or something in it that is not served.
type ConfigError struct {
	File    string
	Key     string // "registry.path"; "": the file as a whole
	Message string
}

func (e *ConfigError) Error() string {
	if e.Key == "" {
		return e.File + ": " + e.Message
	}
	return e.File + ": " + e.Key + ": " + e.Message
}

// ReadConfig reads the configuration of the repository in dir as Feast would: from the environment if it is there, else
// from the file that the environment names, else from dir's feature_store.yaml. Its error is one or several *ConfigError,
// or wraps fs.ErrNotExist.
func ReadConfig(dir string, getenv func(string) (string, bool)) (*Config, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	file, text, err := findYAML(dir, getenv)
	if err != nil {
		return nil, err
	}
	return parseConfig(dir, file, expandVars(text, getenv))
}

func findYAML(dir string, getenv func(string) (string, bool)) (file, text string, err error) {
	if encoded, ok := getenv(yamlInEnvironment); ok && encoded != "" {
		decoded, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(encoded), ""))
		if err != nil {
			return "", "", &ConfigError{File: yamlInEnvironment, Message: fmt.Sprintf("not base64: %v", err)}
		}
		return yamlInEnvironment, string(decoded), nil
	}
	file = filepath.Join(dir, yamlName)
	if named, ok := getenv(pathInEnvironment); ok && named != "" {
		file = named
	}
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return "", "", fmt.Errorf("no Feast repository: there is no %s: %w", file, fs.ErrNotExist)
	}
	return file, string(data), err
}

// reference is what os.path.expandvars of Python replaces.
var reference = regexp.MustCompile(`\$(\w+|\{[^}]*\})`)

// expandVars replaces $NAME and ${NAME} by the environment's values and leaves alone what the environment does not have,
// as Feast does. It works on the text, before anything is known about it.
func expandVars(text string, getenv func(string) (string, bool)) string {
	return reference.ReplaceAllStringFunc(text, func(ref string) string {
		name := strings.TrimSuffix(strings.TrimPrefix(ref[1:], "{"), "}")
		if value, ok := getenv(name); ok {
			return value
		}
		return ref
	})
}

func parseConfig(dir, file, text string) (*Config, error) {
	top := section{file: file}
	if err := yaml.UnmarshalWithOptions([]byte(text), &top.values, yaml.AllowDuplicateMapKey()); err != nil {
		return nil, syntaxError(file, err)
	}
	if top.values == nil {
		return nil, &ConfigError{File: file, Message: "it is empty; project and registry are needed"}
	}
	c := &Config{Dir: dir, File: file, Project: top.text("project")}
	switch {
	case c.Project == "" && len(top.errs) == 0:
		top.report("project", "it is needed")
	case !validProject(c.Project) && len(top.errs) == 0:
		top.report("project", "%s is not a name: letters, digits, _ and - only, and neither _ nor - at the beginning", nearest.Quote(c.Project))
	}
	c.registry = readLocation(&top, dir)
	c.Offline = readOffline(&top)
	readAuth(&top)
	return c, errors.Join(top.errs...)
}

// syntaxError makes one line of what the YAML library says on many.
func syntaxError(file string, err error) error {
	var at yaml.Error
	if errors.As(err, &at) && at.GetToken() != nil {
		position := at.GetToken().Position
		return &ConfigError{File: fmt.Sprintf("%s:%d:%d", file, position.Line, position.Column), Message: at.GetMessage()}
	}
	message, _, _ := strings.Cut(err.Error(), "\n")
	return &ConfigError{File: file, Message: message}
}

func validProject(name string) bool {
	odd := func(r rune) bool {
		return r != '_' && r != '-' && !unicode.IsLetter(r) && !unicode.IsNumber(r) && !unicode.IsMark(r)
	}
	return !strings.HasPrefix(name, "_") && !strings.HasPrefix(name, "-") && !strings.ContainsFunc(name, odd)
}

// offlineStores are the types that are files, and the keys that they may have.
var offlineStores = map[string][]string{
	"file":   {"type"},
	"dask":   {"type"},
	"duckdb": {"type", "staging_location", "staging_location_endpoint_override"},
}

func readOffline(top *section) string {
	const key = "offline_store"
	kind, inner := "dask", section{}
	switch v := top.values[key].(type) {
	case nil:
	case string:
		kind = v
	default:
		inner = top.inner(key)
		if t := inner.text("type"); t != "" {
			kind = t
		}
	}
	known, served := offlineStores[kind]
	if !served {
		top.report(key, "stores of type %s are not served; those of type file, dask and duckdb are", nearest.Quote(kind))
		return kind
	}
	for _, name := range slices.Sorted(maps.Keys(inner.values)) {
		if !slices.Contains(known, name) && inner.values[name] != nil {
			top.report(key+"."+name, "the %s store has no such key", kind)
		}
	}
	top.errs = append(top.errs, inner.errs...)
	return kind
}

// readAuth refuses every way to know callers: none is there yet, and serving without what was asked for would be worse than
// not to serve.
func readAuth(top *section) {
	const key = "auth"
	kind := "no_auth"
	switch v := top.values[key].(type) {
	case nil:
	case string:
		kind = v
	default:
		inner := top.inner(key)
		kind = inner.text("type")
		top.errs = append(top.errs, inner.errs...)
	}
	if kind != "no_auth" {
		top.report(key, "authentication of type %s is not there yet, and the repository is not served without it; only no_auth is", nearest.Quote(kind))
	}
}

// section is a mapping of the file. A machine writes nulls for what is not set, so null is as good as nothing.
type section struct {
	file   string
	path   string
	values map[string]any
	errs   []error
}

func (s *section) report(key, format string, args ...any) {
	if s.path != "" {
		key = s.path + "." + key
	}
	s.errs = append(s.errs, &ConfigError{File: s.file, Key: key, Message: fmt.Sprintf(format, args...)})
}

// text is a string; "" if there is none.
func (s *section) text(key string) string {
	switch v := s.values[key].(type) {
	case nil:
		return ""
	case string:
		return v
	default:
		s.report(key, "want a string, found %v", v)
		return ""
	}
}

// inner is a mapping below a key.
func (s *section) inner(key string) section {
	in := section{file: s.file, path: key}
	switch v := s.values[key].(type) {
	case nil:
	case map[string]any:
		in.values = v
	default:
		s.report(key, "want a mapping, found %v", v)
	}
	return in
}
