package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/apache/arrow/go/v15/arrow/flight"
)

// Explanation is what a request read and what it could skip.
type Explanation struct {
	Plan         []string `json:"plan"`
	Rows         int64    `json:"rows"`
	PartsRead    int64    `json:"parts_read"`
	PartsSkipped int64    `json:"parts_skipped"`
	FilesRead    int64    `json:"files_read"`
	FilesSkipped int64    `json:"files_skipped"`
	BytesRead    int64    `json:"bytes_read"`    // of key and time columns, or of all that are asked for
	BytesSkipped int64    `json:"bytes_skipped"` // the same
	RowsRead     int64    `json:"rows_read"`
	Fetched      int64    `json:"feature_rows_fetched"`
	Memory       int64    `json:"memory_reserved_bytes"`
}

// Explain runs a ticket on the server, without its answer.
func (c *Client) Explain(ctx context.Context, ticket []byte) (*Explanation, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.flight.DoAction(ctx, &flight.Action{Type: "flightd.explain", Body: ticket})
	if err != nil {
		return nil, c.fault(ctx, err)
	}
	result, err := stream.Recv()
	if errors.Is(err, io.EOF) {
		return nil, errors.New("the server did not explain anything")
	}
	if err != nil {
		return nil, c.fault(ctx, err)
	}
	var e Explanation
	if err := json.Unmarshal(result.GetBody(), &e); err != nil {
		return nil, fmt.Errorf("the server's explanation: %w", err)
	}
	return &e, nil
}
