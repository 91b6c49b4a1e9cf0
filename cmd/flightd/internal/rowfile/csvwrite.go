package rowfile

import (
	"encoding/csv"
	"io"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/flightd/flightd/cmd/flightd/internal/cells"
)

// csvWriter writes a line of names, then a line for each row. Null is an empty value, and so is an empty text: CSV has
// one form for both.
type csvWriter struct {
	csv *csv.Writer
	row []string
}

func newCSVWriter(w io.Writer, schema *arrow.Schema) (*csvWriter, error) {
	c := &csvWriter{csv: csv.NewWriter(w), row: make([]string, len(schema.Fields()))}
	for i, f := range schema.Fields() {
		c.row[i] = f.Name
	}
	return c, c.csv.Write(c.row)
}

func (c *csvWriter) Write(rec arrow.Record) error {
	texts := make([]cells.Text, rec.NumCols())
	for i, column := range rec.Columns() {
		texts[i] = cells.Of(column, cells.Exact, "")
	}
	for row := range int(rec.NumRows()) {
		for i, text := range texts {
			c.row[i] = text(row)
		}
		if err := c.csv.Write(c.row); err != nil {
			return err
		}
	}
	return c.csv.Error()
}

func (c *csvWriter) Close() error {
	c.csv.Flush()
	return c.csv.Error()
}
