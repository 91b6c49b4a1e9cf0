// Package sample makes the catalog that `flightd init` writes: a delivery service with drivers, customers and orders, described
// for flightd and, if asked for, as a Feast repository too.
//
// The data is invented and always the same. It has what real data has: statistics that are computed some minutes after
// the time that they are about, corrections, days without any, newcomers, orders of unknown customers and of nobody.
package sample

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/flightd/flightd/internal/parquetio"
)

//go:embed flightd.yaml
var catalog []byte

// Config is the name of the catalog's file.
const Config = "flightd.yaml"

// The sizes of the sample.
const (
	Drivers   = 500
	Customers = 4000
	History   = 200_000 // rows of each of the two views
	Orders    = 20_000
)

// The time that the sample is about: 100 days.
var begin = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

const days = 100

// file is a file of the catalog, by its path below the folder.
type file struct {
	path    string
	content []byte
}

// Write makes the catalog in a folder, which is created if need be; with feast, it is a Feast repository as well, with its
// registry. A file that is there already is never replaced (fs.ErrExist); after an error nothing new is left.
func Write(dir string, feast bool) (err error) {
	files := []file{{Config, catalog}} // last: where they are, all is there
	if feast {
		repository, err := feastFiles()
		if err != nil {
			return err
		}
		files = append(repository, files...)
	}
	for _, f := range files { // before the tables are made
		if _, err := os.Lstat(filepath.Join(dir, f.path)); err == nil {
			return fmt.Errorf("%s: %w", filepath.Join(dir, f.path), fs.ErrExist)
		}
	}
	var made []string
	defer func() {
		for i := len(made) - 1; err != nil && i >= 0; i-- {
			os.Remove(made[i])
		}
	}()
	create := func(f file) error {
		path := filepath.Join(dir, f.path)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			return err
		}
		out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
		if err != nil {
			return err
		}
		made = append(made, path)
		_, err = out.Write(f.content)
		return errors.Join(err, out.Close())
	}
	for _, table := range tables() {
		content, err := encode(table)
		if err != nil {
			return err
		}
		if err := create(file{filepath.Join("data", table.name+".parquet"), content}); err != nil {
			return err
		}
	}
	for _, f := range files {
		if err := create(f); err != nil {
			return err
		}
	}
	return nil
}

// table is a table of the sample.
type table struct {
	name string
	rec  arrow.Record
}

// tables makes them all. Each has random numbers of its own, so that a change to one leaves the others as they are.
func tables() []table {
	drivers := newFleet(numbers(1))
	return []table{
		{"driver_stats", drivers.record()},
		{"customer_stats", customers(numbers(2))},
		{"orders", orders(numbers(3), drivers)},
	}
}

func numbers(table uint64) *rand.Rand { return rand.New(rand.NewPCG(2024, table)) }

func encode(t table) ([]byte, error) {
	defer t.rec.Release()
	var file bytes.Buffer
	w, err := parquetio.NewWriter(&file, t.rec.Schema(), parquetio.WriterOptions{})
	if err != nil {
		return nil, err
	}
	if err := w.Write(t.rec); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return file.Bytes(), nil
}
