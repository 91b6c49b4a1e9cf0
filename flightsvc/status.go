package flightsvc

import (
	"context"
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/flightd/flightd/internal/fault"
)

// Bounds of the text of a status. It travels as metadata, of which clients take 8 KiB, and there most bytes beyond ASCII
// become three.
const (
	maxMessage = 4096
	maxEncoded = 6144
)

// Reasons for which the server itself ends a call. They are causes of the context's end, so that a call which stops
// because of one is told from a call whose client went away.
var (
	errDraining = fault.New(fault.Busy, "the server is shutting down; try again")
	errCrowded  = fault.New(fault.Busy, "too many large messages are coming in at once (limits.memory); try again, or send smaller batches")
	errOverdue  = errors.New("the call took longer than limits.query allows")
	errIdle     = errors.New("no message came for longer than an open call may be silent (60 s)")
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
	kind := fault.KindOf(err)
	interrupted := fault.IsContext(err) || status.Code(err) == codes.Canceled || status.Code(err) == codes.DeadlineExceeded
	switch {
	case interrupted && (kind == fault.Unknown || ctx.Err() != nil):
		return contextStatus(ctx, err)
	case kind != fault.Unknown: // also of a wait inside the call that was too long for a store
		if text, ok := feastText(err); ok {
			return status.Error(codeOf[kind], text)
		}
		return status.Error(codeOf[kind], clip(err.Error()))
	}
	if s, ok := status.FromError(err); ok { // gRPC's own: it could not send or receive
		return status.Error(s.Code(), clip(s.Message()))
	}
	return status.Error(codes.Internal, "internal error; the server's log has the details under the call's id")
}

// contextStatus tells why a context ended.
func contextStatus(ctx context.Context, err error) error {
	cause := context.Cause(ctx)
	if kind := fault.KindOf(cause); cause != nil && kind != fault.Unknown {
		return status.Error(codeOf[kind], clip(cause.Error()))
	}
	switch {
	case cause == nil: // a context inside the call ended, not the call's own
		if errors.Is(err, context.DeadlineExceeded) {
			return status.Error(codes.DeadlineExceeded, clip(err.Error()))
		}
		return status.Error(codes.Unavailable, "the work was interrupted; try again")
	case errors.Is(cause, context.DeadlineExceeded), errors.Is(cause, context.Canceled) && overdue(ctx):
		return status.Error(codes.DeadlineExceeded, "the client's deadline has passed")
	case errors.Is(cause, context.Canceled):
		return status.Error(codes.Canceled, "the client cancelled the call")
	default:
		return status.Error(codes.DeadlineExceeded, cause.Error())
	}
}

// overdue reports whether the client's deadline has passed. A client takes its call back when it has, and that may be
// heard of first.
func overdue(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ok && !time.Now().Before(deadline)
}

// clip makes text fit into a status.
func clip(text string) string {
	const ellipsis = "…"
	text = strings.ToValidUTF8(text, "?")
	encoded := 0
	for i, r := range text {
		n := utf8.RuneLen(r)
		if encoded += n; r < ' ' || r > '~' || r == '%' {
			encoded += 2 * n
		}
		if i+n > maxMessage || encoded > maxEncoded {
			return strings.ToValidUTF8(text[:i-min(i, 3*len(ellipsis))], "") + ellipsis
		}
	}
	return text
}
