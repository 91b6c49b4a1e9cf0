package registry

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/flightd/flightd/internal/fault"
	"github.com/flightd/flightd/internal/nearest"
	"github.com/flightd/flightd/stores"
)

// opener makes stores of what a registry says about data, and closes them in the end. Sources in one folder share one
// store, so that they share what it remembers, from one reading of the registry to the next.
type opener struct {
	dir     string
	allowed []string // folders below which clients may describe files that are not registered
	files   func(root string) (stores.OfflineStore, error)

	mu     sync.Mutex
	roots  map[string]stores.OfflineStore
	custom map[customKey]customSource
	closed bool
}

type customKey struct{ class, configuration string }

type customSource struct {
	store  stores.OfflineStore
	source stores.DataSource
	err    error
}

func newOpener(dir string, allowed []string, files func(root string) (stores.OfflineStore, error)) *opener {
	return &opener{dir: dir, allowed: allowed, files: files, roots: make(map[string]stores.OfflineStore), custom: make(map[customKey]customSource)}
}

// place is where a file source lies: a path below a root.
type place struct {
	root string // absolute
	path string // what the store understands, with slashes
}

// locate finds the place of a path or URI of the registry. It is the operator's own and may be anywhere; the folder that
// holds the file or folder is the root below which the store stays. unsettled says that the place may soon be another one
// without a word in the registry: the path is a link, or nothing yet.
func (o *opener) locate(uri string) (p place, unsettled bool, err error) {
	path, err := localPath(uri, o.dir)
	if err != nil {
		return place{}, false, fault.New(fault.Unimplemented, "data sources %w", err)
	}
	if folder, below, glob := cutGlob(path); glob {
		return place{root: filepath.Clean(folder), path: filepath.ToSlash(below)}, false, nil
	}
	path, unsettled = follow(path)
	root, rest := filepath.Split(path)
	if rest == "" {
		rest = "."
	}
	return place{root: filepath.Clean(root), path: filepath.ToSlash(rest)}, unsettled, nil
}

// follow follows a path that is a link to another folder. A store would refuse it, because it leads out of the root; but
// who registered the link meant what it leads to.
func follow(path string) (target string, unsettled bool) {
	info, err := os.Lstat(path)
	if err != nil || info.Mode()&os.ModeSymlink == 0 {
		return path, err != nil
	}
	target, err = filepath.EvalSymlinks(path)
	if err != nil {
		return path, true
	}
	folder, err := filepath.EvalSymlinks(filepath.Dir(path))
	if err != nil || strings.HasPrefix(target, strings.TrimSuffix(folder, "/")+"/") {
		return path, true // the store can follow it by itself
	}
	return target, true
}

// cutGlob parts a path before the first name that has a wildcard in it.
func cutGlob(path string) (folder, below string, glob bool) {
	names := strings.Split(path, "/")
	for i, name := range names {
		if i > 0 && strings.ContainsAny(name, `*?[{`) {
			return strings.Join(names[:i], "/") + "/", strings.Join(names[i:], "/"), true
		}
	}
	return "", "", false
}

// root is the store of a folder.
func (o *opener) root(dir string) (stores.OfflineStore, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return nil, fault.New(fault.Busy, "the server is shutting down; try again")
	}
	if s := o.roots[dir]; s != nil {
		return s, nil
	}
	s, err := o.files(dir)
	if err != nil {
		return nil, err
	}
	o.roots[dir] = s
	return s, nil
}

// open makes the source at a place.
func (o *opener) open(p place) (stores.OfflineStore, stores.DataSource, error) {
	s, err := o.root(p.root)
	if err != nil {
		return nil, nil, err
	}
	source, err := s.Source(p.path)
	return s, source, err
}

// class makes a source of a class that a store is registered for.
func (o *opener) class(class string, configuration []byte) (stores.OfflineStore, stores.DataSource, error) {
	open, ok := stores.SourceClassOf(class)
	if !ok {
		return nil, nil, fault.New(fault.Unimplemented, "data sources of the class %s are not served yet", nearest.Quote(class))
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return nil, nil, fault.New(fault.Busy, "the server is shutting down; try again")
	}
	key := customKey{class, string(configuration)}
	c, known := o.custom[key]
	if !known {
		c.store, c.source, c.err = open(configuration)
		o.custom[key] = c
	}
	return c.store, c.source, c.err
}

func (o *opener) close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	var errs []error
	for _, s := range o.roots {
		errs = append(errs, s.Close())
	}
	done := make(map[stores.OfflineStore]bool) // several sources may share a store
	for _, c := range o.custom {
		if c.store != nil && !done[c.store] {
			done[c.store] = true
			errs = append(errs, c.store.Close())
		}
	}
	clear(o.roots)
	clear(o.custom)
	return errors.Join(errs...)
}
