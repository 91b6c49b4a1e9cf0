package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/flightd/flightd/stores"
	"github.com/flightd/flightd/stores/memstore"
)

type appendChange func(ctx context.Context, id string, rows stores.Rows, write appendFunc) (stores.Written, error)

func appending(change appendChange) func(*memstore.Store) stores.OfflineStore {
	return func(s *memstore.Store) stores.OfflineStore { return &broken{Store: s, append: change} }
}

// cutOff writes what came before an error of the input, and then reports the error.
func cutOff(ctx context.Context, id string, rows stores.Rows, write appendFunc) (stores.Written, error) {
	var failed error
	some := rows
	some.Records = func(yield func(arrow.Record, error) bool) {
		for rec, err := range rows.Records {
			if failed = errors.Join(err, ctx.Err()); failed != nil || !yield(rec, nil) {
				return
			}
		}
	}
	written, err := write(context.WithoutCancel(ctx), id, some)
	return written, errors.Join(err, failed)
}

// counted counts the rows of an input and writes nothing.
func counted(rows stores.Rows) (w stores.Written, err error) {
	for rec, err := range rows.Records {
		if err != nil {
			return w, err
		}
		w.Rows += rec.NumRows()
	}
	return w, nil
}

func appendFaults() []fault {
	nothing := func(_ context.Context, _ string, rows stores.Rows, _ appendFunc) (stores.Written, error) {
		return counted(rows)
	}
	withID := func(change func(string) string) appendChange {
		return func(ctx context.Context, id string, rows stores.Rows, write appendFunc) (stores.Written, error) {
			return write(ctx, change(id), rows)
		}
	}
	forgetful := func() appendChange { // another id each time
		var n atomic.Int64
		return withID(func(id string) string { return fmt.Sprint(id, n.Add(1)) })
	}
	known := func(w stores.Written, err error) (stores.Written, error) { // an id is known whatever it wrote
		if errors.Is(err, stores.ErrAlreadyExists) {
			return stores.Written{Rows: 9, Duplicate: true}, nil
		}
		return w, err
	}
	return []fault{
		{check: "read-only", what: "writes all the same", breaks: appending(
			func(ctx context.Context, id string, rows stores.Rows, write appendFunc) (stores.Written, error) {
				if _, err := write(ctx, id, rows); err != nil {
					return stores.Written{}, err
				}
				return stores.Written{}, errors.ErrUnsupported
			})},
		{check: "read-only", what: "says something else", breaks: appending(nothing)},
		{check: "append", what: "nothing written", breaks: appending(nothing)},
		{check: "append", what: "miscounted", breaks: appending(
			func(ctx context.Context, id string, rows stores.Rows, write appendFunc) (stores.Written, error) {
				w, err := write(ctx, id, rows)
				w.Rows++
				return w, err
			})},
		{check: "append", what: "in front of what was there", breaks: func(s *memstore.Store) stores.OfflineStore {
			return &broken{Store: s, scan: func(ctx context.Context, sel stores.Selection, rows readFunc) records {
				all := slices.Collect(func(yield func(arrow.Record) bool) {
					for rec := range rows(ctx, sel) {
						rec.Retain()
						if !yield(rec) {
							return
						}
					}
				})
				slices.Reverse(all)
				return func(yield func(arrow.Record, error) bool) {
					for _, rec := range all {
						if !yield(rec, nil) {
							return
						}
					}
				}
			}}
		}},
		{check: "append fails", what: "half written", breaks: appending(cutOff)},
		{check: "append fails", what: "says something else", breaks: saying("append", errors.New("failed"))},
		{check: "append fails", what: "the id is used up", breaks: func(s *memstore.Store) stores.OfflineStore {
			used := make(map[string]bool)
			return &broken{Store: s, append: func(ctx context.Context, id string, rows stores.Rows, write appendFunc) (stores.Written, error) {
				if used[id] {
					return stores.Written{}, stores.ErrAlreadyExists
				}
				used[id] = true
				return write(ctx, id, rows)
			}}
		}},
		{check: "append cancel", what: "half written", breaks: appending(cutOff)},
		{check: "append schema", what: "accepted", breaks: appending(
			func(context.Context, string, stores.Rows, appendFunc) (stores.Written, error) {
				return stores.Written{}, nil
			})},
		{check: "append again", what: "written twice", breaks: appending(forgetful())},
		{check: "append again", what: "not said", breaks: appending(
			func(ctx context.Context, id string, rows stores.Rows, write appendFunc) (stores.Written, error) {
				w, err := write(ctx, id, rows)
				w.Duplicate = false
				return w, err
			})},
		{check: "append again", what: "known by its rows", breaks: appending(withID(func(string) string { return "any" }))},
		{check: "append other", what: "written", breaks: appending(forgetful())},
		{check: "append other", what: "taken as known", breaks: appending(
			func(ctx context.Context, id string, rows stores.Rows, write appendFunc) (stores.Written, error) {
				return known(write(ctx, id, rows))
			})},
		{check: "append ids", what: "without case", breaks: appending(withID(strings.ToLower))},
		{check: "append ids", what: "cut off", breaks: appending(withID(func(id string) string { return id[:min(len(id), 255)] }))},
		{check: "append ids", what: "without a second NUL", breaks: appending(withID(func(id string) string { before, _, _ := strings.Cut(id, "\x00"); return before }))},
		{check: "append rows", what: "written twice", breaks: appending(forgetful())},
		{check: "append rows", what: "one write only", breaks: appending(
			func(ctx context.Context, id string, rows stores.Rows, write appendFunc) (stores.Written, error) {
				if id == "" {
					id = "none"
				}
				return known(write(ctx, id, rows))
			})},
		{check: "append at once", what: "all write", breaks: appending(forgetful())},
		{check: "append together", what: "one is lost", breaks: appending(
			func(ctx context.Context, id string, rows stores.Rows, write appendFunc) (stores.Written, error) {
				if id == "id 3" {
					return counted(rows)
				}
				return write(ctx, id, rows)
			})},
		{check: "durable", what: "rows lost", breaks: whole, reopen: func(t *testing.T, _ stores.OfflineStore) stores.OfflineStore {
			return loaded(t, map[string]Table{"stats": history(2, 20)})
		}},
		{check: "durable", what: "id lost", breaks: whole, reopen: func(t *testing.T, _ stores.OfflineStore) stores.OfflineStore {
			table := history(2, 20)
			table.Records = append(table.Records, history(3, 7).Records...)
			return loaded(t, map[string]Table{"stats": table})
		}},
	}
}
