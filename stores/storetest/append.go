package storetest

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/flightd/flightd/stores"
)

var appendChecks = []check{
	{"read-only", "A read-only store says ErrUnsupported.", checkReadOnly},
	{"append", "Scans that start after Append see all of its rows, after those that were there.", checkAppend},
	{"append fails", "Append is all or nothing when its input fails midway.", checkAppendFails},
	{"append schema", "Another schema is refused and changes nothing.", checkAppendSchema},
	{"append again", "The same id again changes nothing and reports what the first call wrote.", checkAppendAgain},
	{"append other", "The same id with other rows is ErrAlreadyExists and changes nothing.", checkAppendOther},
	{"append at once", "Of several appends with one id at once, one writes.", checkAppendAtOnce},
}

// rowsOf makes the input of an append of a table; it ends with err if that is not nil.
func rowsOf(table Table, err error) stores.Rows {
	return stores.Rows{Schema: table.Schema, Len: -1, Records: func(yield func(arrow.Record, error) bool) {
		for _, rec := range table.Records {
			if !yield(rec, nil) {
				return
			}
		}
		if err != nil {
			yield(nil, err)
		}
	}}
}

// writable makes a store that can append, with a table of some rows.
func (h Harness) writable(t *testing.T) (*one, error) {
	s, err := h.open(t, history(2, 20))
	if err != nil {
		return nil, err
	}
	if _, ok := s.OfflineStore.(stores.WritableStore); !ok {
		return nil, errUnable
	}
	return s, nil
}

func (o *one) write(t *testing.T, id string, rows stores.Rows) (stores.Written, error) {
	return stores.Write(t.Context(), o.OfflineStore, o.src, id, rows)
}

// unchanged compares the source with the table as it was loaded, plus what was added.
func (o *one) holds(t *testing.T, h Harness, added ...Table) error {
	want := o.table.textRows()
	for _, table := range added {
		want = append(want, table.textRows()...)
	}
	have, err := o.scan(t.Context(), o.everything())
	if err != nil {
		return err
	}
	return h.same(have, want)
}

func checkReadOnly(t *testing.T, h Harness) error {
	s, err := h.open(t, history(1, 5))
	if err != nil {
		return err
	}
	_, err = stores.Write(t.Context(), hidden{s.OfflineStore}, s.src, "id", rowsOf(s.table, nil))
	if !errors.Is(err, errors.ErrUnsupported) {
		return fmt.Errorf("with its abilities hidden: %v", err)
	}
	return s.holds(t, h)
}

func checkAppend(t *testing.T, h Harness) error {
	s, err := h.writable(t)
	if err != nil {
		return err
	}
	more, none := h.held(history(3, 7)), s.table.zeroRows()
	scan := s.Scan(t.Context(), s.src, s.everything()) // made before, ranged over after
	for id, rows := range map[string]Table{"first": more, "nothing": none} {
		written, err := s.write(t, id, rowsOf(rows, nil))
		if err != nil {
			return err
		}
		if written != (stores.Written{Rows: rows.rows()}) {
			return fmt.Errorf("%d rows were reported as %+v", rows.rows(), written)
		}
	}
	if err := s.holds(t, h, more); err != nil {
		return err
	}
	have, err := read(scan, s.table.Schema.Fields())
	if err != nil {
		return err
	}
	return h.same(have, append(s.table.textRows(), more.textRows()...))
}

func checkAppendFails(t *testing.T, h Harness) error {
	s, err := h.writable(t)
	if err != nil {
		return err
	}
	broken := errors.New("the client went away")
	more := h.held(history(3, 7))
	if _, err := s.write(t, "id", rowsOf(more, broken)); !errors.Is(err, broken) {
		return fmt.Errorf("the error of the input came back as %v", err)
	}
	if err := s.holds(t, h); err != nil {
		return err
	}
	if _, err := s.write(t, "id", rowsOf(more, nil)); err != nil {
		return fmt.Errorf("the id of an append that failed was used up: %w", err)
	}
	return s.holds(t, h, more)
}

func checkAppendSchema(t *testing.T, h Harness) error {
	s, err := h.writable(t)
	if err != nil {
		return err
	}
	backwards := s.table.names()
	slices.Reverse(backwards)
	for what, table := range map[string]Table{
		"fewer columns":        s.table.columns(backwards[1:]...),
		"columns out of order": s.table.columns(backwards...),
		"another type":         columnTable([]column{{s.table.names()[0], arrow.FixedWidthTypes.Boolean, `[true]`}}),
	} {
		if _, err := s.write(t, what, rowsOf(table, nil)); err == nil {
			return fmt.Errorf("%s were accepted", what)
		}
	}
	return s.holds(t, h)
}

func checkAppendAgain(t *testing.T, h Harness) error {
	s, err := h.writable(t)
	if err != nil {
		return err
	}
	whole, pieces := h.held(history(1, 21)), h.held(history(3, 7)) // the same rows
	if _, err := s.write(t, "id", rowsOf(whole, nil)); err != nil {
		return err
	}
	for _, again := range []Table{whole, pieces} {
		written, err := s.write(t, "id", rowsOf(again, nil))
		if err != nil {
			return err
		}
		if written != (stores.Written{Rows: 21, Duplicate: true}) {
			return fmt.Errorf("the repeat was reported as %+v", written)
		}
	}
	if _, err := s.write(t, "another id", rowsOf(whole, nil)); err != nil {
		return fmt.Errorf("the same rows under another id: %w", err)
	}
	return s.holds(t, h, whole, whole)
}

func checkAppendOther(t *testing.T, h Harness) error {
	s, err := h.writable(t)
	if err != nil {
		return err
	}
	first := h.held(history(1, 9))
	if _, err := s.write(t, "id", rowsOf(first, nil)); err != nil {
		return err
	}
	for _, other := range []Table{h.held(history(1, 8)), s.table} {
		if _, err := s.write(t, "id", rowsOf(other, nil)); !errors.Is(err, stores.ErrAlreadyExists) {
			return fmt.Errorf("other rows were answered with %v", err)
		}
	}
	return s.holds(t, h, first)
}

func checkAppendAtOnce(t *testing.T, h Harness) error {
	s, err := h.writable(t)
	if err != nil {
		return err
	}
	more := h.held(history(2, 30))
	var wrote atomic.Int64
	var g errgroup.Group
	for range 8 {
		g.Go(func() error {
			written, err := s.write(t, "id", rowsOf(more, nil))
			if err == nil && !written.Duplicate {
				wrote.Add(1)
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if wrote.Load() != 1 {
		return fmt.Errorf("%d of 8 say that they wrote", wrote.Load())
	}
	return s.holds(t, h, more)
}
