package registry

import (
	"fmt"
	"maps"
	"net"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/flightd/flightd/internal/nearest"
)

// readLocation finds out which registry the section `registry` means: a path, or a mapping with a path and more.
func readLocation(top *section, dir string) location {
	const key = "registry"
	switch v := top.values[key].(type) {
	case nil:
		top.report(key, "it is needed: the path of the registry file, or a mapping")
		return location{}
	case string:
		return fileLocation(top, key, v, dir)
	}
	inner := top.inner(key)
	kind, store := inner.text("registry_type"), inner.text("registry_store_type")
	where, read := inner.text("path"), inner.text("read_path")
	defer func() { top.errs = append(top.errs, inner.errs...) }()
	if len(inner.errs) > 0 {
		return location{}
	}
	switch {
	case kind == "sql":
		if read != "" {
			return sqlLocation(&inner, "read_path", read, dir)
		}
		return sqlLocation(&inner, "path", where, dir)
	case kind != "" && kind != "file":
		inner.report("registry_type", "registries of type %s are not served; those of type file and sql are", nearest.Quote(kind))
	case store != "" && store != "FileRegistryStore":
		inner.report("registry_store_type", "registries in a %s are not served; files are", nearest.Quote(store))
	default:
		return fileLocation(&inner, "path", where, dir)
	}
	return location{}
}

func fileLocation(s *section, key, where, dir string) location {
	file, err := localPath(where, dir)
	switch {
	case where == "":
		s.report(key, "it is needed: the path of the registry file")
	case err != nil:
		s.report(key, "registries %v", err)
	}
	return location{kind: "file", path: file}
}

var scheme = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9+.-]*)://`)

// localPath is the absolute path of what a path or URI of a repository means. The error of one that is elsewhere continues
// a sentence.
func localPath(text, dir string) (string, error) {
	if strings.ContainsRune(text, 0) {
		return "", fmt.Errorf("with a zero byte in their path are not there")
	}
	if m := scheme.FindStringSubmatch(text); m != nil {
		if m[1] != "file" {
			return "", fmt.Errorf("in %s:// are not served yet; files are", m[1])
		}
		u, err := url.Parse(text)
		if err != nil || u.Host != "" && u.Host != "localhost" {
			return "", fmt.Errorf("at %s are not served; a local file is file:///path", nearest.Quote(text))
		}
		text = u.Path
	}
	if !filepath.IsAbs(text) {
		text = filepath.Join(dir, text)
	}
	return filepath.Clean(text), nil
}

// sqlURL is how SQLAlchemy takes a database URL apart. It is more patient than net/url: a password may hold anything but
// an @.
var sqlURL = regexp.MustCompile(`^([\w+]+)://(?:([^:/]*)(?::([^@]*))?@)?(?:\[([^/?]+)\]|([^/:?]*))(?::([^/?]*))?(?:/([^?]*))?(?:\?(.*))?$`)

func sqlLocation(s *section, key, text, dir string) location {
	if text == "" {
		s.report(key, "it is needed: the URL of the database, such as postgresql://user:password@host/database or sqlite:///registry.db")
		return location{}
	}
	m := sqlURL.FindStringSubmatch(text)
	if m == nil { // it may hold a password: no word of it
		s.report(key, "it is not the URL of a database, such as postgresql://user:password@host/database or sqlite:///registry.db")
		return location{}
	}
	dialect, _, _ := strings.Cut(m[1], "+")
	switch dialect {
	case "sqlite":
		return sqliteLocation(s, key, m, dir)
	case "postgresql", "postgres":
		return postgresLocation(s, key, m)
	}
	s.report(key, "databases of type %s are not served; sqlite and postgresql are", nearest.Quote(dialect))
	return location{}
}

func sqliteLocation(s *section, key string, m []string, dir string) location {
	file := m[7]
	switch {
	case m[4]+m[5]+m[6] != "":
		s.report(key, "an SQLite URL has no host; three slashes begin a relative path, four an absolute one: sqlite:////srv/registry.db")
	case file == "" || file == ":memory:" || strings.HasPrefix(file, "file:"):
		s.report(key, "a path is needed, such as sqlite:///registry.db; a database in memory is only there for its own process")
	default:
		file, _ = localPath(file, dir)
	}
	return location{kind: "sqlite", path: file}
}

// postgresLocation writes the URL anew for our client, with what connect_args adds to it.
func postgresLocation(s *section, key string, m []string) location {
	unescape := func(text string) string {
		if plain, err := url.PathUnescape(text); err == nil {
			return plain
		}
		return text
	}
	u := url.URL{Scheme: "postgres", Path: "/" + m[7], Host: m[4] + m[5]}
	if m[4] != "" {
		u.Host = "[" + m[4] + "]"
	}
	if m[6] != "" {
		u.Host = net.JoinHostPort(m[4]+m[5], m[6])
	}
	if m[2] != "" {
		u.User = url.User(unescape(m[2]))
		if m[3] != "" {
			u.User = url.UserPassword(unescape(m[2]), unescape(m[3]))
		}
	}
	query, err := url.ParseQuery(m[8])
	if err != nil {
		s.report(key, "what stands behind the ? is not a list of name=value")
	}
	addConnectArgs(s, query)
	for _, name := range pythonOnly {
		query.Del(name)
	}
	u.RawQuery = query.Encode()
	return location{kind: "postgres", dsn: u.String()}
}

// pythonOnly are settings of connections that other clients have and ours has not; the server would not know them.
var pythonOnly = []string{
	"prepare_threshold", "keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout", "gssencmode",
	"channel_binding",
}

// addConnectArgs takes over what sqlalchemy_config_kwargs says about the connection. The rest of it is about Python; but
// options that lead to other tables must not be passed over.
func addConnectArgs(s *section, query url.Values) {
	const key = "sqlalchemy_config_kwargs"
	kwargs := s.inner(key)
	if kwargs.values["execution_options"] != nil {
		s.report(key+".execution_options", "it is not understood; set the schema with ?options=-csearch_path=... in the URL")
	}
	args, ok := kwargs.values["connect_args"].(map[string]any)
	if kwargs.values["connect_args"] != nil && !ok {
		s.report(key+".connect_args", "want a mapping, found %v", kwargs.values["connect_args"])
	}
	for _, name := range slices.Sorted(maps.Keys(args)) {
		switch v := args[name].(type) {
		case nil:
		case string, int, int64, uint64, float64:
			if !query.Has(name) {
				query.Set(name, fmt.Sprint(v))
			}
		case bool: // switches of the Python client
		default:
			s.report(key+".connect_args."+name, "want a plain value, found %v", v)
		}
	}
}
