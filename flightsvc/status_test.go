package flightsvc

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"unicode/utf8"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/flightd/flightd/internal/fault"
)

// TestStatusCodes is the table of what a client sees for every class of error, however deep it is wrapped.
func TestStatusCodes(t *testing.T) {
	for _, c := range []struct {
		err  error
		want codes.Code
	}{
		{fault.New(fault.Invalid, "x"), codes.InvalidArgument},
		{fault.New(fault.NotFound, "x"), codes.NotFound},
		{fmt.Errorf("scan: %w", fs.ErrNotExist), codes.NotFound},
		{fault.New(fault.Precondition, "x"), codes.FailedPrecondition},
		{fault.New(fault.AlreadyExists, "x"), codes.AlreadyExists},
		{fault.New(fault.Exhausted, "x"), codes.ResourceExhausted},
		{fault.New(fault.Busy, "x"), codes.Unavailable},
		{fault.New(fault.DataLoss, "x"), codes.DataLoss},
		{fault.New(fault.Unimplemented, "x"), codes.Unimplemented},
		{fmt.Errorf("append: %w", errors.ErrUnsupported), codes.Unimplemented},
		{fault.New(fault.Forbidden, "x"), codes.PermissionDenied},
		{errors.New("x"), codes.Internal},
		{status.Error(codes.ResourceExhausted, "grpc: received message larger than max"), codes.ResourceExhausted},
		{fmt.Errorf("outer: %w", fmt.Errorf("inner: %w", fault.New(fault.DataLoss, "x"))), codes.DataLoss},
	} {
		if got := status.Code(toStatus(context.Background(), c.err)); got != c.want {
			t.Errorf("%v: code %s, want %s", c.err, got, c.want)
		}
	}
}

// TestStatusOfEndedContexts: CANCELLED is said only when the client itself cancelled.
func TestStatusOfEndedContexts(t *testing.T) {
	ended := func(cause error) context.Context {
		ctx, cancel := context.WithCancelCause(context.Background())
		cancel(cause)
		return ctx
	}
	for _, c := range []struct {
		name string
		ctx  context.Context
		want codes.Code
	}{
		{"client cancelled", ended(context.Canceled), codes.Canceled},
		{"client's deadline", ended(context.DeadlineExceeded), codes.DeadlineExceeded},
		{"server drains", ended(errDraining), codes.Unavailable},
		{"over limits.query", ended(errOverdue), codes.DeadlineExceeded},
		{"idle upload", ended(errIdle), codes.DeadlineExceeded},
		{"stalled answer", ended(errStalled), codes.DeadlineExceeded},
		{"no room for a message", ended(errCrowded), codes.Unavailable},
		{"a message too large", ended(fault.New(fault.Exhausted, "x")), codes.ResourceExhausted},
		{"an inner context", context.Background(), codes.Unavailable},
	} {
		if got := status.Code(toStatus(c.ctx, fmt.Errorf("read: %w", context.Canceled))); got != c.want {
			t.Errorf("%s: code %s, want %s", c.name, got, c.want)
		}
	}
}

// TestStatusTextIsClipped: clients limit the metadata of a response, in which the text travels percent-encoded.
func TestStatusTextIsClipped(t *testing.T) {
	for _, c := range []struct {
		text  string
		least int
	}{
		{strings.Repeat("x", 10_000), 4000}, {strings.Repeat("ü", 10_000), 2000}, {strings.Repeat("%", 10_000), 2000},
		{strings.Repeat("𝄞\xff", 10_000), 1500}, {strings.Repeat("x", 4096), 4096}, {"\xff", 1},
	} {
		text := status.Convert(toStatus(context.Background(), fault.New(fault.Invalid, "%s", c.text))).Message()
		encoded := 0
		for _, b := range []byte(text) {
			if encoded++; b < ' ' || b > '~' || b == '%' {
				encoded += 2
			}
		}
		if len(text) > 4096 || len(text) < c.least || encoded > maxEncoded+9 || !utf8.ValidString(text) {
			t.Errorf("%d bytes of %.4q became %d, %d on the wire, valid: %t", len(c.text), c.text, len(text), encoded, utf8.ValidString(text))
		}
	}
}
