// Package sample makes the catalog that `flightd init` writes: a delivery service with drivers, customers and orders.
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

// Write makes the catalog in a folder, which is created if need be. A file that is there already is never replaced
// (fs.ErrExist); after an error nothing new is left.
func Write(dir string) (err error) {
	var made []string
	defer func() {
		for i := len(made) - 1; err != nil && i >= 0; i-- {
			os.Remove(made[i])
		}
	}()
	create := func(path string, content []byte) error {
		f, err := os.OpenFile(filepath.Join(dir, path), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
		if err != nil {
			return err
		}
		made = append(made, f.Name())
		_, err = f.Write(content)
		return errors.Join(err, f.Close())
	}
	if _, err := os.Stat(filepath.Join(dir, Config)); err == nil {
		return fmt.Errorf("%s: %w", filepath.Join(dir, Config), fs.ErrExist)
	}
	if err := os.MkdirAll(filepath.Join(dir, "data"), 0o777); err != nil {
		return err
	}
	for _, table := range tables() {
		content, err := encode(table)
		if err != nil {
			return err
		}
		if err := create(filepath.Join("data", table.name+".parquet"), content); err != nil {
			return err
		}
	}
	return create(Config, catalog) // last: where it is, all is there
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
