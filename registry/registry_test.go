package registry

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flightd/flightd/stores"
	"github.com/flightd/flightd/stores/filestore"
)

const (
	fixtures   = "../testdata/feast"
	goldenRepo = "../testdata/feast-golden/repo"
)

// registryFiles are registries that Feast wrote as files, and the projects they are of.
var registryFiles = []struct{ project, path string }{
	{"golden", goldenRepo + "/registry.db"}, {"kinds", fixtures + "/kinds-0.66.db"}, {"kinds", fixtures + "/kinds-0.67.db"},
}

func files(root string) (stores.OfflineStore, error) {
	c := &filestore.Config{Root: root}
	return c.Open(context.Background())
}

func noEnvironment(string) (string, bool) { return "", false }

// repository opens the repository of a feature_store.yaml in a folder.
func repository(t testing.TB, dir, yaml string) *Repository {
	t.Helper()
	c, err := parseConfig(dir, "feature_store.yaml", yaml)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Open(c, Options{Files: files})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func snapshot(t testing.TB, r *Repository) *Snapshot {
	t.Helper()
	s, err := r.Snapshot(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// golden is a copy of the repository with data.
func golden(t testing.TB) *Repository {
	t.Helper()
	dir := t.TempDir()
	copyFile(t, filepath.Join(goldenRepo, "registry.db"), filepath.Join(dir, "registry.db"))
	data, _ := filepath.Glob(filepath.Join(goldenRepo, "data/*.parquet"))
	for _, file := range data {
		copyFile(t, file, filepath.Join(dir, "data", filepath.Base(file)))
	}
	return repository(t, dir, "project: golden\nregistry: registry.db\n")
}

// kinds is the repository with an object of every kind, in one of its forms: 0.66.db, 0.67.sqlite ...
func kinds(t testing.TB, form string) *Repository {
	t.Helper()
	dir := t.TempDir()
	copyFile(t, filepath.Join(fixtures, "kinds-"+form), filepath.Join(dir, "registry.db"))
	yaml := "project: kinds\nregistry: registry.db\n"
	if strings.HasSuffix(form, ".sqlite") {
		yaml = "project: kinds\nregistry: {registry_type: sql, path: sqlite:///registry.db}\n"
	}
	return repository(t, dir, yaml)
}

func copyFile(t testing.TB, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if err := os.MkdirAll(filepath.Dir(to), 0o777); err != nil {
		t.Fatal(err)
	}
	out, err := os.Create(to)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}

func readFile(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func writeFile(t testing.TB, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(name, data, 0o666); err != nil {
		t.Fatal(err)
	}
}
