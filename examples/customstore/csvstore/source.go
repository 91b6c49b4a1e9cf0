package csvstore

import (
	"fmt"
	"path/filepath"

	"github.com/flightd/flightd/stores"
)

// Source is a file below the store's folder.
type Source string

func (s Source) String() string { return string(s) }

// Source makes a data source of the text under `source` of a feature view. Nothing is read: the file may come later.
func (s *Store) Source(text string) (stores.DataSource, error) {
	if text == "" {
		return nil, fmt.Errorf("%w: a source of a csv store is a file, such as driver_stats.csv", stores.ErrInvalid)
	}
	if !filepath.IsLocal(text) {
		return nil, fmt.Errorf("%w: %q is not below the store's folder", stores.ErrForbidden, text)
	}
	return Source(text), nil
}
