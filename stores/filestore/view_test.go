package filestore_test

import (
	"path/filepath"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/flightd/flightd/stores"
)

// A view and a service whose files are not there yet: the first write makes them, under the source's names, and later ones are
// fitted to what it made. Types that Parquet lacks are kept as the nearest one that has all values.
func TestViewsWithoutFiles(t *testing.T) {
	root := t.TempDir()
	s := open(t, root)
	seconds := clock(arrow.Second, "UTC")
	dictionary := &arrow.DictionaryType{IndexType: i8, ValueType: text}
	for _, target := range []string{"stats", "stats.parquet"} {
		v := &stores.FeatureView{Name: "v", Keys: []string{"driver"}, Timestamp: "ts", FieldMapping: map[string]string{"src": "conv"},
			Store: s, Source: source(t, s, target)}
		first := rec(t, col{"driver", i64, `[1]`}, col{"ts", seconds, `[5]`}, col{"conv", f64, `[0.5]`}, col{"city", dictionary, `["Bern"]`})
		second := rec(t, col{"city", text, `["Ulm"]`}, col{"driver", i32, `[2]`}, col{"conv", f32, `[1]`}, col{"ts", seconds, `[6]`})
		for i, r := range []arrow.Record{first, second, first, second} {
			id := []string{"a", "b"}[i%2]
			written, err := stores.WriteView(t.Context(), v, id, rows(r), stores.WriteOptions{})
			if err != nil || written != (stores.Written{Rows: 1, Duplicate: i > 1}) {
				t.Fatalf("%s: write %d: %+v, %v", target, i, written, err)
			}
		}
		schema, got, err := scanText(t, s, target)
		if err != nil || schema != "driver:int64, ts:timestamp[ms, tz=UTC], src:float64, city:utf8" || len(got) != 2 {
			t.Errorf("%s: %s, %q, %v", target, schema, got, err)
		}
	}
	service := &stores.FeatureService{Name: "s", Log: &stores.LogTarget{Store: s, Destination: "logs/s"}}
	log := rec(t, col{"driver", i64, `[1]`}, col{"v__conv", f64, `[0.5]`}, col{"v__conv__timestamp", seconds, `[5]`},
		col{"__log_timestamp", clock(arrow.Microsecond, "UTC"), `[7]`}, col{"__log_date", date32, `["2024-01-01"]`}, col{"__request_id", text, `["x"]`})
	for i := range 3 {
		written, err := stores.WriteLog(t.Context(), service, rows(log), stores.WriteOptions{})
		if err != nil || written != (stores.Written{Rows: 1, Duplicate: i > 0}) {
			t.Errorf("log %d: %+v, %v", i, written, err)
		}
	}
	if parts, _ := filepath.Glob(filepath.Join(root, "logs", "s", "part-*.parquet")); len(parts) != 1 {
		t.Errorf("%d parts", len(parts))
	}
}
