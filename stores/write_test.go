package stores_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/flightd/flightd/stores"
	"github.com/flightd/flightd/stores/memstore"
)

// sent are columns that a client sends: names, types and values as JSON.
type sent []struct {
	name   string
	typ    arrow.DataType
	values string
}

func (c sent) rows(t *testing.T) stores.Rows {
	t.Helper()
	var fields []arrow.Field
	var arrays []arrow.Array
	for _, col := range c {
		a, _, err := array.FromJSON(memory.DefaultAllocator, col.typ, strings.NewReader(col.values), array.WithUseNumber())
		if err != nil {
			t.Fatal(err)
		}
		fields, arrays = append(fields, arrow.Field{Name: col.name, Type: col.typ, Nullable: true}), append(arrays, a)
	}
	rec := array.NewRecord(arrow.NewSchema(fields, nil), arrays, int64(arrays[0].Len()))
	return stores.Rows{Schema: rec.Schema(), Len: rec.NumRows(), Records: func(yield func(arrow.Record, error) bool) {
		for i := range rec.NumRows() {
			if !yield(rec.NewSlice(i, i+1), nil) {
				return
			}
		}
	}}
}

var (
	i32, i64, f32, f64 = arrow.PrimitiveTypes.Int32, arrow.PrimitiveTypes.Int64, arrow.PrimitiveTypes.Float32, arrow.PrimitiveTypes.Float64
	us, ns             = arrow.FixedWidthTypes.Timestamp_us, arrow.FixedWidthTypes.Timestamp_ns
	mixed              = stores.WriteOptions{MixedNames: true, RoundFloats: true}
)

// view is a view of a table in memory: driver int32, ts, src (called conv in the view).
func view(t *testing.T) (*stores.FeatureView, func() []string) {
	t.Helper()
	s := memstore.New()
	schema := arrow.NewSchema([]arrow.Field{
		{Name: "driver", Type: i32, Nullable: true}, {Name: "ts", Type: us, Nullable: true}, {Name: "src", Type: f32, Nullable: true},
	}, nil)
	if err := s.Put("stats", schema); err != nil {
		t.Fatal(err)
	}
	v := &stores.FeatureView{Name: "v", Keys: []string{"driver"}, Timestamp: "ts", FieldMapping: map[string]string{"src": "conv"},
		Store: s, Source: memstore.Source("stats")}
	return v, func() (rows []string) {
		for rec, err := range s.Scan(t.Context(), memstore.Source("stats"), stores.Selection{Columns: []string{"driver", "ts", "src"}}) {
			if err != nil {
				t.Fatal(err)
			}
			for i := range int(rec.NumRows()) {
				rows = append(rows, rec.Column(0).ValueStr(i)+" "+rec.Column(2).ValueStr(i))
			}
		}
		return rows
	}
}

// Columns come in any order, under one kind of name, and in types that hold the values (semantics P80).
func TestWriteView(t *testing.T) {
	for what, c := range map[string]sent{
		"as it is":         {{"driver", i32, `[1, 2]`}, {"ts", us, `[0, 1]`}, {"src", f32, `[0.5, null]`}},
		"the view's names": {{"driver", i32, `[1, 2]`}, {"ts", us, `[0, 1]`}, {"conv", f32, `[0.5, null]`}},
		"another order":    {{"src", f32, `[0.5, null]`}, {"ts", us, `[0, 1]`}, {"driver", i32, `[1, 2]`}},
		"wider types":      {{"conv", f64, `[0.5, null]`}, {"ts", ns, `[0, 1000]`}, {"driver", i64, `[1, 2]`}},
		"an index": {{"driver", i32, `[1, 2]`}, {"ts", us, `[0, 1]`}, {"src", f32, `[0.5, null]`},
			{"__index_level_0__", i64, `[7, 8]`}},
	} {
		v, rows := view(t)
		written, err := stores.WriteView(t.Context(), v, "id", c.rows(t), stores.WriteOptions{})
		if err != nil || written.Rows != 2 || written.Duplicate {
			t.Errorf("%s: %+v, %v", what, written, err)
		}
		if written, err := stores.WriteView(t.Context(), v, "id", c.rows(t), stores.WriteOptions{}); err != nil || !written.Duplicate {
			t.Errorf("%s again: %+v, %v", what, written, err)
		}
		if got := rows(); !slices.Equal(got, []string{"1 0.5", "2 (null)"}) {
			t.Errorf("%s: %q", what, got)
		}
	}
}

