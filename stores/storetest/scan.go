package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/flightd/flightd/stores"
)

var scanChecks = []check{
	{"projection", "Records match Schema, projected exactly and in order.", nil, checkProjection},
	{"order", "The order of rows is their position.", needsOrder, checkOrder},
	{"range", "The range may be exceeded, never cut short.", nil, checkRange},
	{"lazy", "Nothing is read before the sequence is ranged over, nor then if its context has ended.", nil, checkLazy},
	{"break", "Breaking early releases all.", nil, checkBreak},
	{"twice", "Ranging twice gives the same rows.", nil, checkTwice},
	{"cancel", "Cancelling ends with context.Canceled, and releases all.", nil, checkCancel},
	{"concurrent", "Every method may be called by several goroutines at once.", nil, checkConcurrent},
}

// fields are the fields of the table as it was loaded, of some of its columns.
func (o *one) fields(columns ...string) []arrow.Field {
	return o.table.columns(columns...).Schema.Fields()
}

// scan reads the selected columns of the source.
func (o *one) scan(ctx context.Context, sel stores.Selection) ([]string, error) {
	return read(o.Scan(ctx, o.src, sel), o.fields(sel.Columns...))
}

func checkProjection(t *testing.T, h Harness) error {
	s, err := h.open(t, history(3, 20))
	if err != nil {
		return err
	}
	all := s.table.names()
	backwards := slices.Clone(all)
	slices.Reverse(backwards)
	selections := [][]string{all, backwards, all[1:2], {all[len(all)-1], all[0]}}
	for _, columns := range selections {
		have, err := s.scan(t.Context(), stores.Selection{Columns: columns})
		if err != nil {
			return fmt.Errorf("columns %q: %w", columns, err)
		}
		if err := h.same(have, s.table.textRows(columns...)); err != nil {
			return fmt.Errorf("columns %q: %w", columns, err)
		}
	}
	for rec, err := range s.Scan(t.Context(), s.src, stores.Selection{Columns: []string{all[0], "no such column"}}) {
		if err == nil {
			return fmt.Errorf("a column that is not there was answered with a record of %d rows", rec.NumRows())
		}
	}
	return nil
}

// checkOrder also reads a table with rows that are equal but for one column, and out of order in every other way.
func checkOrder(t *testing.T, h Harness) error {
	ties := columnTable([]column{
		{"driver_id", arrow.PrimitiveTypes.Int64, `[2, 1, 2, 2, 1, 2]`},
		{"event_timestamp", instant, `[7, 7, 7, 3, 7, 7]`},
		{"note", arrow.BinaryTypes.String, `["f", "a", "b", "z", "", "c"]`},
	})
	for _, table := range []Table{ties, history(4, 50)} {
		s, err := h.open(t, table)
		if err != nil {
			return err
		}
		have, err := s.scan(t.Context(), s.everything())
		if err != nil {
			return err
		}
		if err := h.same(have, s.table.textRows()); err != nil {
			return err
		}
	}
	return nil
}

func checkRange(t *testing.T, h Harness) error {
	s, err := h.open(t, history(5, 40))
	if err != nil {
		return err
	}
	at := func(hour int64) time.Time { return time.UnixMicro(base + hour*step).UTC() }
	for _, window := range [][2]time.Time{
		{at(50), at(120)}, {{}, at(30)}, {at(170), {}}, {at(77), at(77)}, {at(-100), at(-50)}, {at(1000), at(2000)}, {at(20), at(10)},
	} {
		sel := s.everything()
		sel.Time, sel.Start, sel.End = "event_timestamp", window[0], window[1]
		have, err := s.scan(t.Context(), sel)
		if err != nil {
			return fmt.Errorf("from %v to %v: %w", window[0], window[1], err)
		}
		all := s.table.textRows()
		if err := h.contains(have, s.table.within(sel)); err != nil {
			return fmt.Errorf("from %v to %v: %w", window[0], window[1], err)
		}
		if err := h.contains(all, have); err != nil {
			return fmt.Errorf("from %v to %v: a row that is not in the table, or out of order: %w", window[0], window[1], err)
		}
	}
	return nil
}

