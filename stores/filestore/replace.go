package filestore

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/flightd/flightd/internal/fault"
	"github.com/flightd/flightd/internal/files"
	"github.com/flightd/flightd/internal/nearest"
	"github.com/flightd/flightd/internal/parquetio"
	"github.com/flightd/flightd/stores"
)

// appendToFile adds rows to one file, by putting a longer one in its place. That costs as much as the file is large, so
// writes that come together are done together.
func (s *Store) appendToFile(ctx context.Context, fsys files.FS, t *target, id string, rows stores.Rows) (stores.Written, error) {
	name, err := resolve(fsys, t.path)
	if err != nil {
		return stores.Written{}, err
	}
	dir, err := existing(fsys, path.Dir(name))
	if err != nil {
		return stores.Written{}, err
	}
	s.sweep(fsys, dir)
	begin, err := s.layoutOf(fsys, t, name, rows)
	if err != nil {
		return stores.Written{}, err
	}
	r := &request{done: make(chan struct{})}
	r.st, err = s.stage(ctx, fsys, filling{dir: dir, name: "rows", begin: begin}, rows)
	if err != nil {
		return stores.Written{}, err
	}
	defer r.st.discard()
	r.key = keyOf(id, r.st.content)
	q := s.queues.enter(name)
	defer s.queues.leave(name, q)
	q.do(ctx, r, func() (unlock func(), err error) {
		return lockFile(ctx, fsys, name)
	}, func(all []*request) {
		s.replace(context.WithoutCancel(ctx), fsys, &replacement{name: name, known: []string{name, t.path}}, all)
	})
	return r.Written, r.err
}

// layoutOf is how rows are stored so that they can be put behind those of a file: the same way. If there is no file yet, it
// is the rows that decide.
func (s *Store) layoutOf(fsys files.FS, t *target, name string, rows stores.Rows) (func(io.Writer) (*parquetio.Writer, error), error) {
	if t.schema == nil {
		return func(w io.Writer) (*parquetio.Writer, error) {
			return parquetio.NewWriter(w, nullable(rows.Schema), parquetio.WriterOptions{})
		}, newColumns(rows.Schema)
	}
	f, err := fsys.Open(name)
	if err != nil {
		return nil, pathError(name, err)
	}
	defer f.Close() // reading only
	info, err := f.Stat()
	if err != nil {
		return nil, pathError(name, err)
	}
	tail, err := parquetio.ReadTail(f, info.Size(), name)
	if err != nil {
		return nil, err
	}
	return tail.NewWriter, nil
}

// linksMost bounds how many links lead to a file.
const linksMost = 32

// resolve follows the links in a path, so that it is the file that is replaced and not a link to it. It goes as the system
// goes, name by name: what a link says is meant from the folder that the link is really in.
func resolve(fsys files.FS, name string) (string, error) {
	at, rest := ".", strings.Split(name, "/")
	for links := 0; len(rest) > 0; {
		next := path.Join(at, rest[0])
		if rest[0] == ".." {
			if at == "." {
				return "", leadsOut(name)
			}
			if _, err := fsys.Stat(at + "/."); err != nil { // nothing, or no folder
				return "", pathError(name, err)
			}
			at, rest = next, rest[1:]
			continue
		}
		info, err := fsys.Lstat(next)
		if err != nil && !isMissing(err) {
			return "", pathError(name, err)
		}
		if err != nil || info.Mode()&fs.ModeSymlink == 0 {
			at, rest = next, rest[1:]
			continue
		}
		to, err := fsys.Readlink(next)
		switch links++; {
		case err != nil:
			return "", pathError(name, err)
		case path.IsAbs(to):
			return "", leadsOut(name)
		case links > linksMost:
			return "", fault.New(fault.Precondition, "%s is a link of a link of a link ...", nearest.Quote(name))
		}
		rest = append(strings.Split(to, "/"), rest[1:]...)
	}
	if at == name {
		return at, nil
	}
	return at, leadTo(fsys, name, at)
}

// leadTo checks that the links of a path lead where they were followed to. They may have changed meanwhile; so may the file,
// which is why it is looked at more than once.
func leadTo(fsys files.FS, name, to string) error {
	for range listAttempts {
		want, err := fsys.Stat(name)
		have, haveErr := fsys.Stat(to)
		switch {
		case isMissing(err) && isMissing(haveErr), err == nil && haveErr == nil && os.SameFile(want, have):
			return nil
		case err != nil && !isMissing(err):
			return pathError(name, err)
		}
	}
	return fault.New(fault.Busy, "the links that lead to %s have changed; retry", nearest.Quote(name))
}

// replacement is one exchange of a file for a longer one.
type replacement struct {
	name  string   // of the file
	known []string // names under which it may have been read
	old   files.File
	info  fs.FileInfo // of old; nil: there is no file yet
	tail  *parquetio.Tail
	done  *ledger
}

// replace writes staged rows behind those of a file, whose lock is held, and sets the outcome of every request.
func (s *Store) replace(ctx context.Context, fsys files.FS, r *replacement, all []*request) {
	err := r.open(fsys)
	if err == nil {
		defer r.close()
		if news := r.sort(all); len(news) > 0 {
			err = s.exchange(ctx, fsys, r, news)
		} else { // all are known; the process that wrote them may have stopped before it synced
			err = s.syncFolder(fsys, path.Dir(r.name))
		}
	}
	if err != nil {
		for _, request := range all {
			request.Written, request.err = stores.Written{}, err
		}
	}
}

