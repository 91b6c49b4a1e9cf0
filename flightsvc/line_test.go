package flightsvc

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/flight"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/rs/zerolog"

	"github.com/flightd/flightd/internal/parquetio"
	"github.com/flightd/flightd/joins"
	"github.com/flightd/flightd/stores"
	"github.com/flightd/flightd/stores/filestore"
)

// twoDays is a catalog of a view whose source is a folder of two files with a row group of three rows each, one for each of
// the first days of 2024.
func twoDays(t testing.TB) *stores.Catalog {
	t.Helper()
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "stats"), 0o755); err != nil {
		t.Fatal(err)
	}
	schema := arrow.NewSchema([]arrow.Field{
		{Name: "key", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
		{Name: "ts", Type: &arrow.TimestampType{Unit: arrow.Microsecond}, Nullable: true},
		{Name: "f", Type: arrow.BinaryTypes.String, Nullable: true},
	}, nil)
	for _, day := range []string{"2024-01-01", "2024-01-02"} {
		rows := strings.ReplaceAll(`[{"key": 1, "ts": "DAY 09:00:00", "f": "a"}, {"key": 2, "ts": "DAY 10:00:00", "f": "b"}, {"key": 3, "ts": "DAY 11:00:00", "f": "c"}]`, "DAY", day)
		rec, _, err := array.RecordFromJSON(memory.DefaultAllocator, schema, strings.NewReader(rows))
		if err != nil {
			t.Fatal(err)
		}
		var file strings.Builder
		w, err := parquetio.NewWriter(&file, schema, parquetio.WriterOptions{})
		if err == nil {
			err = w.Write(rec)
		}
		if err == nil {
			err = w.Close()
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(root, "stats", day+".parquet"), []byte(file.String()), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	store, err := (&filestore.Config{Root: root}).Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	source, err := store.(*filestore.Store).Source("stats")
	if err != nil {
		t.Fatal(err)
	}
	catalog, err := stores.NewCatalog([]*stores.FeatureView{{Name: "stats", Keys: []string{"key"}, Timestamp: "ts", Store: store, Source: source}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return catalog
}

// line is a line of the log.
type line map[string]any

// calls are the lines of the calls of one kind, once there are n.
func (f *service) calls(call string, n int) (found []line) {
	f.t.Helper()
	f.await("the log lines", func() bool {
		found = nil
		for _, text := range f.log.all() {
			var l line
			if err := json.Unmarshal([]byte(text), &l); err != nil {
				f.t.Fatal(err)
			}
			if l["call"] == call {
				found = append(found, l)
			}
		}
		return len(found) >= n
	})
	return found
}

// traceFields are what a read says of itself, in the log as in explain.
var traceFields = []string{"plan", "files_read", "files_skipped", "parts_read", "parts_skipped", "bytes_read", "bytes_skipped", "rows_read", "feature_rows_fetched"}

// TestLogOfReads: the line of a read says what was read and what was skipped, and it is what explain says.
func TestLogOfReads(t *testing.T) {
	f := serve(t, twoDays(t), Limits{})
	rows := base64.StdEncoding.EncodeToString(ipcStream(t, entities(t, "1, 12:00", "2, 12:00")))
	for _, c := range []struct {
		name, ticket string
		plan         []string // how each step begins
		counts       map[string]float64
	}{
		{"all of one day", `{"all": {"view": "stats", "start": "2024-01-02T00:00:00Z"}}`, []string{"stats: all of 1 of 2 parts"},
			map[string]float64{"rows": 3, "files_read": 1, "files_skipped": 1, "parts_read": 1, "parts_skipped": 1, "rows_read": 3, "feature_rows_fetched": 0}},
		{"latest", `{"latest": {"view": "stats"}}`, []string{"stats: 2 of 2 parts"},
			map[string]float64{"rows": 3, "files_read": 2, "files_skipped": 0, "parts_read": 2, "parts_skipped": 0, "rows_read": 6, "feature_rows_fetched": 3}},
		{"a join", `{"historical": {"features": ["stats:f"], "entity_rows": "ROWS"}}`,
			[]string{"stats: 1 of 2 parts"},
			map[string]float64{"rows": 2, "files_read": 1, "files_skipped": 1, "parts_read": 1, "parts_skipped": 1, "rows_read": 3, "feature_rows_fetched": 2}},
		{"a join on rows of history", `{"historical": {"features": ["stats:f"], "start": "2024-01-01T00:00:00Z", "end": "2024-01-01T10:00:00Z"}}`,
			[]string{"stats: entity rows made of 1 of 2 parts, 3 rows of [key ts]", "stats: 1 of 2 parts"},
			map[string]float64{"rows": 2, "files_read": 2, "files_skipped": 2, "parts_read": 2, "parts_skipped": 2, "rows_read": 6, "feature_rows_fetched": 2}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f.log.clear()
			ticket := strings.Replace(c.ticket, "ROWS", rows, 1)
			if _, err := f.get(t.Context(), []byte(ticket)); err != nil {
				t.Fatal(err)
			}
			got := f.calls("DoGet", 1)[0]
			for field, want := range c.counts {
				if got[field] != want {
					t.Errorf("%s: %v, want %v", field, got[field], want)
				}
			}
			plan, _ := got["plan"].([]any)
			if len(plan) != len(c.plan) {
				t.Fatalf("the plan is %v", plan)
			}
			for i, begin := range c.plan {
				if !strings.HasPrefix(plan[i].(string), begin) {
					t.Errorf("step %d is %q, want %q ...", i, plan[i], begin)
				}
			}
			if got["bytes_read"].(float64) <= 0 || got["memory"].(float64) <= 0 || got["bytes_skipped"].(float64) > 0 != (c.counts["parts_skipped"] > 0) {
				t.Errorf("bytes and memory are %v", got)
			}
			if first, ms := got["first_ms"].(float64), got["ms"].(float64); first <= 0 || first > ms {
				t.Errorf("the first batch came after %v of %v ms", first, ms)
			}
			explained := f.explain(ticket)
			for _, field := range traceFields {
				if !reflect.DeepEqual(got[field], explained[field]) {
					t.Errorf("%s: the log has %v, explain says %v", field, got[field], explained[field])
				}
			}
		})
	}
}

func (f *service) explain(ticket string) (said line) {
	f.t.Helper()
	stream, err := f.client.DoAction(f.t.Context(), &flight.Action{Type: explainAction, Body: []byte(ticket)})
	if err == nil {
		var result *flight.Result
		if result, err = stream.Recv(); err == nil {
			err = json.Unmarshal(result.Body, &said)
		}
	}
	if err != nil {
		f.t.Fatal(err)
	}
	return said
}

// TestLogOfCallsAtOnce: every call counts for itself, also one that nobody reads to its end.
func TestLogOfCallsAtOnce(t *testing.T) {
	f := serve(t, twoDays(t), Limits{})
	const each = 8
	var clients sync.WaitGroup
	for range each {
		clients.Go(func() {
			if _, err := f.get(t.Context(), []byte(`{"all": {"view": "stats"}}`)); err != nil {
				t.Error(err)
			}
		})
		clients.Go(func() {
			ctx, leave := context.WithCancel(t.Context())
			if _, err := f.client.DoGet(ctx, &flight.Ticket{Ticket: []byte(`{"latest": {"view": "stats"}}`)}); err != nil {
				t.Error(err)
			}
			leave()
		})
	}
	clients.Wait()
	f.idle()
	counted := 0
	for _, l := range f.calls("DoGet", each) {
		if l["kind"] != "all" {
			continue
		}
		if counted++; l["rows_read"] != 6.0 || l["parts_read"] != 2.0 || len(l["plan"].([]any)) != 1 {
			t.Errorf("a line is %v", l)
		}
	}
	if counted != each {
		t.Errorf("%d lines of %d calls", counted, each)
	}
}

// TestLogOfOtherCalls: what reads nothing says nothing about it.
func TestLogOfOtherCalls(t *testing.T) {
	f := serve(t, twoDays(t), Limits{})
	if _, err := f.get(t.Context(), []byte(`{"all": {"view": "stat"}}`)); err == nil {
		t.Fatal("there is no such view")
	}
	if _, err := f.client.GetFlightInfo(t.Context(), descriptor(allOfStats)); err != nil {
		t.Fatal(err)
	}
	for _, call := range []string{"DoGet", "GetFlightInfo"} {
		got := f.calls(call, 1)[0]
		for _, field := range append(traceFields, "first_ms") {
			if _, there := got[field]; there {
				t.Errorf("%s: the line has %s: %v", call, field, got)
			}
		}
	}
}

// TestLogOfLongPlans: the plan of a thousand views does not flood the log.
func TestLogOfLongPlans(t *testing.T) {
	var text strings.Builder
	c := &call{memory: newPool(1).account(0), trace: &joins.Trace{Plan: make([]string, 1000)}}
	s, err := New(Options{Log: zerolog.New(&text)})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.finish(t.Context(), c, nil); err != nil {
		t.Fatal(err)
	}
	var got struct{ Plan []string }
	if err := json.Unmarshal([]byte(text.String()), &got); err != nil {
		t.Fatal(err)
	}
	if n := len(got.Plan); n != loggedSteps+1 || got.Plan[n-1] != "and 984 more" {
		t.Errorf("the plan is logged as %q", got.Plan)
	}
}
