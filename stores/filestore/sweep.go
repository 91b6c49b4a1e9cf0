package filestore

import (
	"context"
	"errors"
	"path"
	"slices"
	"time"

	"github.com/flightd/flightd/internal/files"
)

const (
	sweepEvery  = time.Hour
	abandonedAt = time.Minute    // of a staged file that nobody has locked
	expiredAt   = 24 * time.Hour // where files cannot be locked: longer than any call
)

// sweep removes what failed writes have left to be staged in a folder: at the first write to it, and now and then. It is
// nobody's business whether it succeeds.
func (s *Store) sweep(fsys files.FS, dir string) {
	now := time.Now()
	if last, ok := s.swept.Load(dir); ok && now.Sub(last.(time.Time)) < sweepEvery {
		return
	}
	s.swept.Store(dir, now)
	stage := path.Join(dir, stageFolder)
	entries, err := fsys.ReadDir(stage)
	if err != nil {
		return
	}
	for _, e := range entries {
		if name := path.Join(stage, e.Name()); isStaged(e.Name()) && isAbandoned(fsys, name, now) {
			_ = fsys.Remove(name)
		}
	}
}

// tidyEvery is how often a writer looks for replaced parts that may go.
const tidyEvery = time.Minute

// tidy removes parts of a folder that were merged, once their time has come. It is nobody's business whether it succeeds.
func (s *Store) tidy(ctx context.Context, fsys files.FS, t *target) {
	now := time.Now()
	if last, ok := s.tidied.Load(t.path); ok && now.Sub(last.(time.Time)) < tidyEvery {
		return
	}
	if !slices.ContainsFunc(t.gone, func(f replaced) bool { return !f.until.After(now) }) {
		return
	}
	s.tidied.Store(t.path, now)
	_, _ = s.removeReplaced(ctx, fsys, t.path, t.gone)
}

// isAbandoned says whether nobody writes to a staged file any more. One that was made just now may not be locked yet.
func isAbandoned(fsys files.FS, name string, now time.Time) bool {
	info, err := fsys.Lstat(name)
	if err != nil || !info.Mode().IsRegular() || now.Sub(info.ModTime()) < abandonedAt {
		return false
	}
	f, err := fsys.Open(name)
	if err != nil {
		return false
	}
	defer f.Close() // reading only
	ok, err := f.Lock(true)
	return ok || errors.Is(err, errors.ErrUnsupported) && now.Sub(info.ModTime()) >= expiredAt
}
