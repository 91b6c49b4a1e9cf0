package filestore

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/flightd/flightd/internal/files"
)

// tap stands between a store's writes and the file system. It counts every operation, can fail each of them, and keeps a
// log from which the disk after a power cut is made.
type tap struct {
	mu    sync.Mutex
	count int
	fail  func(n int, what string) error // n counts from 1; nil: nothing fails
	log   []step
	next  int  // number of the next file that is made
	quick bool // nothing is really synced
}

// step is one entry of the log: what an operation does to a disk.
type step struct {
	what  string
	apply func(*disk)
}

func (t *tap) wrap(fsys files.FS) files.FS { return &tappedFS{fsys, t} }

// do counts an operation, and fails it or does it. Operations are done one at a time, in the order of the log.
func (t *tap) do(what string, work func() error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.count++
	if t.fail != nil {
		if err := t.fail(t.count, what); err != nil {
			return err
		}
	}
	return work()
}

// logged is do for an operation that changes the disk if it succeeds.
func (t *tap) logged(what string, work func() error, apply func(*disk)) error {
	return t.do(what, func() error {
		err := work()
		if err == nil {
			t.log = append(t.log, step{what, apply})
		}
		return err
	})
}

// mark puts something into the log that is not an operation.
func (t *tap) mark(apply func(*disk)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.log = append(t.log, step{"mark", apply})
}

type tappedFS struct {
	files.FS
	tap *tap
}

