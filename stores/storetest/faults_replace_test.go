package storetest

import (
	"context"
	"errors"
	"io/fs"

	"github.com/flightd/flightd/stores"
	"github.com/flightd/flightd/stores/memstore"
)

type replaceFunc func(ctx context.Context, dst stores.DataSource, rows stores.Rows) (stores.Written, error)

func replacing(change func(*memstore.Store) replaceFunc) func(*memstore.Store) stores.OfflineStore {
	return func(s *memstore.Store) stores.OfflineStore { return &broken{Store: s, swap: change(s)} }
}

// overwrites replaces whatever is there.
func overwrites(s *memstore.Store) replaceFunc {
	return func(ctx context.Context, dst stores.DataSource, rows stores.Rows) (stores.Written, error) {
		return s.Replace(ctx, dst, true, rows)
	}
}

var replaceFaults = []fault{
	{check: "replace", what: "overwrites", breaks: replacing(overwrites)},
	{check: "replace", what: "says something else", breaks: replacing(func(s *memstore.Store) replaceFunc {
		return func(ctx context.Context, dst stores.DataSource, rows stores.Rows) (stores.Written, error) {
			w, err := s.Replace(ctx, dst, false, rows)
			if errors.Is(err, fs.ErrExist) {
				err = errors.New("there is something")
			}
			return w, err
		}
	})},
	{check: "replace", what: "nothing written", breaks: replacing(func(*memstore.Store) replaceFunc {
		return func(_ context.Context, _ stores.DataSource, rows stores.Rows) (stores.Written, error) {
			return counted(rows)
		}
	})},
	{check: "replace fails", what: "half written", breaks: replacing(func(s *memstore.Store) replaceFunc {
		return func(ctx context.Context, dst stores.DataSource, rows stores.Rows) (stores.Written, error) {
			return cutOff(ctx, "", rows, func(ctx context.Context, _ string, rows stores.Rows) (stores.Written, error) {
				return s.Replace(ctx, dst, false, rows)
			})
		}
	})},
	{check: "replace at once", what: "looks before it writes", breaks: replacing(func(s *memstore.Store) replaceFunc {
		overwrite := overwrites(s)
		return func(ctx context.Context, dst stores.DataSource, rows stores.Rows) (stores.Written, error) {
			if _, err := s.Schema(ctx, dst); err == nil {
				return stores.Written{}, fs.ErrExist
			}
			return overwrite(ctx, dst, rows)
		}
	})},
}
