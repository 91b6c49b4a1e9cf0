package registry

import (
	"encoding/base64"
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

const goldenYAML = "project: golden\nregistry: registry.db\n"

func TestConfigGood(t *testing.T) {
	file := func(path string) location { return location{kind: "file", path: path} }
	postgres := func(dsn string) location { return location{kind: "postgres", dsn: dsn} }
	for _, c := range []struct {
		yaml    string
		offline string
		want    location
	}{
		{goldenYAML, "dask", file("/repo/registry.db")},
		{"project: p\nregistry: data/../registry.db\noffline_store: file", "file", file("/repo/registry.db")},
		{"project: p\nregistry: /srv/r.db\noffline_store: {type: duckdb, staging_location: null}", "duckdb", file("/srv/r.db")},
		{"project: p-q\nregistry: file:///srv/my%20registry.db\noffline_store: {}", "dask", file("/srv/my registry.db")},
		{"project: p\nregistry: {path: r.db, cache_ttl_seconds: 60, s3_additional_kwargs: {a: b}, unknown: [1]}", "dask", file("/repo/r.db")},
		{"project: p\nregistry: {registry_type: file, registry_store_type: FileRegistryStore, path: r.db}\nauth: {type: no_auth}", "dask", file("/repo/r.db")},
		{"project: p\nproject: q\nregistry: {registry_type: sql, path: 'sqlite:///data/r.db'}", "dask", location{kind: "sqlite", path: "/repo/data/r.db"}},
		{"project: p\nregistry: {registry_type: sql, path: 'sqlite+pysqlite:////srv/r.db', schema_mode: skip}", "dask", location{kind: "sqlite", path: "/srv/r.db"}},
		{"project: p\nregistry: {registry_type: sql, path: 'postgresql://feast:s%40c/r#t@db.example:5433/reg?sslmode=disable'}", "dask",
			postgres("postgres://feast:s%40c%2Fr%23t@db.example:5433/reg?sslmode=disable")},
		{"project: p\nregistry: {registry_type: sql, path: 'sqlite:///x.db', read_path: 'postgresql+psycopg://feast@[::1]/reg'}", "dask",
			postgres("postgres://feast@[::1]/reg")},
		{"project: p\nregistry: {registry_type: sql, path: 'postgresql+psycopg2:///reg?host=/var/run/postgresql'}", "dask",
			postgres("postgres:///reg?host=%2Fvar%2Frun%2Fpostgresql")},
		{"project: p\nregistry:\n  registry_type: sql\n  path: postgresql://u@h/d?sslmode=require\n  sqlalchemy_config_kwargs:\n    echo: false\n    pool_size: 3\n" +
			"    connect_args: {sslmode: disable, application_name: feast, connect_timeout: 3, keepalives: 1, autocommit: true, prepare_threshold: 5}", "dask",
			postgres("postgres://u@h/d?application_name=feast&connect_timeout=3&sslmode=require")},
		{machineDump, "dask", file("/repo/data/registry.db")},
	} {
		got, err := parseConfig("/repo", "feature_store.yaml", c.yaml)
		if err != nil {
			t.Errorf("%s\n%v", c.yaml, err)
			continue
		}
		if got.registry != c.want || got.Offline != c.offline || got.Dir != "/repo" {
			t.Errorf("%s\n got %+v\nwant %+v", c.yaml, got, c.want)
		}
	}
}

// machineDump is what a program writes that knows every key and has a value for few.
const machineDump = `
project: rides
project_description: null
provider: local
registry:
  registry_type: file
  registry_store_type: null
  path: data/registry.db
  cache_ttl_seconds: 600
  cache_mode: sync
  s3_additional_kwargs: null
  purge_feast_metadata: false
  enable_online_feature_view_versioning: false
  serve_features_while_materializing: false
  mcp: null
online_store: sqlite
auth: null
offline_store:
  type: dask
batch_engine: local
feature_server: null
embedding_model: null
flags: null
repo_path: null
entity_key_serialization_version: 3
coerce_tz_aware: true
materialization: {pull_latest_features: false, online_write_batch_size: null}
openlineage: null
mlflow: null
data_quality_monitoring: null
something_newer: {a: [1, 2]}
`

func TestConfigBad(t *testing.T) {
	for yaml, want := range map[string]string{
		"":                                       "it is empty",
		"just text":                              "f.yaml:1:1: ",
		"project: p\n  registry: x: y":           "f.yaml:",
		"registry: r.db":                         "f.yaml: project: it is needed",
		"project: 3\nregistry: r.db":             "f.yaml: project: want a string, found 3",
		"project: _p\nregistry: r.db":            `f.yaml: project: "_p" is not a name`,
		"project: a b\nregistry: r.db":           `f.yaml: project: "a b" is not a name`,
		"project: p":                             "f.yaml: registry: it is needed",
		"project: p\nregistry: null":             "f.yaml: registry: it is needed",
		"project: p\nregistry: [a]":              "f.yaml: registry: want a mapping, found [a]",
		"project: p\nregistry: {path: 3}":        "f.yaml: registry.path: want a string, found 3",
		"project: p\nregistry: {}":               "f.yaml: registry.path: it is needed",
		"project: p\nregistry: s3://b/r":         "f.yaml: registry: registries in s3:// are not served yet; files are",
		"project: p\nregistry: gs://b/r":         "f.yaml: registry: registries in gs:// are not served yet; files are",
		"project: p\nregistry: file://host/r.db": `f.yaml: registry: registries at "file://host/r.db" are not served`,
		"project: p\nregistry: {path: s3://b/r}": "f.yaml: registry.path: registries in s3:// are not served yet",
		"project: p\nregistry: {registry_type: remote, path: 'localhost:6570'}":                                                                             `f.yaml: registry.registry_type: registries of type "remote" are not served; those of type file and sql are`,
		"project: p\nregistry: {registry_type: snowflake.registry}":                                                                                         `registries of type "snowflake.registry" are not served`,
		"project: p\nregistry: {registry_store_type: my.Store, path: x}":                                                                                    `f.yaml: registry.registry_store_type: registries in a "my.Store" are not served; files are`,
		"project: p\nregistry: {registry_type: sql}":                                                                                                        "f.yaml: registry.path: it is needed: the URL of the database",
		"project: p\nregistry: {registry_type: sql, path: 'user:secret@host'}":                                                                              "f.yaml: registry.path: it is not the URL of a database",
		"project: p\nregistry: {registry_type: sql, path: 'mysql+pymysql://u:secret@h/d'}":                                                                  `f.yaml: registry.path: databases of type "mysql" are not served; sqlite and postgresql are`,
		"project: p\nregistry: {registry_type: sql, path: 'sqlite://'}":                                                                                     "f.yaml: registry.path: a path is needed",
		"project: p\nregistry: {registry_type: sql, path: 'sqlite:///:memory:'}":                                                                            "f.yaml: registry.path: a path is needed",
		"project: p\nregistry: {registry_type: sql, path: 'sqlite://data/r.db'}":                                                                            "f.yaml: registry.path: an SQLite URL has no host",
		"project: p\nregistry: {registry_type: sql, path: 'postgresql://u@h/d', sqlalchemy_config_kwargs: {execution_options: {schema_translate_map: {}}}}": "f.yaml: registry.sqlalchemy_config_kwargs.execution_options: it is not understood",
		goldenYAML + "offline_store: bigquery":                                                                                                              `f.yaml: offline_store: stores of type "bigquery" are not served; those of type file, dask and duckdb are`,
		goldenYAML + "offline_store: {type: snowflake.offline, user: u}":                                                                                    `stores of type "snowflake.offline" are not served`,
		goldenYAML + "offline_store: {type: my.module.MyOfflineStore}":                                                                                      `stores of type "my.module.MyOfflineStore" are not served`,
		goldenYAML + "offline_store: {type: dask, storage: x}":                                                                                              "f.yaml: offline_store.storage: the dask store has no such key",
		goldenYAML + "offline_store: [dask]":                                                                                                                "f.yaml: offline_store: want a mapping, found [dask]",
		goldenYAML + "auth: {type: oidc, client_id: c}":                                                                                                     `f.yaml: auth: authentication of type "oidc" is not there yet, and the repository is not served without it; only no_auth is`,
		goldenYAML + "auth: {type: kubernetes}":                                                                                                             `authentication of type "kubernetes" is not there yet`,
		goldenYAML + "auth: {client_id: c}":                                                                                                                 `authentication of type "" is not there yet`,
		goldenYAML + "auth: 7":                                                                                                                              "f.yaml: auth: want a mapping, found 7",
		"project: p\nregistry: s3://b/r\noffline_store: redshift\nauth: x":                                                                                  "f.yaml: registry: registries in s3:// are not served yet; files are\nf.yaml: offline_store: stores of type \"redshift\"",
	} {
		_, err := parseConfig("/repo", "f.yaml", yaml)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\n got %v\nwant %s", yaml, err, want)
			continue
		}
		var e *ConfigError
		if !errors.As(err, &e) {
			t.Errorf("%s: an error of type %T", yaml, err)
		}
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the password is in the message: %v", yaml, err)
		}
	}
}

