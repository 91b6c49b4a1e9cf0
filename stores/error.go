package stores

import (
	"errors"
	"fmt"
	"strings"

	"github.com/flightd/flightd/internal/fault"
	"github.com/flightd/flightd/internal/nearest"
)

// The kinds of error that a store may return, to be wrapped with %w and asked for with errors.Is. A missing source is
// fs.ErrNotExist, something a store does not do errors.ErrUnsupported, use after Close fs.ErrClosed.
var (
	ErrInvalid       error = fault.Invalid       // the request cannot be meant: bad column, type mismatch
	ErrPrecondition  error = fault.Precondition  // the source is not what the configuration says
	ErrAlreadyExists error = fault.AlreadyExists // an id used before with other rows
	ErrExhausted     error = fault.Exhausted     // a limit that this request can never meet
	ErrUnavailable   error = fault.Busy          // may be retried
	ErrDataLoss      error = fault.DataLoss      // the source is broken
	ErrForbidden     error = fault.Forbidden     // outside what the store may touch
)

// ErrNoColumns says that a source is there and holds nothing yet, so that nobody can tell its columns: an empty folder. A
// view that declares its columns (FeatureView.Schema) is then one without rows.
var ErrNoColumns = errors.New("its columns are not known")

// MissingColumnError says that a source lacks a column that a view declares.
type MissingColumnError struct {
	Source string
	Role   string // "join key", "feature", "timestamp" or "created"
	Column string
	Have   []string // the columns that are there
}

func (e *MissingColumnError) Error() string {
	return fmt.Sprintf("source %s has no column %q (%s of the view); %s", e.Source, e.Column, e.Role, nearest.Hint(e.Column, e.Have))
}

// Error says what a store was doing, to which source, and why it did not work, in the manner of fs.PathError.
type Error struct {
	Op     string // "schema", "scan", "table", "append", "replace"
	Source string
	Err    error
}

// Error names the source once: the cause may begin with the name of a file, which is another one only if the source is a
// folder.
func (e *Error) Error() string {
	return fmt.Sprintf("%s %s: %s", e.Op, e.Source, strings.TrimPrefix(e.Err.Error(), e.Source+": "))
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// sourceError wraps err once; an error that already names this source is left alone.
func sourceError(op string, src DataSource, err error) error {
	var have *Error
	if err == nil || errors.As(err, &have) && have.Source == src.String() || fault.IsContext(err) {
		return err
	}
	return &Error{Op: op, Source: src.String(), Err: err}
}
