// Package fault classifies errors by what the reader of the error can do about it.
//
// Every package of flightd returns ordinary wrapped errors; where the class matters to a caller (a Flight client sees it
// as a status code) the error carries a Kind. Exactly one function, in flightsvc, turns kinds into gRPC codes.
package fault

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
)

// Kind is the class of an error. A Kind is itself an error, so that errors.Is(err, fault.DataLoss) asks for the class.
type Kind string

// The kinds, each with the gRPC code that clients see.
const (
	Invalid       Kind = "invalid request"     // INVALID_ARGUMENT: malformed, unknown key, bad column, type mismatch
	NotFound      Kind = "not found"           // NOT_FOUND: view, feature, service, source, staged rows; fs.ErrNotExist counts
	Precondition  Kind = "failed precondition" // FAILED_PRECONDITION: the source is not what the configuration says
	AlreadyExists Kind = "already exists"      // ALREADY_EXISTS: a request id used before with other content
	Exhausted     Kind = "limit exceeded"      // RESOURCE_EXHAUSTED: a limit that this request can never meet
	Busy          Kind = "unavailable"         // UNAVAILABLE: may be retried
	DataLoss      Kind = "broken data"         // DATA_LOSS: a source file is broken
	Unimplemented Kind = "not implemented"     // UNIMPLEMENTED: not offered, or an encoding that cannot be read; errors.ErrUnsupported counts
	Forbidden     Kind = "permission denied"   // PERMISSION_DENIED
	Unknown       Kind = "internal error"      // INTERNAL: a bug
)

func (k Kind) Error() string { return string(k) }

// Error is an error of a known kind. Its text is the text of Err alone.
type Error struct {
	Kind Kind
	Err  error
}

func (e *Error) Error() string { return e.Err.Error() }

// Unwrap makes both the kind and the cause visible to errors.Is and errors.As.
func (e *Error) Unwrap() []error { return []error{e.Kind, e.Err} }

// New formats an error of a kind; verbs are those of fmt.Errorf, %w included.
func New(k Kind, format string, args ...any) error {
	return &Error{Kind: k, Err: fmt.Errorf(format, args...)}
}

// KindOf returns the outermost kind in err's tree, Unknown if it has none. Stores of other modules wrap a kind with
// fmt.Errorf, which counts as much as New. The caller looks at context errors first.
func KindOf(err error) Kind {
	var kind Kind
	switch {
	case errors.As(err, &kind):
		return kind
	case errors.Is(err, fs.ErrNotExist):
		return NotFound
	case errors.Is(err, fs.ErrPermission):
		return Forbidden
	case errors.Is(err, errors.ErrUnsupported):
		return Unimplemented
	}
	return Unknown
}

// IsContext reports whether err is the end of a context rather than a failure of the work.
func IsContext(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}
