package flightsvc

import (
	"context"
	"errors"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/flightd/flightd/internal/fault"
)

// maxMessage bounds the text of a status: clients limit a response's metadata to 8 KiB.
const maxMessage = 4096

// Reasons for which the server itself ends a call's context. They are causes, so that a call which stops because of one
// is told from a call whose client went away.
var (
	errDraining = fault.New(fault.Busy, "the server is shutting down; try again")
	errOverdue  = errors.New("the call took longer than limits.query allows")
	errIdle     = errors.New("no message came for longer than an open upload may be idle")
	errStalled  = errors.New("the client did not read its answer for longer than limits.stalled allows")
)

var codeOf = map[fault.Kind]codes.Code{
	fault.Invalid:       codes.InvalidArgument,
	fault.NotFound:      codes.NotFound,
	fault.Precondition:  codes.FailedPrecondition,
	fault.AlreadyExists: codes.AlreadyExists,
	fault.Exhausted:     codes.ResourceExhausted,
	fault.Busy:          codes.Unavailable,
	fault.DataLoss:      codes.DataLoss,
	fault.Unimplemented: codes.Unimplemented,
	fault.Forbidden:     codes.PermissionDenied,
	fault.Unknown:       codes.Internal,
}

// toStatus is the one place where errors become status codes. CANCELLED is said only when the client itself cancelled:
// pyarrow turns it into a KeyboardInterrupt.
func toStatus(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if fault.IsContext(err) || status.Code(err) == codes.Canceled || status.Code(err) == codes.DeadlineExceeded {
		return contextStatus(ctx, err)
	}
	if s, ok := status.FromError(err); ok {
		return s.Err()
	}
	kind := fault.KindOf(err)
	if kind == fault.Unknown {
		return status.Error(codes.Internal, "internal error; the server's log has the details under the call's id")
	}
	return status.Error(codeOf[kind], clip(err.Error()))
}

// contextStatus tells why a context ended.
func contextStatus(ctx context.Context, err error) error {
	switch cause := context.Cause(ctx); {
	case cause == nil: // a context inside the call ended, not the call's own
		if errors.Is(err, context.DeadlineExceeded) {
			return status.Error(codes.DeadlineExceeded, clip(err.Error()))
		}
		return status.Error(codes.Unavailable, "the work was interrupted; try again")
	case errors.Is(cause, errDraining):
		return status.Error(codes.Unavailable, errDraining.Error())
	case errors.Is(cause, context.Canceled):
		return status.Error(codes.Canceled, "the client cancelled the call")
	case errors.Is(cause, context.DeadlineExceeded):
		return status.Error(codes.DeadlineExceeded, "the client's deadline has passed")
	default:
		return status.Error(codes.DeadlineExceeded, cause.Error())
	}
}

func clip(s string) string {
	s = strings.ToValidUTF8(s, "?")
	if len(s) > maxMessage {
		return strings.ToValidUTF8(s[:maxMessage], "") + "…"
	}
	return s
}
