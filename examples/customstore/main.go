// Command customstore is flightd with one more store type in it: `csv`.
package main

import (
	"os"

	"github.com/flightd/flightd/cmd/flightd/app"

	_ "example.com/customstore/csvstore"
)

func main() { os.Exit(app.Main(os.Args)) }
