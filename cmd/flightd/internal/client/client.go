// Package client asks a flightd server over Arrow Flight: what it serves, and for rows.
//
// Answers are streamed: a record is lent to the function that receives it. What a server sends is checked as strictly as
// the server checks what it is sent (internal/ipcguard).
package client

import (
	"context"
	"net"
	"time"

	"github.com/apache/arrow/go/v15/arrow/flight"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
)

// dialTimeout bounds the wait for an address that does not answer at all.
const dialTimeout = 10 * time.Second

// Client is a connection to one server. It connects with the first call.
type Client struct {
	address Address
	conn    *grpc.ClientConn
	flight  flight.FlightServiceClient
	dials   *dialer
}

// Dial prepares a connection. It fails only if the address, or a file that it names, cannot be used: nothing is sent yet.
func Dial(a Address) (*Client, error) {
	creds, err := a.credentials()
	if err != nil {
		return nil, err
	}
	c := &Client{address: a, dials: new(dialer)}
	c.conn, err = grpc.NewClient("passthrough:///"+a.HostPort,
		grpc.WithTransportCredentials(creds),
		grpc.WithContextDialer(c.dials.dial),
		// Buffers and windows are those that measured best. One answer batch may be large if one row is.
		grpc.WithReadBufferSize(128<<10), grpc.WithWriteBufferSize(128<<10),
		grpc.WithInitialWindowSize(16<<20), grpc.WithInitialConnWindowSize(16<<20),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(1<<31-1), grpc.MaxCallSendMsgSize(1<<31-1)),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 30 * time.Second, Timeout: 20 * time.Second}),
	)
	if err != nil {
		return nil, err
	}
	c.flight = flight.NewFlightServiceClient(c.conn)
	return c, nil
}

// Close ends the connection.
func (c *Client) Close() error { return c.conn.Close() }

// dialer connects, and remembers why it could not: gRPC tells that as a text only.
type dialer struct {
	last lastError
}

func (d *dialer) dial(ctx context.Context, hostPort string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	var plain net.Dialer
	conn, err := plain.DialContext(ctx, "tcp", hostPort)
	d.last.set(err)
	return conn, err
}
