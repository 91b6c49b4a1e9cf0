package registry

import (
	"context"
	"errors"
	"fmt"
)

// backend is a place where a registry is kept. Its methods may be called by several goroutines at once.
type backend interface {
	// unchanged reports whether the registry is still what it was when the token was made. It is asked for each request.
	unchanged(ctx context.Context, t token) (bool, error)
	// load reads the registry whole, as it was at one moment. last is what was read before; nil: nothing. A registry that is
	// not there is an error that wraps errAbsent, one that is being written one that wraps errUnfinished.
	load(ctx context.Context, last *loaded) (*loaded, error)
	// String is how messages call it: no credentials.
	String() string
	close() error
}

// token stands for a state of a registry.
type token any

// loaded is what a backend has read.
type loaded struct {
	objects *objects
	token   token
}

var (
	errAbsent     = errors.New("it does not exist yet")
	errUnfinished = errors.New("it is being written, or was cut off")
)

func openBackend(l location) (backend, error) {
	switch l.kind {
	case "file":
		return &fileBackend{path: l.path}, nil
	case "sqlite":
		return newSQLite(l.path)
	case "postgres":
		return newPostgres(l.dsn)
	}
	return nil, fmt.Errorf("a registry of kind %q", l.kind)
}
