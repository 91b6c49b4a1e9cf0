package storetest

import (
	"context"

	"github.com/flightd/flightd/stores"
	"github.com/flightd/flightd/stores/memstore"
)

// compacting is a memory store with a Compact, after which it has other rows or knows no ids any more.
type compacting struct {
	broken
	forgets bool // ids
	doubles bool // rows
	merged  *bool
}

func (c compacting) Compact(ctx context.Context, dst stores.DataSource, _ stores.CompactOptions) (stores.Compacted, error) {
	*c.merged = true
	if !c.doubles {
		return stores.Compacted{}, nil
	}
	schema, err := c.Schema(ctx, dst)
	if err != nil {
		return stores.Compacted{}, err
	}
	var columns []string
	for _, f := range schema.Fields() {
		columns = append(columns, f.Name)
	}
	rows := stores.Rows{Schema: schema, Len: -1, Records: c.Scan(ctx, dst, stores.Selection{Columns: columns})}
	_, err = c.Store.Append(ctx, dst, "", rows)
	return stores.Compacted{}, err
}

func (c compacting) Append(ctx context.Context, dst stores.DataSource, id string, rows stores.Rows) (stores.Written, error) {
	if c.forgets && *c.merged {
		id += " after all"
	}
	return c.Store.Append(ctx, dst, id, rows)
}

var compactFaults = []fault{
	{check: "compact", what: "rows twice", breaks: func(s *memstore.Store) stores.OfflineStore {
		return compacting{broken: broken{Store: s}, doubles: true, merged: new(bool)}
	}},
	{check: "compact", what: "ids forgotten", breaks: func(s *memstore.Store) stores.OfflineStore {
		return compacting{broken: broken{Store: s}, forgets: true, merged: new(bool)}
	}},
}
