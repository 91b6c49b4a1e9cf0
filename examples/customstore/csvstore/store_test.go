package csvstore

import (
	"testing"
	"time"

	"github.com/flightd/flightd/stores/storetest"
)

// The store keeps the contract of package stores.
func TestContract(t *testing.T) {
	storetest.Run(t, storetest.Harness{
		Open: openWithTables, Source: fileName, Holds: hasHeaderType,
		Earliest: time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC), Latest: time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), // RFC 3339
	})
}
