package flightsvc

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"google.golang.org/grpc/codes"

	"github.com/flightd/flightd/testdata/pit"
)

// inBatches cuts rows into records of n.
func inBatches(rows pit.Table, n int64) pit.Table {
	var cut []arrow.Record
	for _, rec := range rows.Records {
		for lo := int64(0); lo < rec.NumRows(); lo += n {
			cut = append(cut, rec.NewSlice(lo, min(lo+n, rec.NumRows())))
		}
	}
	return pit.Table{Schema: rows.Schema, Records: cut}
}

// Entity rows that memory could not hold are kept on disk, and joined in pieces: the answer is the same. Afterwards nothing
// is left of them.
func TestSpill(t *testing.T) {
	catalog, _ := parsed(t, stats)
	const rows = 500_000
	want, err := serve(t, catalog, Limits{}).exchange(t.Context(), joinStats, many(rows))
	if err != nil {
		t.Fatal(err)
	}
	small := Limits{Memory: 24 << 20}
	_, err = serve(t, catalog, small).exchange(t.Context(), joinStats, inBatches(many(4*rows), 30_000))
	wantCode(t, "too many rows for memory", err, codes.ResourceExhausted, "limits.memory", "limits.spill_dir")
	small.SpillDir = filepath.Join(t.TempDir(), "spill")
	f := serve(t, catalog, small)
	for _, batch := range []int64{1000, 30_000, rows} {
		got, err := f.exchange(t.Context(), joinStats, inBatches(many(rows), batch))
		if err != nil {
			t.Fatal(batch, err)
		}
		if d := pit.Diff(want.Table, got.Table, false); d != "" {
			t.Error(batch, d)
		}
		f.unspilled()
	}
	share := request("historical", map[string]any{"features": []string{"stats"}, "part": []int{1, 3}})
	got, err := f.exchange(t.Context(), share, inBatches(many(rows), 1000))
	if err != nil || got.Rows() < rows/3 || got.Rows() > rows/3+1 {
		t.Errorf("a third of the rows: %d, %v", got.Rows(), err)
	}
	if got, err := f.exchange(t.Context(), joinStats, many(3)); err != nil || got.Rows() != 3 {
		t.Errorf("a few rows: %d, %v", got.Rows(), err)
	}
	f.unspilled()
}

// unspilled waits until nothing is on disk any more.
func (f *service) unspilled() {
	f.t.Helper()
	f.idle()
	f.await("the end of what was on disk", func() bool { return f.server.spill.used.Load() == 0 })
	if left, err := os.ReadDir(f.server.spill.dir); err != nil || len(left) > 0 {
		f.t.Errorf("left on disk: %v, %v", left, err)
	}
}

// What is wrong with the folder, and rows that are too many for it, are told.
func TestSpillIsBounded(t *testing.T) {
	catalog, _ := parsed(t, stats)
	small := Limits{Memory: 24 << 20, Spill: 4 << 20, SpillDir: filepath.Join(t.TempDir(), "spill")}
	f := serve(t, catalog, small)
	_, err := f.exchange(t.Context(), joinStats, inBatches(many(500_000), 1000))
	wantCode(t, "too many rows for the disk", err, codes.ResourceExhausted, "limits.spill (4.0 MiB)", "raise")
	f.unspilled()
	f.server.spill.used.Add(3 << 20)
	_, err = f.exchange(t.Context(), joinStats, inBatches(many(230_000), 1000))
	wantCode(t, "others have the disk", err, codes.Unavailable, "limits.spill (4.0 MiB)", "try again")
	f.server.spill.used.Add(-3 << 20)
	f.unspilled()
	if err := os.RemoveAll(small.SpillDir); err != nil {
		t.Fatal(err)
	}
	_, err = f.exchange(t.Context(), joinStats, inBatches(many(500_000), 1000))
	wantCode(t, "no folder any more", err, codes.Internal)
	f.await("the reason in the log", func() bool { return strings.Contains(strings.Join(f.log.all(), ""), "limits.spill_dir") })

	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := New(Options{Limits: Limits{SpillDir: file}}); err == nil {
		t.Error("a file was taken for a folder")
	}
}

// A client that goes away while its rows are on disk leaves nothing there.
func TestSpillOfAClientThatGoesAway(t *testing.T) {
	catalog, _ := parsed(t, stats)
	f := serve(t, catalog, Limits{Memory: 24 << 20, SpillDir: t.TempDir()})
	ctx, cancel := context.WithCancel(t.Context())
	stream, err := f.client.DoExchange(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := send(stream, joinStats, inBatches(many(300_000), 1000)); err != nil {
		t.Fatal(err)
	}
	f.await("rows on disk", func() bool { return f.server.spill.used.Load() > 0 })
	cancel()
	f.unspilled()
}
