package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/flight"

	"github.com/flightd/flightd/internal/ipcguard"
)

// The kinds of Entry.
const (
	FeatureView    = "feature_view"
	FeatureService = "feature_service"
)

// Entry is a feature view or a feature service as the server lists it.
type Entry struct {
	Kind      string   `json:"kind"`
	Name      string   `json:"name"`
	Keys      []string `json:"keys"`
	Features  []string `json:"features"` // of a service: view:feature, or view for all of its features
	Timestamp string   `json:"timestamp"`
	Created   string   `json:"created"`
	TTL       string   `json:"ttl"` // as Go writes a duration; "": never too old
	Source    string   `json:"source"`
	FullNames bool     `json:"full_feature_names"` // of a service: two of its features have one short name
	Error     string   `json:"error"`              // why Schema is empty

	Schema *arrow.Schema `json:"-"` // of a view's `all`; of a service's features
	Rows   int64         `json:"-"` // -1: not known without reading
}

// TypeOf is the type of a column, nil if there is no such column.
func (e *Entry) TypeOf(column string) arrow.DataType {
	if i := e.Schema.FieldIndices(column); len(i) > 0 {
		return e.Schema.Field(i[0]).Type
	}
	return nil
}

// List returns what the server serves, views first.
func (c *Client) List(ctx context.Context) ([]*Entry, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.flight.ListFlights(ctx, &flight.Criteria{})
	if err != nil {
		return nil, c.fault(ctx, err)
	}
	var entries []*Entry
	for {
		info, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return entries, nil
		}
		if err != nil {
			return nil, c.fault(ctx, err)
		}
		e, err := readEntry(ctx, info)
		if err != nil {
			return nil, fmt.Errorf("an entry of the server's list: %w", err)
		}
		entries = append(entries, e)
	}
}

func readEntry(ctx context.Context, info *flight.FlightInfo) (*Entry, error) {
	e := &Entry{Rows: info.GetTotalRecords()}
	if err := json.Unmarshal(info.GetAppMetadata(), e); err != nil {
		return nil, fmt.Errorf("its metadata: %w", err)
	}
	r, err := ipcguard.NewReader(ctx, ipcguard.Bytes(info.GetSchema()), ipcguard.Limits{})
	if err != nil {
		return nil, fmt.Errorf("the schema of %q: %w", e.Name, broken(err))
	}
	e.Schema = r.Schema()
	return e, nil
}

// Names returns the names of all entries, in order and each once.
func Names(entries []*Entry) []string {
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name
	}
	slices.Sort(names)
	return slices.Compact(names)
}