func checkLazy(t *testing.T, h Harness) error {
	s, err := h.open(t, history(2, 20))
	if err != nil {
		return err
	}
	defer uncollected()()
	before := held()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	records := s.Scan(ctx, s.src, s.everything())
	if err := before.settled(); err != nil {
		return fmt.Errorf("before ranging: %w", err)
	}
	cancel()
	for rec, err := range records {
		if !errors.Is(err, context.Canceled) {
			return fmt.Errorf("a scan cancelled before it was ranged over gave %s, %v", brief(rec), err)
		}
	}
	return nil
}

func checkBreak(t *testing.T, h Harness) error {
	s, err := h.open(t, history(20, 2000))
	if err != nil {
		return err
	}
	if _, err := s.scan(t.Context(), s.everything()); err != nil { // whatever a store keeps open, it now has
		return err
	}
	defer uncollected()()
	before := held()
	for range 20 {
		for _, err := range s.Scan(t.Context(), s.src, s.everything()) {
			if err != nil {
				return err
			}
			break
		}
	}
	if err := before.settled(); err != nil {
		return fmt.Errorf("after 20 scans left at the first record: %w", err)
	}
	have, err := s.scan(t.Context(), s.everything())
	if err != nil {
		return fmt.Errorf("a scan after one that was left: %w", err)
	}
	return h.same(have, s.table.textRows())
}

func checkTwice(t *testing.T, h Harness) error {
	s, err := h.open(t, history(3, 50))
	if err != nil {
		return err
	}
	records := s.Scan(t.Context(), s.src, s.everything())
	for i := range 2 {
		have, err := read(records, s.fields(s.table.names()...))
		if err != nil {
			return fmt.Errorf("time %d: %w", i+1, err)
		}
		if err := h.same(have, s.table.textRows()); err != nil {
			return fmt.Errorf("time %d: %w", i+1, err)
		}
	}
	return nil
}

// checkCancel cancels after the first record. What was on its way may still come; a store that never looks does not pass,
// nor one that calls the end of the context something else.
func checkCancel(t *testing.T, h Harness) error {
	s, err := h.open(t, history(20, 2000))
	if err != nil {
		return err
	}
	if _, err := s.scan(t.Context(), s.everything()); err != nil { // whatever a store keeps open, it now has
		return err
	}
	defer uncollected()()
	before := held()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var rows int64
	var records int
	var last error
	for rec, err := range s.Scan(ctx, s.src, s.everything()) {
		if last != nil {
			return fmt.Errorf("the sequence went on after the error %v", last)
		}
		if last = err; err == nil {
			rows += rec.NumRows()
			records++
		}
		cancel()
	}
	switch {
	case last != nil && !errors.Is(last, context.Canceled):
		return fmt.Errorf("%d of %d rows, then %v", rows, s.table.rows(), last)
	case last == nil && rows < s.table.rows():
		return fmt.Errorf("%d of %d rows, then an end as if they were all", rows, s.table.rows())
	case last == nil && records > 3:
		return fmt.Errorf("all of %d records came, though the context ended after the first", records)
	}
	return before.settled()
}

func checkConcurrent(t *testing.T, h Harness) error {
	s, err := h.open(t, history(4, 200))
	if err != nil {
		return err
	}
	var g errgroup.Group
	for i := range 8 {
		columns := s.table.names()
		if i%2 == 1 {
			columns = columns[:2]
		}
		g.Go(func() error {
			for range 5 {
				if err := s.askAll(t.Context(), h, columns); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
}

// askAll calls every method that reads.
func (o *one) askAll(ctx context.Context, h Harness, columns []string) error {
	if _, err := o.Source(h.sourceText(o.name)); err != nil {
		return err
	}
	if err := o.checkSchema(ctx); err != nil {
		return err
	}
	if ts, ok := o.OfflineStore.(stores.TableStore); ok {
		if _, err := ts.Table(ctx, o.src); err != nil {
			return err
		}
	}
	have, err := o.scan(ctx, stores.Selection{Columns: columns})
	if err != nil {
		return err
	}
	return h.same(have, o.table.textRows(columns...))
}
