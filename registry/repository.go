// Package registry makes a catalog of a Feast repository: of its feature_store.yaml and of the registry that `feast apply`
// writes, a file or a database. It also looks up the names of Feast's commands, for which a catalog of ours has no place:
// aliases, data sources, on-demand views, projects.
//
// Rules that hold everywhere: each request sees the registry as it is when the request begins; a registry that is being
// written, cut off or out of reach never replaces the last good one; a definition that cannot be served is an error of its
// own name and of no other; nothing in a registry is run, least of all the pickled code of on-demand views.
package registry

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/flightd/flightd/internal/fault"
	"github.com/flightd/flightd/stores"
	"github.com/flightd/flightd/tickets"
)

// Options are what a repository needs from outside. Files is required.
type Options struct {
	// Files makes the store of the Parquet files below a folder. It touches nothing; the folder may not be there.
	Files func(root string) (stores.OfflineStore, error)
	// Folders are absolute paths of folders below which clients may describe files before these are registered, beyond that
	// of the repository and those of registered sources.
	Folders []string
	// Mode says which rows a historical command without entity rows means; "": Timeline.
	Mode stores.Mode
	// Warn is told when the registry cannot be read and the last good copy is used instead, and with nil when it can be read
	// again: once for each change, not for each request.
	Warn func(error)
}

// Repository is a Feast repository that is being served.
type Repository struct {
	config  *Config
	options Options
	opener  *opener
	backend backend

	current atomic.Pointer[state]
	loading chan struct{} // holds one element while nobody loads
	now     func() time.Time

	mu      sync.Mutex
	warned  string
	renewed time.Time // when the registry was last read without need
	failed  time.Time // when it last could not be reached
}

// state is what was read last.
type state struct {
	loaded   *loaded
	snapshot *Snapshot
}

// renewal is how often at most a registry is read anew because of a name that is not in it, and backOff how long a
// registry that could not be reached is left alone.
const (
	renewal = time.Second
	backOff = time.Second
)

// Open makes a repository of its configuration. It reads nothing: the registry may not be there yet.
func Open(c *Config, opt Options) (*Repository, error) {
	b, err := openBackend(c.registry)
	if err != nil {
		return nil, err
	}
	if opt.Mode == "" {
		opt.Mode = stores.Timeline
	}
	if opt.Warn == nil {
		opt.Warn = func(error) {}
	}
	r := &Repository{config: c, options: opt, opener: newOpener(c.Dir, opt.Folders, opt.Files), backend: b, loading: make(chan struct{}, 1), now: time.Now}
	r.loading <- struct{}{}
	return r, nil
}

// Close closes the stores and the registry. Requests that are running fail.
func (r *Repository) Close() error { return errors.Join(r.opener.close(), r.backend.close()) }

// Catalog is the server's project as it is now, for our own tickets.
func (r *Repository) Catalog(ctx context.Context) (*stores.Catalog, error) {
	s, err := r.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	return s.Catalog(), nil
}

// Snapshot is the registry as it is now. A registry that is not there is a snapshot that says so.
func (r *Repository) Snapshot(ctx context.Context) (*Snapshot, error) {
	if s := r.current.Load(); s != nil {
		if fresh, err := r.fresh(ctx, s); fresh || err != nil {
			return s.snapshot, ctx.Err() // if it cannot be asked, what was read last is good enough
		}
	}
	return r.load(ctx, false)
}

// fresh reports whether a state is still that of the registry. While it cannot be reached nobody is made to wait for it.
func (r *Repository) fresh(ctx context.Context, s *state) (bool, error) {
	if err := r.unreachable(); err != nil {
		return false, err
	}
	same, err := r.backend.unchanged(ctx, s.loaded.token)
	if err != nil {
		return false, r.lost(ctx, err)
	}
	if same {
		r.warn(nil)
	}
	return same && s.snapshot.settled(), nil
}

// load reads the registry, one caller at a time. renew reads it even if it does not seem to have changed.
func (r *Repository) load(ctx context.Context, renew bool) (*Snapshot, error) {
	select {
	case <-r.loading:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { r.loading <- struct{}{} }()
	s := r.current.Load()
	if s != nil && !renew { // somebody else may have read it while we waited
		if fresh, err := r.fresh(ctx, s); fresh || err != nil {
			return s.snapshot, ctx.Err()
		}
	}
	if err := r.unreachable(); err != nil && s == nil {
		return nil, err
	}
	var last *loaded
	if s != nil {
		last = s.loaded
	}
	l, err := r.backend.load(ctx, last)
	switch {
	case errors.Is(err, errAbsent):
		r.current.Store(nil)
		return r.absent(err), nil
	case err != nil && s != nil:
		r.lost(ctx, err)
		return s.snapshot, ctx.Err()
	case err != nil:
		return nil, r.lost(ctx, err)
	}
	snapshot, err := newSnapshot(r.opener, r.config.Project, l.objects)
	if err != nil {
		return nil, err
	}
	r.current.Store(&state{l, snapshot})
	r.warn(nil)
	return snapshot, nil
}

// lost remembers that the registry cannot be read, and makes the error of a request that has nothing to fall back to. What
// exactly is wrong is for the operator, not for clients.
func (r *Repository) lost(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	r.warn(fmt.Errorf("the registry %s cannot be read: %w", r.backend, err))
	if !errors.Is(err, errUnfinished) {
		r.mu.Lock()
		r.failed = r.now()
		r.mu.Unlock()
	}
	return r.busy()
}

func (r *Repository) busy() error {
	return fault.New(fault.Busy, "the registry of project %q cannot be read just now; try again", r.config.Project)
}

// unreachable is an error if the registry could not be reached a moment ago.
func (r *Repository) unreachable() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.failed.IsZero() && r.now().Sub(r.failed) < backOff {
		return r.busy()
	}
	return nil
}

