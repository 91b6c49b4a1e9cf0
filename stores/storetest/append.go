package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/flightd/flightd/stores"
)

var appendChecks = []check{
	{"read-only", "A read-only store says ErrUnsupported, and writes nothing.", needsRefusal, checkReadOnly},
	{"append", "Scans that start after Append see all of its rows, after those that were there.", needsAppend, checkAppend},
	{"append fails", "Append is all or nothing when its input fails midway.", needsAppend, checkAppendFails},
	{"append cancel", "Append is all or nothing when its context ends midway.", needsAppend, checkAppendCancel},
	{"append schema", "Another schema is refused and changes nothing.", needsAppend, checkAppendSchema},
	{"append again", "The same id again changes nothing and reports what the first call wrote.", needsAppend, checkAppendAgain},
	{"append other", "The same id with other rows is ErrAlreadyExists and changes nothing.", needsAppend, checkAppendOther},
	{"append ids", "Any text of 1 to 256 bytes is an id of its own.", needsAppend, checkAppendIDs},
	{"append rows", "An empty id stands for the rows: the same rows again change nothing.", needsAppend, checkAppendRows},
	{"append at once", "Of several appends with one id at once, one writes.", needsAppend, checkAppendAtOnce},
	{"append together", "Of several appends at once, none is lost.", needsAppend, checkAppendTogether},
	{"durable", "What Append has reported is there after a restart, its id included.", both(needsAppend, needsReopen), checkDurable},
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

func (o *one) write(t *testing.T, id string, rows stores.Rows) (stores.Written, error) {
	return stores.Write(t.Context(), o.OfflineStore, o.src, id, rows)
}

// holds compares the source with the table as it was loaded, plus what was added.
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

// rows are rows to append to a history, in the types that the store holds.
func (h Harness) rows(records, rowsEach int) Table {
	table, _ := h.fit(history(records, rowsEach))
	return table
}

func checkReadOnly(t *testing.T, h Harness) error {
	s, err := h.open(t, history(1, 5))
	if err != nil {
		return err
	}
	if _, err := s.write(t, "id", rowsOf(s.table, nil)); !errors.Is(err, errors.ErrUnsupported) {
		return fmt.Errorf("got %v", err)
	}
	return s.holds(t, h)
}

func checkAppend(t *testing.T, h Harness) error {
	s, err := h.open(t, history(2, 20))
	if err != nil {
		return err
	}
	more, none := h.rows(3, 7), s.table.zeroRows()
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
	s, err := h.open(t, history(2, 20))
	if err != nil {
		return err
	}
	broken := errors.New("the client went away")
	more := h.rows(3, 7)
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

// checkAppendCancel ends the context between two records. That the store looks at it is not asked, but that it is not
// half done.
func checkAppendCancel(t *testing.T, h Harness) error {
	s, err := h.open(t, history(2, 20))
	if err != nil {
		return err
	}
	more := h.rows(3, 7)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	rows := rowsOf(more, nil)
	all := rows.Records
	rows.Records = func(yield func(arrow.Record, error) bool) {
		for rec, err := range all {
			if !yield(rec, err) {
				return
			}
			cancel()
		}
	}
	if _, err := stores.Write(ctx, s.OfflineStore, s.src, "id", rows); err == nil {
		return s.holds(t, h, more)
	} else if !errors.Is(err, context.Canceled) {
		return fmt.Errorf("the end of the context came back as %v", err)
	}
	return s.holds(t, h)
}

func checkAppendSchema(t *testing.T, h Harness) error {
	s, err := h.open(t, history(2, 20))
	if err != nil {
		return err
	}
	backwards := s.table.names()
	slices.Reverse(backwards)
	fields := slices.Clone(s.table.Schema.Fields())
	fields[0].Type = arrow.FixedWidthTypes.Boolean
	for what, table := range map[string]Table{
		"fewer columns":        s.table.columns(backwards[1:]...),
		"columns out of order": s.table.columns(backwards...),
		"another type":         Table{Schema: arrow.NewSchema(fields, nil)}.zeroRows(),
	} {
		if _, err := s.write(t, what, rowsOf(table, nil)); err == nil {
			return fmt.Errorf("%s were accepted", what)
		}
	}
	return s.holds(t, h)
}

func checkAppendAgain(t *testing.T, h Harness) error {
	s, err := h.open(t, history(2, 20))
	if err != nil {
		return err
	}
	whole, pieces := h.rows(1, 21), h.rows(3, 7) // the same rows
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
	s, err := h.open(t, history(2, 20))
	if err != nil {
		return err
	}
	first := h.rows(1, 9)
	if _, err := s.write(t, "id", rowsOf(first, nil)); err != nil {
		return err
	}
	for _, other := range []Table{h.rows(1, 8), s.table} {
		if _, err := s.write(t, "id", rowsOf(other, nil)); !errors.Is(err, stores.ErrAlreadyExists) {
			return fmt.Errorf("other rows were answered with %v", err)
		}
	}
	return s.holds(t, h, first)
}

func checkAppendIDs(t *testing.T, h Harness) error {
	s, err := h.open(t, history(1, 5))
	if err != nil {
		return err
	}
	var added []Table
	ids := []string{"a", "A", "a ", "a/b", "../a", ".", "a\x00b", "é", strings.Repeat("x", 255), strings.Repeat("x", 256)}
	for i, id := range ids {
		added = append(added, h.rows(1, i+1))
		written, err := s.write(t, id, rowsOf(added[i], nil))
		if err != nil {
			return fmt.Errorf("id %q: %w", id, err)
		}
		if written.Duplicate {
			return fmt.Errorf("id %q is taken for another one", id)
		}
	}
	for i, id := range ids {
		written, err := s.write(t, id, rowsOf(added[i], nil))
		if err != nil || !written.Duplicate {
			return fmt.Errorf("id %q again: %+v, %v", id, written, err)
		}
	}
	return s.holds(t, h, added...)
}

func checkAppendRows(t *testing.T, h Harness) error {
	s, err := h.open(t, history(1, 5))
	if err != nil {
		return err
	}
	whole, pieces, other := h.rows(1, 21), h.rows(3, 7), h.rows(1, 20)
	for _, c := range []struct {
		rows  Table
		known bool
	}{{whole, false}, {pieces, true}, {other, false}, {whole, true}} {
		written, err := s.write(t, "", rowsOf(c.rows, nil))
		if err != nil {
			return err
		}
		if written != (stores.Written{Rows: c.rows.rows(), Duplicate: c.known}) {
			return fmt.Errorf("%d rows, written before: %v, were reported as %+v", c.rows.rows(), c.known, written)
		}
	}
	return s.holds(t, h, whole, other)
}

func checkAppendAtOnce(t *testing.T, h Harness) error {
	s, err := h.open(t, history(2, 20))
	if err != nil {
		return err
	}
	more := h.rows(2, 30)
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

func checkAppendTogether(t *testing.T, h Harness) error {
	s, err := h.open(t, history(1, 5))
	if err != nil {
		return err
	}
	var g errgroup.Group
	var added []Table
	for i := range 8 {
		more := h.rows(1, 10+i)
		added = append(added, more)
		g.Go(func() error {
			_, err := s.write(t, fmt.Sprint("id ", i), rowsOf(more, nil))
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	h.Unordered = true // which came first is anybody's guess
	return s.holds(t, h, added...)
}

func checkDurable(t *testing.T, h Harness) error {
	s, err := h.open(t, history(2, 20))
	if err != nil {
		return err
	}
	more := h.rows(3, 7)
	if _, err := s.write(t, "id", rowsOf(more, nil)); err != nil {
		return err
	}
	if s.OfflineStore, err = h.reopened(t, s.OfflineStore); err != nil {
		return err
	}
	if s.src, err = s.Source(h.sourceText(s.name)); err != nil {
		return err
	}
	if err := s.holds(t, h, more); err != nil {
		return err
	}
	written, err := s.write(t, "id", rowsOf(more, nil))
	if err != nil {
		return err
	}
	if written != (stores.Written{Rows: more.rows(), Duplicate: true}) {
		return fmt.Errorf("the same id after the restart was reported as %+v", written)
	}
	return s.holds(t, h, more)
}
