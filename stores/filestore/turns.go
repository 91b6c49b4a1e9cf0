package filestore

import (
	"context"
	"errors"
	"io/fs"
	"path"

	"github.com/flightd/flightd/internal/fault"
	"github.com/flightd/flightd/internal/files"
	"github.com/flightd/flightd/internal/nearest"
)

// Writers of a folder and who merges its parts have the folder in turns. Merging takes parts that follow each other in the
// order in which they were written, and a write has its place in that order before others can see it: so when parts are
// chosen, and when they are removed, no write may be between these two points. Writers share the lock, and stand at a gate
// before it, so that who wants the folder alone does not wait for ever.
const (
	gateName    = "writers.next"
	writersName = "writers.lock"
	compactName = "compact.lock" // one merges at a time, and that takes long
)

// share takes a writer's turn of a folder that has parts.
func share(ctx context.Context, fsys files.FS, folder string) (release func(), err error) {
	return turn(ctx, fsys, folder, false)
}

// alone waits until no writer has a turn, and lets none in.
func alone(ctx context.Context, fsys files.FS, folder string) (release func(), err error) {
	return turn(ctx, fsys, folder, true)
}

func turn(ctx context.Context, fsys files.FS, folder string, exclusive bool) (release func(), err error) {
	stage := path.Join(folder, stageFolder)
	if err := fsys.Mkdir(stage); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, writeError(stage, err)
	}
	leave, err := lockName(ctx, fsys, path.Join(stage, gateName), exclusive)
	if err != nil {
		return nil, err
	}
	defer leave()
	return lockName(ctx, fsys, path.Join(stage, writersName), exclusive)
}

// onlyCompaction is the lock of who merges parts of a folder; Busy if somebody else does.
func onlyCompaction(fsys files.FS, folder string) (release func(), err error) {
	stage := path.Join(folder, stageFolder)
	if err := fsys.Mkdir(stage); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, writeError(stage, err)
	}
	f, err := fsys.OpenLock(path.Join(stage, compactName))
	if err != nil {
		return nil, writeError(stage, err)
	}
	ok, err := f.Lock(true)
	switch {
	case ok:
		return func() { _ = f.Close() }, nil // the file is empty
	case err == nil:
		err = fault.New(fault.Busy, "the parts of %s are being merged already; wait for that to end", nearest.Quote(folder))
	case errors.Is(err, errors.ErrUnsupported):
		err = fault.New(fault.Precondition, "the parts of %s cannot be merged: the file system has no locks", nearest.Quote(folder))
	default:
		err = writeError(stage, err)
	}
	f.Close() // holds nothing but the lock
	return nil, err
}
