package storetest

import (
	"errors"
	"fmt"
	"testing"

	"github.com/flightd/flightd/stores"
)

var compactChecks = []check{
	{"compact", "Compact changes no row and no order, and ids of writes stay known.", needsCompact, checkCompact},
}

func needsCompact(_ Harness, a abilities) string {
	return unless(a.appends && a.compacts, "it is not a stores.CompactingStore")
}

// checkCompact merges what several writes have left, twice, without a grace time: what was merged may be gone then.
func checkCompact(t *testing.T, h Harness) error {
	s, err := h.open(t, history(1, 5))
	if err != nil {
		return err
	}
	var added []Table
	id := func(i int) string { return fmt.Sprint("id ", i) }
	for i := range 6 {
		added = append(added, h.rows(1, 3+i))
		if _, err := s.write(t, id(i), rowsOf(added[i], nil)); err != nil {
			return err
		}
	}
	for round := range 3 {
		if _, err := stores.Compact(t.Context(), s.OfflineStore, s.src, stores.CompactOptions{}); err != nil {
			return err
		}
		if err := s.holds(t, h, added...); err != nil {
			return fmt.Errorf("after %d compactions: %w", round+1, err)
		}
		for i, rows := range added {
			written, err := s.write(t, id(i), rowsOf(rows, nil))
			if err != nil {
				return err
			}
			if want := (stores.Written{Rows: rows.rows(), Duplicate: true}); written != want {
				return fmt.Errorf("after %d compactions an id again was reported as %+v, want %+v", round+1, written, want)
			}
		}
		if _, err := s.write(t, id(0), rowsOf(added[1], nil)); !errors.Is(err, stores.ErrAlreadyExists) {
			return fmt.Errorf("after %d compactions an id with other rows was answered with %v", round+1, err)
		}
	}
	return s.holds(t, h, added...)
}
