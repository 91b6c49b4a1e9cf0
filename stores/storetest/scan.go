package storetest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/flightd/flightd/stores"
)

var schemaChecks = []check{
	{"missing", "A missing source wraps fs.ErrNotExist, and making a source reads nothing.", checkMissing},
	{"schema", "Schema reports every column of the source, in order, with its type.", checkSchema},
}

var scanChecks = []check{
	{"projection", "Records match Schema, projected exactly and in order.", checkProjection},
	{"range", "The range may be exceeded, never cut short.", checkRange},
	{"lazy", "Nothing is read before the sequence is ranged over.", checkLazy},
	{"break", "Breaking early releases all.", checkBreak},
	{"twice", "Ranging twice gives the same rows.", checkTwice},
	{"cancel", "Cancelling ends with context.Canceled.", checkCancel},
	{"concurrent", "Concurrent scans are safe.", checkConcurrent},
}

// fields are the fields of the table as it was loaded, of some of its columns.
func (o *one) fields(columns ...string) []arrow.Field {
	return o.table.columns(columns...).Schema.Fields()
}

// scan reads the selected columns of the source.
func (o *one) scan(ctx context.Context, sel stores.Selection) ([]string, error) {
	return read(o.Scan(ctx, o.src, sel), o.fields(sel.Columns...))
}

func checkMissing(t *testing.T, h Harness) error {
	s, err := h.open(t, history(1, 10))
	if err != nil {
		return err
	}
	src, err := s.Source(h.sourceText("nowhere"))
	if err != nil {
		return fmt.Errorf("the source could not even be named: %w", err)
	}
	if _, err := s.Schema(t.Context(), src); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("Schema: %v", err)
	}
	for rec, err := range s.Scan(t.Context(), src, s.everything()) {
		if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("Scan: %v, %v", rec, err)
		}
	}
	if ts, ok := s.OfflineStore.(stores.TableStore); ok {
		if _, err := ts.Table(t.Context(), src); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("Table: %v", err)
		}
	}
	return nil
}

func checkSchema(t *testing.T, h Harness) error {
	s, err := h.open(t, history(1, 10))
	if err != nil {
		return err
	}
	return s.checkSchema(t.Context())
}

func (o *one) checkSchema(ctx context.Context) error {
	schema, err := o.Schema(ctx, o.src)
	if err != nil {
		return err
	}
	return sameFields(schema.Fields(), o.table.Schema.Fields())
}

func sameFields(have, want []arrow.Field) error {
	if len(have) != len(want) {
		return fmt.Errorf("%d columns where the table has %d", len(have), len(want))
	}
	for i, f := range have {
		if f.Name != want[i].Name || !arrow.TypeEqual(f.Type, want[i].Type) {
			return fmt.Errorf("column %d is %q (%s) where the table has %q (%s)", i, f.Name, f.Type, want[i].Name, want[i].Type)
		}
	}
	return nil
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
			return fmt.Errorf("a scan cancelled before it was ranged over gave %v, %v", rec, err)
		}
	}
	return nil
}

func checkBreak(t *testing.T, h Harness) error {
	s, err := h.open(t, history(8, 500))
	if err != nil {
		return err
	}
	if _, err := s.scan(t.Context(), s.everything()); err != nil { // whatever a store keeps open, it now has
		return err
	}
	before := held()
	for range 50 {
		for _, err := range s.Scan(t.Context(), s.src, s.everything()) {
			if err != nil {
				return err
			}
			break
		}
	}
	if err := before.settled(); err != nil {
		return fmt.Errorf("after 50 scans left at the first record: %w", err)
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

func checkCancel(t *testing.T, h Harness) error {
	s, err := h.open(t, history(20, 2000))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var rows int64
	var last error
	for rec, err := range s.Scan(ctx, s.src, s.everything()) {
		if last != nil {
			return fmt.Errorf("the sequence went on after the error %v", last)
		}
		if last = err; err == nil {
			rows += rec.NumRows()
		}
		cancel()
	}
	if rows < s.table.rows() && !errors.Is(last, context.Canceled) {
		return fmt.Errorf("%d of %d rows, then %v", rows, s.table.rows(), last)
	}
	return nil
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
				have, err := s.scan(t.Context(), stores.Selection{Columns: columns})
				if err != nil {
					return err
				}
				if err := h.same(have, s.table.textRows(columns...)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
}

// resources are what a scan could leave behind: goroutines, and file descriptors where they can be counted.
type resources struct{ goroutines, files int }

func held() resources {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return resources{runtime.NumGoroutine(), 0}
	}
	return resources{runtime.NumGoroutine(), len(entries)}
}

// settled waits until no more is held than before: what ends a moment later is not left behind.
func (before resources) settled() error {
	var now resources
	for range 100 {
		now = held()
		if now.goroutines <= before.goroutines && now.files <= before.files {
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return fmt.Errorf("%d goroutines and %d open files, before it were %d and %d",
		now.goroutines, now.files, before.goroutines, before.files)
}
