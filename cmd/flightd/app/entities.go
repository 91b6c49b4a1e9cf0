package app

import (
	"context"
	"slices"

	"github.com/flightd/flightd/cmd/flightd/internal/client"
	"github.com/flightd/flightd/cmd/flightd/internal/rowfile"
	"github.com/flightd/flightd/tickets"
)

// csvColumns asks the server for the types of the keys of the views in question, so that a CSV file is read as they are:
// text that looks like a number stays text. Names that are not there are left for the server to refuse.
func csvColumns(ctx context.Context, server *client.Client, ask *tickets.Historical) (rowfile.Columns, error) {
	columns := rowfile.Columns{Types: map[string]rowfile.Typed{}, Time: ask.Timestamp}
	if columns.Time == "" {
		columns.Time = "event_timestamp"
	}
	entries, err := server.List(ctx)
	if err != nil {
		return columns, err
	}
	for _, v := range questioned(ask, entries) {
		for _, key := range v.Keys {
			t := v.TypeOf(key)
			if _, known := columns.Types[key]; t != nil && !known {
				columns.Types[key] = rowfile.Typed{Type: t, Why: "a key of " + v.Name}
			}
		}
	}
	return columns, nil
}

// questioned are the views that a question is about.
func questioned(ask *tickets.Historical, entries []*client.Entry) []*client.Entry {
	if ask.FeatureService != "" {
		i := slices.IndexFunc(entries, func(e *client.Entry) bool { return e.Kind == client.FeatureService && e.Name == ask.FeatureService })
		if i < 0 {
			return nil
		}
		views, _ := serviceViews(entries[i], entries)
		return views
	}
	var views []*client.Entry
	for _, e := range entries {
		asked := func(ref tickets.FeatureRef) bool { return ref.View == e.Name }
		if e.Kind == client.FeatureView && slices.ContainsFunc(ask.Features, asked) {
			views = append(views, e)
		}
	}
	return views
}
