package app

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/flightd/flightd/cmd/flightd/internal/rowfile"
	"github.com/flightd/flightd/cmd/flightd/internal/show"
)

// finish completes the file, or prints the rows, and says what came of it.
func (o *output) finish() error {
	o.progress.Done()
	report, err := newMatchReport(o.metadata)
	if err != nil {
		return err
	}
	said := os.Stdout
	if o.onScreen() {
		took := time.Since(o.started)
		if err := o.printTable(); err != nil {
			return err
		}
		fmt.Fprintln(&out, o.summary(took))
		return report.print(said)
	}
	if err := o.target.Commit(); err != nil {
		return err
	}
	if o.path == rowfile.Standard { // the rows have gone to standard output
		said = os.Stderr
		if report == nil && !show.IsTerminal(said) {
			return nil // a program reads them, and did not ask
		}
	}
	fmt.Fprintln(said, o.summary(time.Since(o.started)))
	return report.print(said)
}

// printTable prints the first rows, and says which columns had no room.
func (o *output) printTable() error {
	width := show.Width(os.Stdout)
	hidden, err := o.table.Render(os.Stdout, width)
	if err != nil {
		return err
	}
	if len(hidden) > 0 {
		all := show.Count(int64(len(hidden)), "column") + " had no room: " + strings.Join(hidden, ", ")
		fmt.Fprintln(&out, show.Wrap(all, width))
	}
	return nil
}

// summary is how much it was, and how fast.
func (o *output) summary(took time.Duration) string {
	text := show.Count(o.rows, "row") + ", " + show.Count(int64(o.columns), "column")
	if !o.onScreen() && o.path != rowfile.Standard {
		text = o.path + ": " + text
	}
	if o.counted {
		text += " in " + show.Rate(o.rows, took)
	}
	if o.onScreen() && o.rows > int64(len(o.table.Rows)) {
		text += fmt.Sprintf("; the first %d are shown", len(o.table.Rows))
	}
	return text
}
