package storetest

import (
	"time"

	"github.com/apache/arrow/go/v15/arrow/array"

	"github.com/flightd/flightd/stores"
)

// within are the rows of the table that are inside the selection's range, both ends included.
func (table Table) within(sel stores.Selection) []string {
	rows := []string{}
	for _, rec := range table.columns(sel.Columns...).Records {
		times := rec.Column(rec.Schema().FieldIndices(sel.Time)[0]).(*array.Timestamp)
		for i, row := range textRows(rec) {
			if times.IsValid(i) && inside(time.UnixMicro(int64(times.Value(i))), sel.Start, sel.End) {
				rows = append(rows, row)
			}
		}
	}
	return rows
}

func inside(at, start, end time.Time) bool {
	return (start.IsZero() || !at.Before(start)) && (end.IsZero() || !at.After(end))
}
