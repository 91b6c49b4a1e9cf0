// Command flightd serves point-in-time-correct training data over Arrow Flight.
package main

import (
	"os"

	"github.com/flightd/flightd/cmd/flightd/app"
)

func main() { os.Exit(app.Main(os.Args)) }
