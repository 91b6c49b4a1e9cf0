package sample_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/flightd/flightd/cmd/flightd/internal/sample"
	"github.com/flightd/flightd/config"
	"github.com/flightd/flightd/stores"
	_ "github.com/flightd/flightd/stores/filestore"
)

// The catalog that init writes is valid, its views can be served, and it is the same every time.
func TestWrite(t *testing.T) {
	first, second := t.TempDir(), filepath.Join(t.TempDir(), "new", "folder")
	for _, dir := range []string{first, second} {
		if err := sample.Write(dir, true); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{"flightd.yaml", "data/driver_stats.parquet", "data/customer_stats.parquet", "data/orders.parquet", "data/registry.db", "definitions.py"} {
		a, err := os.ReadFile(filepath.Join(first, file))
		if err != nil {
			t.Fatal(err)
		}
		if b, err := os.ReadFile(filepath.Join(second, file)); err != nil || !bytes.Equal(a, b) {
			t.Errorf("%s differs from one time to the next (%v)", file, err)
		}
	}
	loaded, err := config.Load(filepath.Join(first, sample.Config))
	if err != nil {
		t.Fatal(err)
	}
	catalog, closeStores, err := loaded.Open(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer closeStores()
	for _, v := range catalog.Views() {
		if err := stores.Check(context.Background(), v); err != nil {
			t.Error(err)
		}
		if job, err := stores.Plan(context.Background(), &stores.All{View: v}, stores.Options{}); err != nil || job.Total != sample.History {
			t.Errorf("%s has %d rows (%v), want %d", v.Name, job.Total, err, sample.History)
		}
	}
}

func TestWriteReplacesNothing(t *testing.T) {
	for _, there := range []string{"flightd.yaml", "data/orders.parquet", "definitions.py", "data/registry.db"} {
		dir := t.TempDir()
		path := filepath.Join(dir, there)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o777), os.WriteFile(path, []byte("mine"), 0o666)); err != nil {
			t.Fatal(err)
		}
		if err := sample.Write(dir, true); !errors.Is(err, fs.ErrExist) {
			t.Errorf("%s is there and writing says %v", there, err)
		}
		var left []string
		filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				left = append(left, path)
			}
			return err
		})
		if content, _ := os.ReadFile(path); string(content) != "mine" || len(left) != 1 {
			t.Errorf("%s holds %q now, and there are %v", there, content, left)
		}
	}
}
