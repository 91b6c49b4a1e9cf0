// Package storetest is the contract of a store as a suite of tests. A store, inside this module or outside, is put
// through it in a few lines:
//
//	func TestContract(t *testing.T) {
//		storetest.Run(t, storetest.Harness{Open: openWithTables})
//	}
//
// Every check is one sentence of the contract in package stores; a failure prints the sentence that was broken and what
// was found. Abilities beyond OfflineStore are found by assertion and tested where they are; questions are also asked
// with the abilities hidden, and the answers must not differ.
package storetest

import (
	"errors"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/flightd/flightd/stores"
)

// Table is what a harness loads into a store: rows in order, in any number of records.
type Table struct {
	Schema  *arrow.Schema
	Records []arrow.Record
}

// Harness tells the suite how to make a store of the type under test.
type Harness struct {
	// Open returns a new store with exactly these tables by name, each with its rows in the order given. The suite closes
	// the store; whatever else has to be removed goes to t.Cleanup.
	Open func(t *testing.T, tables map[string]Table) stores.OfflineStore

	// Source is the text that names a table in the configuration; nil: the table's name itself. It is also asked for
	// tables that were not loaded.
	Source func(table string) string

	// Holds says whether the store can hold a column of this name and type and give it back with the same type; nil: all
	// that the suite tries. Columns that it cannot hold are left out of the tables, vectors that need one are skipped.
	Holds func(arrow.Field) bool

	// Unordered is for engines without an order of rows. Rows are then compared as a multiset, and full ties not at all.
	Unordered bool
}

// check is one sentence of the contract and the test that breaks a store which does not keep it.
type check struct {
	name     string
	sentence string
	run      func(t *testing.T, h Harness) error
}

// errUnable ends a check of an ability that the store does not have.
var errUnable = errors.New("the store does not have this ability")

// Run puts a store through the whole suite.
func Run(t *testing.T, h Harness) {
	t.Helper()
	for _, c := range checks() {
		t.Run(c.name, func(t *testing.T) {
			switch err := c.run(t, h); {
			case errors.Is(err, errUnable):
				t.Skip(err)
			case err != nil:
				t.Errorf("broken: %s\nfound:  %v", c.sentence, err)
			}
		})
	}
	t.Run("vectors", func(t *testing.T) { runVectors(t, h) })
}

func checks() []check {
	var all []check
	for _, some := range [][]check{schemaChecks, scanChecks, typeChecks, tableChecks, appendChecks, closeChecks, questionChecks} {
		all = append(all, some...)
	}
	return all
}
