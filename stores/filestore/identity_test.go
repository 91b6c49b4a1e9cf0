package filestore_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/flightd/flightd/joins"
	"github.com/flightd/flightd/stores"
	"github.com/flightd/flightd/stores/filestore"
)

func identities(t *testing.T, s stores.OfflineStore, source string) (ids []string) {
	t.Helper()
	table := openTable(t, s, source).(joins.Identified)
	for part := range table.Parts() {
		ids = append(ids, table.Identity(part))
	}
	return ids
}

// A file that has changed, in whichever way, has another identity, and one that was changed just now has none.
func TestIdentityOfChanges(t *testing.T) {
	defer filestore.Settled(0)()
	root := t.TempDir()
	path := filepath.Join(root, "f", "k=1", "a.parquet")
	write(t, path, numbers(t, `[1, 2]`))
	s := open(t, root)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	old := func(path string) error { return os.Chtimes(path, info.ModTime(), info.ModTime()) }
	known := make(map[string]string)
	expect := func(what string) {
		t.Helper()
		id := identities(t, s, "f")[0]
		if before, ok := known[id]; ok || id == "" {
			t.Errorf("%s: identity %q of %q", what, id, before)
		}
		if again := identities(t, s, "f")[0]; again != id {
			t.Errorf("%s: identity %q, and then %q", what, id, again)
		}
		known[id] = what
		time.Sleep(20 * time.Millisecond) // a step of the file system's clock
	}
	expect("new")
	write(t, path+".new", numbers(t, `[3, 4]`))
	if err := errors.Join(os.Rename(path+".new", path), old(path)); err != nil {
		t.Fatal(err)
	}
	expect("replaced by a file of the same size and time")
	write(t, path, numbers(t, `[5, 6]`)) // in place
	if err := old(path); err != nil {
		t.Fatal(err)
	}
	expect("rewritten with the same size and time")
	if now, err := os.Stat(path); err != nil || now.Size() != info.Size() || !now.ModTime().Equal(info.ModTime()) {
		t.Fatal("the files are not as alike as they are said to be: ", err)
	}
	other := filepath.Join(root, "f", "k=2", "a.parquet")
	if err := errors.Join(os.Mkdir(filepath.Dir(other), 0o755), os.Rename(path, other)); err != nil {
		t.Fatal(err)
	}
	expect("in another partition")
	if one, folder := identities(t, s, "f/k=2/a.parquet")[0], identities(t, s, "f")[0]; one == folder {
		t.Errorf("a file has the identity %q with and without a column of its folder", one)
	}
	filestore.Settled(time.Hour)
	if id := identities(t, s, "f")[0]; id != "" {
		t.Errorf("a file that was changed just now has the identity %q", id)
	}
}
