package stores_test

import (
	"errors"
	"testing"

	"github.com/flightd/flightd/stores"
)

// A cause may name the file that it is about; the source is named once all the same.
func TestErrorNamesTheSourceOnce(t *testing.T) {
	for cause, want := range map[string]string{
		"a.parquet: broken":     "open a.parquet: broken",
		"sub/a.parquet: gone":   "open a.parquet: sub/a.parquet: gone",
		"a.parquet is a pipe":   "open a.parquet: a.parquet is a pipe",
		"no file \"a.parquet\"": "open a.parquet: no file \"a.parquet\"",
	} {
		err := &stores.Error{Op: "open", Source: "a.parquet", Err: errors.New(cause)}
		if err.Error() != want {
			t.Errorf("%q, want %q", err, want)
		}
	}
}
