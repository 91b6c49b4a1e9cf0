package stores

import (
	"context"
	"errors"
	"fmt"
)

// Write appends rows to a source of a store, all of them or none. A store that cannot write answers with
// errors.ErrUnsupported.
func Write(ctx context.Context, s OfflineStore, dst DataSource, id string, rows Rows) (Written, error) {
	w, ok := s.(WritableStore)
	if !ok {
		return Written{}, sourceError("append", dst, fmt.Errorf("the store is read-only: %w", errors.ErrUnsupported))
	}
	written, err := w.Append(ctx, dst, id, rows)
	return written, sourceError("append", dst, err)
}
