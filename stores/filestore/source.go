package filestore

import (
	"path"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/flightd/flightd/internal/fault"
	"github.com/flightd/flightd/internal/nearest"
	"github.com/flightd/flightd/stores"
)

// source is a path below the root, or a glob of such paths. Which one shows when it is listed: a file may be called
// "a[1].parquet".
type source struct {
	path string // clean, with slashes
	glob bool   // could be a glob
}

func (s source) String() string { return s.path }

// Source implements stores.OfflineStore. What can only mean something outside of the root is refused here.
func (s *Store) Source(text string) (stores.DataSource, error) {
	switch {
	case text == "":
		return nil, fault.New(fault.Invalid, `a source of a file store is a file, a folder or a glob below its root ("." is all of it)`)
	case strings.ContainsRune(text, 0):
		return nil, fault.New(fault.Invalid, "the source %s has a zero byte", nearest.Quote(text))
	case strings.Contains(text, "://"), path.IsAbs(text), slices.Contains(strings.Split(text, "/"), ".."):
		return nil, fault.New(fault.Forbidden, "the source %s leads out of the store's root; write it relative to the root", nearest.Quote(text))
	}
	glob := strings.ContainsAny(text, `*?[{`)
	clean := path.Clean(text)
	if glob && !doublestar.ValidatePattern(clean) {
		return nil, fault.New(fault.Invalid, "the source %s is not a valid glob", nearest.Quote(text))
	}
	return source{path: clean, glob: glob}, nil
}

// base is the folder in which a glob begins: what stands before its first folder with a wildcard.
func (s source) base() string {
	base, _ := doublestar.SplitPattern(s.path)
	return path.Clean(base)
}

// descends says whether files below a folder may match a glob. Folders that cannot hold one are not looked into, nor are
// links followed there.
func (s source) descends(dir string) bool {
	want, have := strings.Split(s.path, "/"), strings.Split(dir, "/")
	for i, name := range have {
		switch {
		case want[i] == "**", !doublestar.ValidatePattern(want[i]): // braces around a slash: anything may be in them
			return true
		case i == len(want)-1, !doublestar.MatchUnvalidated(want[i], name):
			return false
		}
	}
	return true
}

func (s source) matches(name string) bool { return doublestar.MatchUnvalidated(s.path, name) }