func (f *tappedFS) Create(name string) (file files.File, err error) {
	id := 0
	err = f.tap.do("create", func() error {
		if file, err = f.FS.Create(name); err != nil {
			return err
		}
		id = f.tap.next
		f.tap.next++
		f.tap.log = append(f.tap.log, step{"create", func(d *disk) { d.set(name, d.file(id)) }})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &tappedFile{File: file, tap: f.tap, id: id}, nil
}

func (f *tappedFS) Open(name string) (file files.File, err error) {
	err = f.tap.do("open", func() error {
		file, err = f.FS.Open(name)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &tappedFile{File: file, tap: f.tap, id: -1}, nil
}

func (f *tappedFS) OpenLock(name string) (file files.File, err error) {
	err = f.tap.do("open lock", func() error {
		file, err = f.FS.OpenLock(name)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &tappedFile{File: file, tap: f.tap, id: -1}, nil
}

func (f *tappedFS) Mkdir(name string) error {
	return f.tap.logged("mkdir", func() error { return f.FS.Mkdir(name) }, func(d *disk) { d.set(name, newFolder()) })
}

func (f *tappedFS) Link(from, to string) error {
	return f.tap.logged("link", func() error { return f.FS.Link(from, to) }, func(d *disk) { d.set(to, d.get(from)) })
}

func (f *tappedFS) Publish(from, to string) error {
	return f.tap.logged("publish", func() error { return f.FS.Publish(from, to) }, func(d *disk) { d.set(to, d.get(from)) })
}

func (f *tappedFS) Rename(from, to string) error {
	return f.tap.logged("rename", func() error { return f.FS.Rename(from, to) }, func(d *disk) {
		d.set(to, d.get(from))
		d.set(from, nil)
	})
}

func (f *tappedFS) Remove(name string) error {
	return f.tap.logged("remove", func() error { return f.FS.Remove(name) }, func(d *disk) { d.set(name, nil) })
}

func (f *tappedFS) Sync(dir string) error {
	return f.tap.logged("sync folder", func() error {
		if f.tap.quick {
			return nil
		}
		return f.FS.Sync(dir)
	}, func(d *disk) { d.get(dir).sync() })
}

func (f *tappedFS) Stat(name string) (info fs.FileInfo, err error) {
	return info, f.tap.do("stat", func() error { info, err = f.FS.Stat(name); return err })
}

func (f *tappedFS) Lstat(name string) (info fs.FileInfo, err error) {
	return info, f.tap.do("lstat", func() error { info, err = f.FS.Lstat(name); return err })
}

func (f *tappedFS) ReadDir(dir string) (entries []fs.DirEntry, err error) {
	return entries, f.tap.do("read folder", func() error { entries, err = f.FS.ReadDir(dir); return err })
}

type tappedFile struct {
	files.File
	tap *tap
	id  int // -1: not for writing
	at  int64
}

// errShort makes a write short without an error, and errOtherByte writes another byte.
var (
	errShort     = io.ErrShortWrite
	errOtherByte = errors.New("another byte")
)

func (f *tappedFile) Write(p []byte) (n int, err error) {
	written := 0
	err = f.tap.do("write", func() error {
		written, err = f.File.Write(p)
		f.log(p[:written])
		return err
	})
	if err == errOtherByte {
		other := bytes.Clone(p)
		other[len(other)/2] ^= 4
		return f.File.Write(other)
	}
	if err == errShort { // half of it, and nothing is said
		n, err = f.File.Write(p[:len(p)/2])
		f.tap.mu.Lock()
		defer f.tap.mu.Unlock()
		f.log(p[:n])
		return n, err
	}
	return written, err
}

func (f *tappedFile) log(p []byte) {
	id, at, content := f.id, f.at, append([]byte{}, p...)
	f.at += int64(len(p))
	f.tap.log = append(f.tap.log, step{"write", func(d *disk) { d.file(id).write(at, content) }})
}

func (f *tappedFile) ReadAt(p []byte, off int64) (n int, err error) {
	return n, f.tap.do("read", func() error { n, err = f.File.ReadAt(p, off); return err })
}

func (f *tappedFile) Stat() (info fs.FileInfo, err error) {
	return info, f.tap.do("stat file", func() error { info, err = f.File.Stat(); return err })
}

func (f *tappedFile) Imitate(other fs.FileInfo) error {
	return f.tap.do("imitate", func() error { return f.File.Imitate(other) })
}

func (f *tappedFile) Sync() error {
	return f.tap.logged("sync", func() error {
		if f.tap.quick {
			return nil
		}
		return f.File.Sync()
	}, func(d *disk) { d.file(f.id).sync() })
}

func (f *tappedFile) Lock(exclusive bool) (ok bool, err error) {
	return ok, f.tap.do("lock", func() error { ok, err = f.File.Lock(exclusive); return err })
}

// Close closes the file also when it is to fail, as the system does.
func (f *tappedFile) Close() error {
	err := f.tap.do("close", func() error { return nil })
	if closeErr := f.File.Close(); err == nil {
		err = closeErr
	}
	return err
}

// disk is what a log makes of the file system: what is there, and what of it would be there after a power cut.
type disk struct {
	root  *entity
	made  map[int]*entity
	acked map[int]bool
	begun map[int]bool
}

// entity is a file or a folder.
type entity struct {
	names   map[string]*entity // of a folder, as they are
	durable map[string]*entity // as they were when it was synced
	changes []change           // since then
	content []byte             // of a file, when it was synced
	writes  []written          // since then
}

type change struct {
	name string
	to   *entity // nil: removed
}

type written struct {
	at   int64
	data []byte
}

func newFolder() *entity {
	return &entity{names: make(map[string]*entity), durable: make(map[string]*entity)}
}

// newDisk is a disk with what a folder holds, all of it durable.
func newDisk(t *testing.T, dir string) *disk {
	d := &disk{root: newFolder(), made: make(map[int]*entity), acked: make(map[int]bool), begun: make(map[int]bool)}
	err := filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil || name == dir {
			return err
		}
		inside := strings.TrimPrefix(name, dir+"/")
		if e.IsDir() {
			d.set(inside, newFolder())
			return nil
		}
		content, err := os.ReadFile(name)
		d.set(inside, &entity{content: content})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	d.root.syncAll()
	return d
}

func (e *entity) syncAll() {
	e.sync()
	for _, below := range e.names {
		below.syncAll()
	}
}

// file is the file that was the n-th to be made.
func (d *disk) file(n int) *entity {
	if d.made[n] == nil {
		d.made[n] = new(entity)
	}
	return d.made[n]
}

func (d *disk) get(name string) *entity {
	e := d.root
	for _, part := range strings.Split(path.Clean(name), "/") {
		if part != "." {
			e = e.names[part]
		}
	}
	return e
}

func (d *disk) set(name string, to *entity) {
	folder, base := d.get(path.Dir(name)), path.Base(name)
	if to == nil {
		delete(folder.names, base)
	} else {
		folder.names[base] = to
	}
	folder.changes = append(folder.changes, change{base, to})
}

func (e *entity) write(at int64, data []byte) { e.writes = append(e.writes, written{at, data}) }

func (e *entity) sync() {
	if e.names != nil {
		e.durable, e.changes = maps.Clone(e.names), nil
		return
	}
	for _, w := range e.writes {
		e.content = w.apply(e.content)
	}
	e.writes = nil
}

func (w written) apply(content []byte) []byte {
	if missing := int(w.at) + len(w.data) - len(content); missing > 0 {
		content = append(content[:len(content):len(content)], make([]byte, missing)...)
	}
	content = append([]byte{}, content...)
	copy(content[w.at:], w.data)
	return content
}

// cut writes to dir what is on the disk after a power cut: all that was synced and, of everything else, each operation with
// a chance of percent, whatever came before or after it.
func (e *entity) cut(t *testing.T, dir string, rng *rand.Rand, percent int) {
	t.Helper()
	survives := func() bool { return rng.IntN(100) < percent }
	names := maps.Clone(e.durable)
	for _, c := range e.changes {
		switch {
		case !survives():
		case c.to == nil:
			delete(names, c.name)
		default:
			names[c.name] = c.to
		}
	}
	for name, below := range names {
		name = filepath.Join(dir, name)
		if below.names != nil {
			if err := os.Mkdir(name, 0o755); err != nil {
				t.Fatal(err)
			}
			below.cut(t, name, rng, percent)
			continue
		}
		content := below.content
		for _, w := range below.writes {
			if survives() {
				content = w.apply(content)
			}
		}
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
