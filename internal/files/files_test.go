package files

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func open(t *testing.T) (FS, string) {
	t.Helper()
	dir := t.TempDir()
	r, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	f := Root(r)
	t.Cleanup(func() { f.Close() })
	return f, dir
}

func put(t *testing.T, f FS, name, content string) {
	t.Helper()
	file, err := f.Create(name)
	if err == nil {
		_, err = io.WriteString(file, content)
		err = errors.Join(err, file.Sync(), file.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, dir, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return err.Error()
	}
	return string(content)
}

// What has a name is never replaced, except by Rename.
func TestNamesAreTakenOnce(t *testing.T) {
	f, dir := open(t)
	if err := errors.Join(f.Mkdir("a"), f.Mkdir("b")); err != nil {
		t.Fatal(err)
	}
	put(t, f, "a/old", "old")
	put(t, f, "b/new", "new")
	from, to := filepath.Join(dir, "b"), filepath.Join(dir, "a")
	source, errA := os.Open(from)
	target, errB := os.Open(to)
	if err := errors.Join(errA, errB); err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	defer target.Close()
	for what, err := range map[string]error{
		"publish": f.Publish("b/new", "a/old"),
		"link":    f.Link("b/new", "a/old"),
		"mkdir":   f.Mkdir("a"),
		"create":  second(f.Create("a/old")),
		"move":    renameNew(source, "new", target, "old"),
	} {
		if !errors.Is(err, fs.ErrExist) && !errors.Is(err, errNoRenameNew) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if get(t, dir, "a/old") != "old" || get(t, dir, "b/new") != "new" {
		t.Error("something was replaced")
	}
	if err := f.Publish("b/new", "a/new"); err != nil || get(t, dir, "a/new") != "new" {
		t.Errorf("publish: %v", err)
	}
	if err := renameNew(source, "new", target, "moved"); err != nil && err != errNoRenameNew || err == nil && get(t, dir, "a/moved") != "new" {
		t.Errorf("move: %v", err)
	}
	if err := f.Rename("a/new", "a/old"); err != nil || get(t, dir, "a/old") != "new" {
		t.Errorf("rename: %v", err)
	}
	if err := f.Sync("a"); err != nil {
		t.Error(err)
	}
}

func second(_ File, err error) error { return err }

// Locks are per open file, so they also work inside of a process, and end with it.
func TestLocks(t *testing.T) {
	f, _ := open(t)
	var held [3]File
	for i := range held {
		var err error
		if held[i], err = f.OpenLock("lock"); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(i int, exclusive, want bool) {
		t.Helper()
		if ok, err := held[i].Lock(exclusive); ok != want || err != nil {
			t.Errorf("lock: %v, %v", ok, err)
		}
	}
	expect(0, true, true)
	expect(1, true, false)
	expect(1, false, false)
	held[0].Close()
	expect(1, false, true)
	expect(2, false, true)
	expect(1, true, false)
	held[2].Close()
	expect(1, true, true)
	held[1].Close()
}

func TestImitate(t *testing.T) {
	f, dir := open(t)
	put(t, f, "a", "")
	if err := os.Chmod(filepath.Join(dir, "a"), 0o640); err != nil {
		t.Fatal(err)
	}
	info, err := f.Stat("a")
	if err != nil {
		t.Fatal(err)
	}
	b, err := f.Create("b")
	if err == nil {
		err = errors.Join(b.Imitate(info), b.Close())
	}
	have, statErr := f.Stat("b")
	if err := errors.Join(err, statErr); err != nil || have.Mode() != info.Mode() {
		t.Errorf("%v: %v, want %v", err, have.Mode(), info.Mode())
	}
}

// Nothing above the root is reached.
func TestConfined(t *testing.T) {
	f, dir := open(t)
	if err := os.Symlink(filepath.Dir(dir), filepath.Join(dir, "up")); err != nil {
		t.Fatal(err)
	}
	put(t, f, "a", "a")
	for what, err := range map[string]error{
		"create": second(f.Create("../a")), "through a link": second(f.Create("up/a")), "publish": f.Publish("a", "up/a"),
		"rename": f.Rename("a", "../b"), "mkdir": f.Mkdir("up/d"), "lock": second(f.OpenLock("up/lock")),
	} {
		if err == nil {
			t.Errorf("%s: got out", what)
		}
	}
}
