package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Error is what a call ended with. Its text is for people: the server's own words, or why there was no server.
type Error struct {
	Code    codes.Code
	Message string
}

func (e *Error) Error() string { return e.Message }

// fault turns the error of a call into one for people. Errors that did not come from gRPC stay as they are.
func (c *Client) fault(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	s, ok := status.FromError(err)
	if !ok {
		return err
	}
	message := s.Message()
	switch {
	case s.Code() == codes.Canceled && ctx.Err() != nil:
		return context.Canceled
	case s.Code() == codes.Unavailable:
		message = c.unreachable(message)
	case strings.HasPrefix(message, "unexpected HTTP status code"):
		message = fmt.Sprintf("what answers at %s is not a Flight server (%s)", c.address.URI, message)
	case message == "":
		message = "the server answered with " + s.Code().String() + " and no message"
	}
	return &Error{Code: s.Code(), Message: message}
}

// unreachable finds the words for UNAVAILABLE, which a busy server says too: its own message is kept. The reasons of a
// connection that does not come about are known from the dialer; those of a TLS handshake are in gRPC's text alone.
func (c *Client) unreachable(message string) string {
	if err := c.dials.last.get(); err != nil {
		return fmt.Sprintf("no server answers at %s (%s); start one with `flightd serve`, or name another with --server or FLIGHTD_SERVER",
			c.address.URI, dialReason(err))
	}
	detail := message // of a handshake that failed late, gRPC says no more than what the system said
	_, inner, transport := strings.Cut(message, "desc = ")
	if transport {
		detail = strings.Trim(inner, `"`)
	}
	// A client without a certificate learns of the refusal only after its own side of the handshake is done, and what it
	// writes until then may break the connection before the server's alert is read.
	cut := strings.Contains(detail, "broken pipe") || strings.Contains(detail, "connection reset")
	switch {
	case c.address.TLS && c.address.Cert == "" && cut:
		return fmt.Sprintf("the server at %s broke the connection (%s); if it wants a certificate of its client, give one with --tls-cert FILE --tls-key FILE",
			c.address.URI, detail)
	case strings.Contains(detail, "certificate required"):
		return fmt.Sprintf("the server at %s wants a certificate of its client; give one with --tls-cert FILE --tls-key FILE", c.address.URI)
	case strings.Contains(detail, "unknown authority"):
		return fmt.Sprintf("the certificate of the server at %s is signed by an unknown authority; name its file with --tls-ca FILE", c.address.URI)
	case strings.Contains(detail, "error reading server preface") && !c.address.TLS:
		return fmt.Sprintf("what answers at %s does not speak gRPC without TLS (%s); try grpc+tls://%s", c.address.URI, detail, c.address.HostPort)
	case strings.Contains(detail, "does not look like a TLS handshake"):
		return fmt.Sprintf("the server at %s does not speak TLS; try grpc://%s", c.address.URI, c.address.HostPort)
	}
	if !transport {
		return message
	}
	return fmt.Sprintf("connect to %s: %s", c.address.URI, strings.TrimPrefix(detail, "transport: "))
}

func dialReason(err error) string {
	var op *net.OpError
	var number syscall.Errno
	switch {
	case errors.As(err, &number):
		return number.Error()
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Sprintf("no answer in %v", dialTimeout)
	case errors.As(err, &op):
		return op.Err.Error()
	}
	return err.Error()
}

// lastError is the outcome of the newest attempt to connect; nil if that came about.
type lastError struct {
	mu  sync.Mutex
	err error
}

func (l *lastError) set(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
}

func (l *lastError) get() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// broken says that a stream ended where it must not.
func broken(err error) error {
	if errors.Is(err, io.EOF) {
		return errors.New("the server's answer has no schema")
	}
	return err
}
