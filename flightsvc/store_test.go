package flightsvc

import (
	"context"
	"iter"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/flightd/flightd/stores"
	"github.com/flightd/flightd/testdata/pit"
)

// scripted is a store whose one source does what a test says.
type scripted struct {
	schema func(context.Context) error
	scan   func(ctx context.Context, yield func(arrow.Record, error) bool)
	rows   pit.Table
}

type source string

func (s source) String() string { return string(s) }

func (s *scripted) Source(text string) (stores.DataSource, error) { return source(text), nil }

func (s *scripted) Schema(ctx context.Context, _ stores.DataSource) (*arrow.Schema, error) {
	if s.schema != nil {
		if err := s.schema(ctx); err != nil {
			return nil, err
		}
	}
	return s.rows.Schema, nil
}

func (s *scripted) Scan(ctx context.Context, _ stores.DataSource, sel stores.Selection) iter.Seq2[arrow.Record, error] {
	return func(yield func(arrow.Record, error) bool) {
		project := func(rec arrow.Record, err error) bool {
			if err != nil {
				return yield(nil, err)
			}
			fields, columns := make([]arrow.Field, len(sel.Columns)), make([]arrow.Array, len(sel.Columns))
			for i, name := range sel.Columns {
				at := rec.Schema().FieldIndices(name)[0]
				fields[i], columns[i] = rec.Schema().Field(at), rec.Column(at)
			}
			return yield(array.NewRecord(arrow.NewSchema(fields, nil), columns, rec.NumRows()), nil)
		}
		if s.scan != nil {
			s.scan(ctx, project)
			return
		}
		for _, rec := range s.rows.Records {
			if !project(rec, nil) {
				return
			}
		}
	}
}

func (*scripted) Close() error { return nil }

// catalog is one view, stats, over the store.
func (s *scripted) catalog(t testing.TB) *stores.Catalog {
	t.Helper()
	if s.rows.Schema == nil {
		v, err := pit.Parse("stats", stats)
		if err != nil {
			t.Fatal(err)
		}
		s.rows = v.Views[0].Source
	}
	c, err := stores.NewCatalog([]*stores.FeatureView{{
		Name: "stats", Keys: []string{"key"}, Timestamp: "ts", Store: s, Source: source("scripted"),
	}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// stats is the text of a small view.
const stats = `
view stats keys=key timestamp=ts
key:int64, ts:timestamp, f:utf8
1, 09:00, a
2, 09:00, b

all stats

want
key:int64, ts:timestamp, f:utf8
1, 09:00, a
2, 09:00, b
`

// entities are rows for the view.
func entities(t testing.TB, rows ...string) pit.Table {
	t.Helper()
	text := "view stats keys=key timestamp=ts\nkey:int64, ts:timestamp\n\nhistorical stats\nkey:int64, event_timestamp:timestamp\n"
	for _, row := range rows {
		text += row + "\n"
	}
	v, err := pit.Parse("entities", text+"\nerror invalid\n")
	if err != nil {
		t.Fatal(err)
	}
	return v.Steps[0].Entities
}

// many are n rows for the view, every one of another key.
func many(n int) pit.Table {
	schema := arrow.NewSchema([]arrow.Field{{Name: "key", Type: arrow.PrimitiveTypes.Int64},
		{Name: "event_timestamp", Type: &arrow.TimestampType{Unit: arrow.Microsecond}}}, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	for i := range n {
		b.Field(0).(*array.Int64Builder).Append(int64(i))
		b.Field(1).(*array.TimestampBuilder).Append(arrow.Timestamp(1_704_103_200_000_000)) // 10:00 of the vectors' day
	}
	return pit.Table{Schema: schema, Records: []arrow.Record{b.NewRecord()}}
}

var allOfStats = []byte(`{"all": {"view": "stats"}}`)

var joinStats = []byte(`{"historical": {"features": ["stats"]}}`)