// warn passes on what is new.
func (r *Repository) warn(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	r.mu.Lock()
	known := r.warned == text
	r.warned = text
	r.mu.Unlock()
	if !known {
		r.options.Warn(err)
	}
}

// absent is the snapshot of a registry that is not there.
func (r *Repository) absent(err error) *Snapshot {
	why := fault.New(fault.Precondition, "the registry of project %q does not exist yet; run `feast apply`", r.config.Project)
	s := &Snapshot{own: r.config.Project, absent: why, catalog: stores.EmptyCatalog(why), opener: r.opener}
	r.warn(fmt.Errorf("the registry %s: %w; run `feast apply` in %s", r.backend, err, r.config.Dir))
	return s
}

// settled reports whether the sources are still where they were when the snapshot was made.
func (s *Snapshot) settled() bool {
	for uri, was := range s.unsettled {
		if now, _, err := s.opener.locate(uri); err != nil || now != was {
			return false
		}
	}
	return true
}

// look answers from the registry as it is now. A name that is not there is looked for once more in a registry that was just
// read: a replica of a database, or a file system far away, may be late in telling that something has changed.
func look[T any](ctx context.Context, r *Repository, find func(*Snapshot) (T, error)) (T, error) {
	var none T
	s, err := r.Snapshot(ctx)
	if err != nil {
		return none, err
	}
	found, err := find(s)
	if !isUnknownName(err) || !r.mayRenew() {
		return found, err
	}
	renewed, loadErr := r.load(ctx, true)
	if loadErr != nil || renewed == s {
		return found, err
	}
	return find(renewed)
}

func (r *Repository) mayRenew() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := r.now(); now.Sub(r.renewed) >= renewal {
		r.renewed = now
		return true
	}
	return false
}

// Historical looks up the names of a historical command. entities are the rows that came beside it; nil if none did.
func (r *Repository) Historical(ctx context.Context, c *tickets.FeastHistorical, entities *stores.Rows) (*Read, error) {
	return look(ctx, r, func(s *Snapshot) (*Read, error) { return s.Historical(c, entities, r.options.Mode, r.now()) })
}

// Pull looks up the source of a pull command.
func (r *Repository) Pull(ctx context.Context, c *tickets.FeastPull, latest bool) (*Read, error) {
	return look(ctx, r, func(s *Snapshot) (*Read, error) { return s.Pull(c, latest) })
}

// Columns answers what columns a data source has.
func (r *Repository) Columns(ctx context.Context, c *tickets.FeastSource) (*stores.RetrievalJob, error) {
	return look(ctx, r, func(s *Snapshot) (*stores.RetrievalJob, error) { return s.Columns(ctx, c) })
}

// Validate checks a data source that a client describes.
func (r *Repository) Validate(ctx context.Context, c *tickets.FeastSource) error {
	_, err := look(ctx, r, func(s *Snapshot) (struct{}, error) { return struct{}{}, s.Validate(c) })
	return err
}

// Write finds the view whose source a write appends to.
func (r *Repository) Write(ctx context.Context, c *tickets.FeastWrite) (*stores.FeatureView, error) {
	return look(ctx, r, func(s *Snapshot) (*stores.FeatureView, error) { return s.Write(c) })
}

// Log finds where the logged features of a service go.
func (r *Repository) Log(ctx context.Context, c *tickets.FeastLog) (*LogWrite, error) {
	return look(ctx, r, func(s *Snapshot) (*LogWrite, error) { return s.Log(c) })
}

// Persist looks up the names of a persist command. entities are the rows that came beside it; nil if none did.
func (r *Repository) Persist(ctx context.Context, c *tickets.FeastPersist, entities *stores.Rows) (*Persist, error) {
	return look(ctx, r, func(s *Snapshot) (*Persist, error) { return s.Persist(c, entities, r.options.Mode, r.now()) })
}

// String names the repository in messages.
func (r *Repository) String() string {
	return fmt.Sprintf("project %s in %s", r.config.Project, r.config.Dir)
}
