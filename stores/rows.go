package stores

import (
	"context"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/flightd/flightd/internal/arrowsize"
	"github.com/flightd/flightd/internal/concat"
	"github.com/flightd/flightd/internal/fault"
	"github.com/flightd/flightd/joins"
)

// The number of rows, and of bytes, below which neighbouring records are put together: a client that sends one row at a
// time must not make the join work on one row at a time.
const (
	smallRecord = 4096
	smallBytes  = 1 << 20
)

// collect reads all entity rows into memory, within the limit. Their bytes are accounted for by who received them.
func collect(ctx context.Context, rows Rows, opt Options) (e joins.Entities, release func(), err error) {
	var count int64
	var records []arrow.Record
	m := merger{budget: opt.Budget}
	give := func() {
		for _, rec := range records {
			rec.Release()
		}
		m.close()
	}
	defer func() {
		if err != nil {
			give()
		}
	}()
	for rec, err := range rows.Records {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return e, nil, err
		}
		if count += rec.NumRows(); opt.EntityRows > 0 && count > opt.EntityRows {
			return e, nil, fault.New(fault.Exhausted, "more than %d entity rows in one request (limits.entity_rows); "+
				"send them in several requests, or raise the limit", opt.EntityRows)
		}
		if rec.NumRows() > 0 {
			rec.Retain()
			records = append(records, rec)
		}
	}
	if records, err = m.merge(ctx, records); err != nil {
		return e, nil, err
	}
	return joins.Entities{Schema: rows.Schema, Records: records}, give, nil
}

// merger copies small records into larger ones, whose memory it reserves.
type merger struct {
	budget joins.Budget // nil: unlimited
	held   int64
}

func (m *merger) close() {
	if m.budget != nil {
		m.budget.Release(m.held)
	}
	m.held = 0
}

// merge puts runs of small records together. The others are let through as they are. After an error all are there still.
func (m *merger) merge(ctx context.Context, records []arrow.Record) ([]arrow.Record, error) {
	var merged []arrow.Record
	for len(records) > 0 {
		n, rows, bytes := 0, int64(0), int64(0)
		for n < len(records) && rows+records[n].NumRows() <= smallRecord && bytes <= smallBytes && concat.Fit(records[0], records[n]) {
			rows += records[n].NumRows()
			bytes += arrowsize.Rows(records[n])
			n++
		}
		if n < 2 {
			merged, records = append(merged, records[0]), records[1:]
			continue
		}
		rec, err := m.copy(ctx, records[:n], bytes)
		if err != nil {
			return append(merged, records...), err
		}
		for _, small := range records[:n] {
			small.Release()
		}
		merged, records = append(merged, rec), records[n:]
	}
	return merged, nil
}

func (m *merger) copy(ctx context.Context, records []arrow.Record, bytes int64) (arrow.Record, error) {
	if m.budget != nil {
		if err := m.budget.Reserve(ctx, bytes); err != nil {
			return nil, err
		}
		m.held += bytes
	}
	return concat.Records(records)
}