// TestExpandVars has the rules of os.path.expandvars.
func TestExpandVars(t *testing.T) {
	env := map[string]string{"NAME": "value", "_A1": "under $NAME", "EMPTY": "", "with space": "odd", "ÜBER": "no"}
	getenv := func(name string) (string, bool) { v, ok := env[name]; return v, ok }
	for text, want := range map[string]string{
		"$NAME ${NAME}":           "value value",
		"$NAMES $NAME-x ${NAME}s": "$NAMES value-x values",
		"$_A1":                    "under $NAME", // and not expanded once more
		"a$EMPTY${EMPTY}b":        "ab",
		"$UNKNOWN ${UNKNOWN}":     "$UNKNOWN ${UNKNOWN}",
		"$$NAME \\$NAME":          "$value \\value",
		"${NAME ${}":              "${NAME ${}",
		"${with space}":           "odd",
		"${NAME:-default}":        "${NAME:-default}",
		"$1 $ $-":                 "$1 $ $-",
		"$ÜBER":                   "$ÜBER",
		"${ÜBER}":                 "no",
		"pa$word":                 "pa$word",
		"${NAME\n}":               "${NAME\n}",
	} {
		if got := expandVars(text, getenv); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// TestReadConfig: the environment's own text first, then the file it names, then the folder's.
func TestReadConfig(t *testing.T) {
	dir := t.TempDir()
	env := map[string]string{"ROOT": "/srv"}
	getenv := func(name string) (string, bool) { v, ok := env[name]; return v, ok }
	if _, err := ReadConfig(dir, getenv); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "feature_store.yaml") {
		t.Fatalf("without a file: %v", err)
	}
	expect := func(project, file, path string) {
		t.Helper()
		c, err := ReadConfig(dir, getenv)
		if err != nil {
			t.Fatal(err)
		}
		if c.Project != project || c.File != file || c.registry.path != path || c.Dir != dir {
			t.Errorf("got %+v", c)
		}
	}
	writeFile(t, filepath.Join(dir, yamlName), []byte("project: here\nregistry: ${ROOT}/r.db\n"))
	expect("here", filepath.Join(dir, yamlName), "/srv/r.db")

	elsewhere := filepath.Join(t.TempDir(), "other.yaml")
	writeFile(t, elsewhere, []byte("project: named\nregistry: r.db\n"))
	env[pathInEnvironment] = elsewhere
	expect("named", elsewhere, filepath.Join(dir, "r.db"))

	encoded := base64.StdEncoding.EncodeToString([]byte("project: encoded\nregistry: $ROOT/r.db\n"))
	env[yamlInEnvironment] = encoded[:10] + "\n" + encoded[10:]
	expect("encoded", yamlInEnvironment, "/srv/r.db")

	env[yamlInEnvironment] = "???"
	var e *ConfigError
	if _, err := ReadConfig(dir, getenv); !errors.As(err, &e) || !strings.HasPrefix(err.Error(), "FEATURE_STORE_YAML_BASE64: not base64") {
		t.Errorf("got %v", err)
	}
	env[yamlInEnvironment], env[pathInEnvironment] = "", ""
	expect("here", filepath.Join(dir, yamlName), "/srv/r.db")
}
