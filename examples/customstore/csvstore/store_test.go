package csvstore

import (
	"testing"

	"github.com/flightd/flightd/stores/storetest"
)

// The store keeps the contract of package stores.
func TestContract(t *testing.T) {
	storetest.Run(t, storetest.Harness{Open: openWithTables, Source: fileName, Holds: hasHeaderType})
}
