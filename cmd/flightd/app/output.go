package app

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/urfave/cli/v2"

	"github.com/flightd/flightd/cmd/flightd/internal/cells"
	"github.com/flightd/flightd/cmd/flightd/internal/client"
	"github.com/flightd/flightd/cmd/flightd/internal/rowfile"
	"github.com/flightd/flightd/cmd/flightd/internal/show"
)

func outputFlags() []cli.Flag {
	return []cli.Flag{&cli.StringFlag{Name: "output", Aliases: []string{"o"},
		Usage: "write the rows to `FILE`: .parquet, .csv, .arrow, .arrows; - is an Arrow IPC stream on standard output; without it the first rows are printed"}}
}

// firstRows is how many rows are printed where no file is written.
const firstRows = 10

// output is where an answer goes: a file, or the first rows to the screen. Beside it goes what people want to know: the
// progress, how much it was and how fast, the match report.
type output struct {
	target   *rowfile.Target // nil: the screen
	path     string
	table    *show.Table
	progress *show.Progress
	started  time.Time
	expected int64 // rows; -1: not known
	sentRows int64
	rows     int64
	columns  int
	metadata []byte
}

func openOutput(c *cli.Context) (*output, error) {
	o := &output{path: c.String("output"), progress: show.NewProgress(), started: time.Now(), expected: -1}
	if !c.IsSet("output") {
		return o, nil
	}
	if _, err := rowfile.FormatOf(o.path); err != nil {
		return nil, usageError{err}
	}
	if o.path == rowfile.Standard && show.IsTerminal(os.Stdout) {
		return nil, usagef("-o - writes a binary Arrow IPC stream, which a terminal cannot show; pipe it, or leave -o out for a table")
	}
	var err error
	o.target, err = rowfile.Create(o.path)
	return o, err
}

// onScreen reports whether rows are printed.
func (o *output) onScreen() bool { return o.target == nil }

// abandon ends the progress and leaves no unfinished file.
func (o *output) abandon() {
	o.progress.Done()
	if o.target != nil {
		o.target.Abandon()
	}
}

// expect says how many rows will be sent, and with them come back; -1: it is not known.
func (o *output) expect(rows int64) { o.expected = rows }

// sent counts rows on their way to the server, which answers when it has them all.
func (o *output) sent(rows int64) {
	if o.sentRows == 0 {
		o.progress.Phase("sending", o.expected)
	}
	o.progress.Add(rows)
	if o.sentRows += rows; o.sentRows == o.expected {
		o.progress.Wait("joining")
	}
}

// receive takes in a whole answer.
func (o *output) receive(a *client.Answer) error {
	o.columns = len(a.Schema().Fields())
	if err := o.begin(a.Schema()); err != nil {
		return err
	}
	for rec, err := range a.Records() {
		if err != nil {
			return err
		}
		if o.rows == 0 {
			o.progress.Phase("receiving", o.expected)
		}
		if err := o.write(rec); err != nil {
			return err
		}
		o.rows += rec.NumRows()
		o.progress.Add(rec.NumRows())
	}
	o.metadata = a.Metadata()
	return nil
}

func (o *output) begin(schema *arrow.Schema) error {
	if o.target != nil {
		return o.target.Begin(schema)
	}
	o.table = new(show.Table)
	for _, f := range schema.Fields() {
		o.table.Columns = append(o.table.Columns, show.Column{
			Name: f.Name, Type: cells.TypeName(f.Type),
			Right: cells.IsNumber(f.Type), Decimal: arrow.IsFloating(f.Type.ID()), Whole: cells.IsTime(f.Type),
		})
	}
	return nil
}

func (o *output) write(rec arrow.Record) error {
	if o.target != nil {
		return o.target.Write(rec)
	}
	texts := make([]cells.Text, rec.NumCols())
	for i, column := range rec.Columns() {
		texts[i] = cells.Of(column, cells.Short, "-")
	}
	for row := 0; row < int(rec.NumRows()) && len(o.table.Rows) < firstRows; row++ {
		line := make([]string, len(texts))
		for i, text := range texts {
			line[i] = text(row)
		}
		o.table.Rows = append(o.table.Rows, line)
	}
	return nil
}

// finish completes the file, or prints the rows, and says what came of it. What is said goes to standard error if the
// rows themselves went to standard output.
func (o *output) finish() error {
	took := time.Since(o.started)
	o.progress.Done()
	said := io.Writer(os.Stdout)
	var summary strings.Builder
	switch {
	case o.target == nil:
		if err := o.printTable(&summary); err != nil {
			return err
		}
	case o.path == rowfile.Standard:
		said = os.Stderr
		fallthrough
	default:
		if err := o.target.Commit(); err != nil {
			return err
		}
		took = time.Since(o.started)
	}
	report, err := newMatchReport(o.metadata)
	if err != nil {
		return err
	}
	if said == os.Stderr && report == nil && !show.IsTerminal(os.Stderr) {
		return nil // a program that reads the rows did not ask
	}
	if o.path != "" && o.path != rowfile.Standard {
		fmt.Fprintf(&summary, "%s: ", o.path)
	}
	fmt.Fprintf(&summary, "%s, %s in %s", show.Count(o.rows, "row"), show.Count(int64(o.columns), "column"), show.Rate(o.rows, took))
	if o.table != nil && o.rows > int64(len(o.table.Rows)) {
		fmt.Fprintf(&summary, "; the first %d are shown", len(o.table.Rows))
	}
	fmt.Fprintln(said, summary.String())
	return report.print(said)
}

// printTable prints the first rows, and leaves word of the columns that had no room.
func (o *output) printTable(said *strings.Builder) error {
	width := show.Width(os.Stdout)
	hidden, err := o.table.Render(os.Stdout, width)
	if err != nil {
		return err
	}
	if len(hidden) > 0 {
		all := show.Count(int64(len(hidden)), "column") + " had no room: " + strings.Join(hidden, ", ")
		fmt.Fprintln(said, show.Wrap(all, width))
	}
	return nil
}
