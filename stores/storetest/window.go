package storetest

import (
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"github.com/flightd/flightd/stores"
)

// within are the rows of the table that are inside the selection's range, both ends included.
func (table Table) within(sel stores.Selection) []string {
	rows := []string{}
	for _, rec := range table.columns(sel.Columns...).Records {
		times := rec.Column(rec.Schema().FieldIndices(sel.Time)[0]).(*array.Timestamp)
		unit := times.DataType().(*arrow.TimestampType).Unit
		for i, row := range textRows(rec) {
			if times.IsValid(i) && inside(times.Value(i).ToTime(unit), sel.Start, sel.End) {
				rows = append(rows, row)
			}
		}
	}
	return rows
}

func inside(at, start, end time.Time) bool {
	return (start.IsZero() || !at.Before(start)) && (end.IsZero() || !at.After(end))
}
