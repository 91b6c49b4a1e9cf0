package storetest

import (
	"fmt"
	"testing"

	"github.com/flightd/flightd/joins"
	"github.com/flightd/flightd/stores"
)

var identityChecks = []check{
	{"identity", "A part that has the identity of another one has the same rows.", both(needsIdentity, needsAppend), checkIdentity},
}

// checkIdentity opens a table again and again while it grows.
func checkIdentity(t *testing.T, h Harness) error {
	s, err := h.open(t, history(4, 100))
	if err != nil {
		return err
	}
	known := make(map[string][]string) // identity -> rows
	for i := range 4 {
		table, err := s.OfflineStore.(stores.TableStore).Table(t.Context(), s.src)
		if err != nil {
			return err
		}
		seen := make(map[string]int)
		for part := range table.Parts() {
			id := table.(joins.Identified).Identity(part)
			if id == "" {
				continue
			}
			if other, twice := seen[id]; twice {
				return fmt.Errorf("parts %d and %d have the identity %q", other, part, id)
			}
			seen[id] = part
			rows, err := s.readPart(t.Context(), table, part)
			if err != nil {
				return err
			}
			if before, again := known[id]; again {
				if err := h.same(rows, before); err != nil {
					return fmt.Errorf("part %d has the identity %q of another one: %w", part, id, err)
				}
			}
			known[id] = rows
		}
		more, _ := h.fit(history(1, 7+i))
		if _, err := s.write(t, fmt.Sprint("id ", i), rowsOf(more, nil)); err != nil {
			return err
		}
	}
	return nil
}
