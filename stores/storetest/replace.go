package storetest

import (
	"errors"
	"fmt"
	"io/fs"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/flightd/flightd/stores"
)

var replaceChecks = []check{
	{"replace", "Replace makes a source that is not there; one that is there is fs.ErrExist without overwrite, and stays as it is.", needsReplace, checkReplace},
	{"replace fails", "Replace is all or nothing when its input fails midway.", needsReplace, checkReplaceFails},
	{"replace at once", "Of several calls of Replace at once for a source that is not there, without overwrite, one succeeds.", needsReplace, checkReplaceAtOnce},
}

// nowhere is a store whose table under test is not there yet.
func (h Harness) nowhere(t *testing.T) (*one, error) {
	s, err := h.open(t, history(1, 5))
	if err != nil {
		return nil, err
	}
	s.name, s.table = "not there yet", s.table.zeroRows()
	s.src, err = s.Source(h.sourceText(s.name))
	return s, err
}

func (o *one) replace(t *testing.T, rows stores.Rows) (stores.Written, error) {
	return stores.Replace(t.Context(), o.OfflineStore, o.src, false, rows)
}

func checkReplace(t *testing.T, h Harness) error {
	s, err := h.nowhere(t)
	if err != nil {
		return err
	}
	first := h.rows(3, 7)
	written, err := s.replace(t, rowsOf(first, nil))
	if err != nil {
		return err
	}
	if written != (stores.Written{Rows: first.rows()}) {
		return fmt.Errorf("%d rows were reported as %+v", first.rows(), written)
	}
	for _, again := range []Table{h.rows(1, 5), first} {
		if _, err := s.replace(t, rowsOf(again, nil)); !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("what is there was answered with %v", err)
		}
	}
	return s.holds(t, h, first)
}

func checkReplaceFails(t *testing.T, h Harness) error {
	s, err := h.nowhere(t)
	if err != nil {
		return err
	}
	broken := errors.New("the client went away")
	if _, err := s.replace(t, rowsOf(h.rows(3, 7), broken)); !errors.Is(err, broken) {
		return fmt.Errorf("the error of the input came back as %v", err)
	}
	if _, err := s.Schema(t.Context(), s.src); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("after the error Schema says: %v", err)
	}
	return nil
}

func checkReplaceAtOnce(t *testing.T, h Harness) error {
	s, err := h.nowhere(t)
	if err != nil {
		return err
	}
	var g errgroup.Group
	var done atomic.Pointer[Table]
	for i := range 8 {
		rows := h.rows(2, 10+i)
		input := rowsOf(rows, nil)
		records := input.Records
		input.Records = func(yield func(arrow.Record, error) bool) {
			records(yield)
			time.Sleep(20 * time.Millisecond) // so that all have begun before one is done, if the store lets them
		}
		g.Go(func() error {
			_, err := s.replace(t, input)
			switch {
			case err == nil && !done.CompareAndSwap(nil, &rows):
				return errors.New("two say that they wrote")
			case err != nil && !errors.Is(err, fs.ErrExist):
				return err
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if done.Load() == nil {
		return errors.New("none of 8 wrote")
	}
	return s.holds(t, h, *done.Load())
}
