package app

import (
	"context"
	"os"
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
	total    int64 // rows of the answer; -1: as many as come
	expected int64 // rows; -1: not known
	sentRows int64
	rows     int64
	counted  bool // rows have come; false: their number is the server's word
	columns  int
	metadata []byte
}

func openOutput(c *cli.Context) (*output, error) {
	o := &output{path: c.String("output"), progress: show.NewProgress(), started: time.Now(), total: -1, expected: -1, counted: true}
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

// learnTotal asks how many rows will come. If that is known, only those that are printed need to be read.
func (o *output) learnTotal(ctx context.Context, server *client.Client, command []byte) (err error) {
	o.total, err = server.Total(ctx, command)
	o.expected = o.total
	return err
}

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
		if o.onScreen() && o.total >= 0 && len(o.table.Rows) == firstRows {
			o.rows, o.counted = o.total, false
			return nil
		}
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
	if len(o.table.Rows) == firstRows {
		return nil
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
