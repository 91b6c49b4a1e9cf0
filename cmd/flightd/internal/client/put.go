package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Written is the server's answer to a write.
type Written struct {
	Rows      int64 `json:"rows"`
	Duplicate bool  `json:"duplicate"`
}

// Put sends rows with a command and waits for the server to say that they are durable. An error of the rows ends the call,
// nothing is written then, and it is the one that is returned.
func (c *Client) Put(ctx context.Context, command []byte, rows Rows) (Written, error) {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	stream, err := c.flight.DoPut(ctx)
	if err != nil {
		return Written{}, c.fault(ctx, err)
	}
	if err := send(stream, command, rows); err != nil {
		end(err)
		return Written{}, err
	}
	var written Written
	result, err := stream.Recv()
	if err == nil {
		err = json.Unmarshal(result.GetAppMetadata(), &written)
		if err == nil {
			_, err = stream.Recv()
		}
	}
	switch {
	case errors.Is(err, io.EOF) && result != nil:
		return written, nil
	case errors.Is(err, io.EOF):
		return written, fmt.Errorf("%s ended the call without an answer; repeat it with the same --request-id to find out", c.address.URI)
	}
	return written, c.fault(ctx, err)
}
