package main

// The stores that this binary knows. A binary with other stores has another list.
import (
	_ "github.com/flightd/flightd/registry/drivers"
	_ "github.com/flightd/flightd/stores/filestore"
	_ "github.com/flightd/flightd/stores/memstore"
)