func TestWriteViewRefuses(t *testing.T) {
	driver, ts, src := sent{{"driver", i32, `[1, 2]`}}, sent{{"ts", us, `[0, 1]`}}, sent{{"src", f32, `[0.5, null]`}}
	for what, c := range map[string]struct {
		columns sent
		says    []string
	}{
		"missing":       {slices.Concat(driver, ts), []string{`"src" is missing`}},
		"misspelt":      {slices.Concat(driver, ts, sent{{"srx", f32, `[1, 2]`}}), []string{`"src" is missing`, `did you mean "srx"?`}},
		"extra":         {slices.Concat(driver, ts, src, sent{{"tss", us, `[0, 1]`}}), []string{`no column "tss"`, `did you mean "ts"?`}},
		"both names":    {slices.Concat(driver, ts, src, sent{{"conv", f32, `[1, 2]`}}), []string{`"conv"`}},
		"twice":         {slices.Concat(driver, ts, src, src), []string{`"src" is there twice`}},
		"another kind":  {slices.Concat(driver, ts, sent{{"src", arrow.BinaryTypes.String, `["1", "2"]`}}), []string{`"src" is utf8, and float32`}},
		"out of range":  {slices.Concat(sent{{"driver", i64, `[1, 3000000000]`}}, ts, src), []string{`"driver", row 2: 3000000000 (int64)`, "int32"}},
		"a finer time":  {slices.Concat(driver, sent{{"ts", ns, `[0, 1]`}}, src), []string{`"ts", row 2`, "timestamp[us, tz=UTC]"}},
		"a finer float": {slices.Concat(driver, ts, sent{{"src", f64, `[0.5, 0.1]`}}), []string{`"src", row 2`, "would be rounded"}},
	} {
		v, rows := view(t)
		_, err := stores.WriteView(t.Context(), v, "id", c.columns.rows(t), stores.WriteOptions{})
		if !errors.Is(err, stores.ErrInvalid) {
			t.Errorf("%s: %v", what, err)
			continue
		}
		for _, s := range c.says {
			if !strings.Contains(err.Error(), s) {
				t.Errorf("%s: %v does not say %s", what, err, s)
			}
		}
		if got := rows(); len(got) > 0 {
			t.Errorf("%s: %q was written", what, got)
		}
	}
}

// Where each column may come under either name, it may; where floats may be rounded, they are.
func TestWriteViewLiberties(t *testing.T) {
	v, rows := view(t)
	v.FieldMapping["driver"] = "driver_id"
	v.Keys = []string{"driver_id"}
	c := sent{{"driver_id", i64, `[1]`}, {"src", f64, `[0.1]`}, {"ts", us, `[0]`}}
	if _, err := stores.WriteView(t.Context(), v, "", c.rows(t), stores.WriteOptions{}); !errors.Is(err, stores.ErrInvalid) {
		t.Errorf("strictly: %v", err)
	}
	for range 2 { // without an id every call is a write of its own
		if written, err := stores.WriteView(t.Context(), v, "", c.rows(t), mixed); err != nil || written.Duplicate {
			t.Errorf("%+v, %v", written, err)
		}
	}
	if got := rows(); !slices.Equal(got, []string{"1 0.1", "1 0.1"}) {
		t.Errorf("%q", got)
	}
}

func TestWriteLog(t *testing.T) {
	v, rows := view(t)
	service := &stores.FeatureService{Name: "s"}
	c := sent{{"driver", i64, `[1]`}, {"src", f32, `[0.5]`}, {"ts", us, `[0]`}}
	if _, err := stores.WriteLog(t.Context(), service, c.rows(t), mixed); !errors.Is(err, stores.ErrPrecondition) {
		t.Errorf("without a log: %v", err)
	}
	service.Log = &stores.LogTarget{Store: v.Store, Destination: "stats"}
	for i := range 3 {
		written, err := stores.WriteLog(t.Context(), service, c.rows(t), mixed)
		if err != nil || written != (stores.Written{Rows: 1, Duplicate: i > 0}) {
			t.Errorf("%+v, %v", written, err)
		}
	}
	if got := rows(); !slices.Equal(got, []string{"1 0.5"}) {
		t.Errorf("%q", got)
	}
}

func TestWriteToReadOnlyStore(t *testing.T) {
	v, _ := view(t)
	v.Store = struct{ stores.OfflineStore }{v.Store}
	c := sent{{"driver", i64, `[1]`}, {"src", f32, `[0.5]`}, {"ts", us, `[0]`}}
	if _, err := stores.WriteView(t.Context(), v, "", c.rows(t), mixed); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("%v", err)
	}
}
