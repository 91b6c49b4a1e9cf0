// Command customstore is flightd with one more store type in it: `csv`.
package main

import (
	"os"

	"github.com/flightd/flightd/cmd/flightd/app"

	// The stores that this binary knows.
	_ "example.com/customstore/csvstore"
	_ "github.com/flightd/flightd/stores/filestore"
	_ "github.com/flightd/flightd/stores/memstore"
)

func main() { os.Exit(app.Main(os.Args)) }