// lockFile takes the lock of a file. Processes that want it stand in a row of two: who waits for the lock holds the place
// behind it, so whoever gives the lock back and wants it again comes after those who wait.
func lockFile(ctx context.Context, fsys files.FS, name string) (unlock func(), err error) {
	dir, base := path.Split(name)
	if err := makeFolders(fsys, path.Clean(dir)); err != nil {
		return nil, err
	}
	leave, err := lockName(ctx, fsys, dir+"."+base+".next", true)
	if err != nil {
		return nil, err
	}
	defer leave()
	return lockName(ctx, fsys, dir+"."+base+".lock", true)
}

func lockName(ctx context.Context, fsys files.FS, name string, exclusive bool) (unlock func(), err error) {
	f, err := fsys.OpenLock(name)
	if err != nil {
		return nil, writeError(name, err)
	}
	unlock = func() { _ = f.Close() } // the file is empty
	if err := wait(ctx, f, exclusive); err != nil {
		unlock()
		return nil, writeError(name, err)
	}
	return unlock, nil
}

// open reads the footer of the file as it is now.
func (r *replacement) open(fsys files.FS) error {
	r.done = parseLedger("")
	f, err := fsys.Open(r.name)
	if isMissing(err) {
		return nil
	}
	if err != nil {
		return pathError(r.name, err)
	}
	r.old = f
	r.info, err = f.Stat()
	if err == nil {
		// So that its second name is not taken for an abandoned file. Where there are no locks it is too young for that.
		_, _ = f.Lock(false)
		r.tail, err = parquetio.ReadTail(f, r.info.Size(), r.name)
	}
	if err != nil {
		r.close()
		return err
	}
	text, _ := r.tail.Metadata(ledgerKey)
	r.done = parseLedger(text)
	return nil
}

func (r *replacement) close() {
	if r.old != nil {
		r.old.Close() // reading only
		r.old = nil
	}
}

// sort answers the requests that need no writing, and returns the others. They are in the ledger from now on.
func (r *replacement) sort(all []*request) (news []*request) {
	for _, request := range all {
		request.err = nil
		before, known := r.done.find(request.key)
		switch {
		case known && before.has(request.st.content):
			request.Written = stores.Written{Rows: before.rows, Duplicate: true}
		case known:
			request.err = errOtherRows
		default:
			if request.err = r.fits(request); request.err != nil {
				continue
			}
			request.Written = stores.Written{Rows: request.st.rows}
			r.done.add(entry{key: request.key, content: [16]byte(request.st.content[:16]), rows: request.st.rows})
			news = append(news, request)
		}
	}
	return news
}

// fits compares the layout of staged rows with that of the file, which may be another one than when they were staged. The
// first rows of a new file decide.
func (r *replacement) fits(request *request) error {
	tail, err := parquetio.ReadTail(request.st.lock, request.st.size, r.name)
	if err != nil {
		return err
	}
	if r.tail == nil {
		r.tail = tail
	}
	if !tail.SameLayout(r.tail) {
		return fault.New(fault.Busy, "%s was replaced by a file with other columns while rows were written to it; retry", nearest.Quote(r.name))
	}
	return nil
}

// exchange makes the longer file, makes it durable, and puts it in the place of the old one. If the exchange cannot be made
// durable, it is taken back.
func (s *Store) exchange(ctx context.Context, fsys files.FS, r *replacement, news []*request) error {
	dir := path.Dir(r.name)
	st, err := s.extended(ctx, fsys, r, news)
	if err != nil {
		return err
	}
	defer st.discard()
	if r.info == nil {
		if err := fsys.Publish(st.path, r.name); errors.Is(err, fs.ErrExist) {
			return r.changed()
		} else if err != nil {
			return writeError(r.name, err)
		}
		if err := s.syncFolder(fsys, dir); err != nil {
			_ = fsys.Remove(r.name) // nobody else has the lock; if this fails too, the next attempt settles it
			return err
		}
		return nil
	}
	now, err := fsys.Stat(r.name)
	if err != nil || !sameFile(now, r.info) {
		return r.changed()
	}
	before, err := secondName(fsys, r.name)
	if err != nil {
		return err
	}
	if before != "" {
		defer func() { _ = fsys.Remove(before) }() // if it stays, it is found by sweep
	}
	s.exchanging.Lock()
	s.keep(r)
	err = fsys.Rename(st.path, r.name)
	s.exchanging.Unlock()
	if err != nil {
		return writeError(r.name, err)
	}
	if err := s.syncFolder(fsys, dir); err != nil {
		if before != "" {
			_ = fsys.Rename(before, r.name) // nobody else has the lock; if this fails too, the next attempt settles it
		}
		return err
	}
	return nil
}

func (r *replacement) changed() error {
	return fault.New(fault.Busy, "%s was changed by another program while rows were written to it; retry", nearest.Quote(r.name))
}

// secondName gives the old file another name, to have it back by. Where there are no links there is none.
func secondName(fsys files.FS, name string) (string, error) {
	second := stagedName(path.Dir(name), "old")
	switch err := fsys.Link(name, second); {
	case err == nil:
		return second, nil
	case errors.Is(err, errors.ErrUnsupported), errors.Is(err, fs.ErrPermission):
		return "", nil
	default:
		return "", writeError(name, err)
	}
}

// keep lets those who have listed the old file go on reading it.
func (s *Store) keep(r *replacement) {
	slices.Sort(r.known)
	for _, name := range slices.Compact(r.known) {
		if f := s.footers.forget(name, r.info); f != nil {
			s.kept.keep(f)
		}
	}
}
