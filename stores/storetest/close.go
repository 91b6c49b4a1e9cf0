package storetest

import (
	"errors"
	"fmt"
	"io/fs"
	"testing"

	"github.com/flightd/flightd/stores"
)

var closeChecks = []check{
	{"closed", "After Close every call fails with fs.ErrClosed.", nil, checkClosed},
	{"foreign", "A source that another store made is an error, not a panic.", nil, checkForeign},
}

func checkClosed(t *testing.T, h Harness) error {
	s, err := h.open(t, history(1, 10))
	if err != nil {
		return err
	}
	records := s.Scan(t.Context(), s.src, s.everything())
	if err := s.Close(); err != nil {
		return fmt.Errorf("Close: %w", err)
	}
	if _, err := s.Schema(t.Context(), s.src); !errors.Is(err, fs.ErrClosed) {
		return fmt.Errorf("Schema: %v", err)
	}
	ended := false
	for rec, err := range records {
		if ended = true; !errors.Is(err, fs.ErrClosed) {
			return fmt.Errorf("Scan: %s, %v", brief(rec), err)
		}
	}
	if !ended {
		return errors.New("Scan ended without an error")
	}
	if ts, ok := s.OfflineStore.(stores.TableStore); ok {
		if _, err := ts.Table(t.Context(), s.src); !errors.Is(err, fs.ErrClosed) {
			return fmt.Errorf("Table: %v", err)
		}
	}
	if ws, ok := s.OfflineStore.(stores.WritableStore); ok {
		if _, err := ws.Append(t.Context(), s.src, "id", rowsOf(s.table, nil)); !errors.Is(err, fs.ErrClosed) {
			return fmt.Errorf("Append: %v", err)
		}
	}
	return nil
}

// foreign is a source that no store has made.
type foreign struct{}

func (foreign) String() string { return "no such thing, made by another store" }

func checkForeign(t *testing.T, h Harness) (err error) {
	s, err := h.open(t, history(1, 10))
	if err != nil {
		return err
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	if _, err := s.Schema(t.Context(), foreign{}); err == nil {
		return errors.New("Schema answered")
	}
	for rec, err := range s.Scan(t.Context(), foreign{}, s.everything()) {
		if err == nil {
			return fmt.Errorf("Scan answered with %d rows", rec.NumRows())
		}
	}
	if ts, ok := s.OfflineStore.(stores.TableStore); ok {
		if _, err := ts.Table(t.Context(), foreign{}); err == nil {
			return errors.New("Table answered")
		}
	}
	if ws, ok := s.OfflineStore.(stores.WritableStore); ok {
		if _, err := ws.Append(t.Context(), foreign{}, "id", rowsOf(s.table, nil)); err == nil {
			return errors.New("Append answered")
		}
	}
	return nil
}
