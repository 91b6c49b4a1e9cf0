package registry

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/flightd/flightd/internal/fault"
	"github.com/flightd/flightd/internal/feastpb"
)

// edit changes a registry file as an apply does: read, change, write in place.
func edit(t testing.TB, path string, change func(*feastpb.Registry)) {
	t.Helper()
	r := new(feastpb.Registry)
	if err := proto.Unmarshal(readFile(t, path), r); err != nil {
		t.Fatal(err)
	}
	change(r)
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, path, data)
}

// age makes a file look as if it had not changed for a while.
func age(t testing.TB, path string) {
	t.Helper()
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(path, old, old); err != nil {
		t.Fatal(err)
	}
}

func viewNamed(r *feastpb.Registry, name string) *feastpb.FeatureViewSpec {
	i := slices.IndexFunc(r.GetFeatureViews(), func(v *feastpb.FeatureView) bool { return v.GetSpec().GetName() == name })
	return r.GetFeatureViews()[i].GetSpec()
}

func ttl(t testing.TB, r *Repository, view string) time.Duration {
	t.Helper()
	c, err := r.Catalog(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	v, err := c.View(view)
	if err != nil {
		t.Fatal(err)
	}
	return v.TTL
}

// TestFileIsSeen: the next request sees what was written, also when size and time of the file stay the same.
func TestFileIsSeen(t *testing.T) {
	r := golden(t)
	path := filepath.Join(r.config.Dir, "registry.db")
	var moment time.Time
	for i := range 50 {
		if i%2 == 0 { // two writes in one tick of the file system's clock
			moment = time.Now()
		}
		seconds := int64(10 + i) // as many bytes each time
		edit(t, path, func(r *feastpb.Registry) { viewNamed(r, "driver_hourly_stats").Ttl.Seconds = seconds })
		if err := os.Chtimes(path, moment, moment); err != nil {
			t.Fatal(err)
		}
		if got := ttl(t, r, "driver_hourly_stats"); got != time.Duration(seconds)*time.Second {
			t.Fatalf("write %d: ttl %v", i, got)
		}
	}
	// a file put in its place
	data := readFile(t, path)
	edit(t, path, func(r *feastpb.Registry) { viewNamed(r, "driver_hourly_stats").Ttl.Seconds = 99 })
	if err := os.Rename(path, path+".new"); err != nil {
		t.Fatal(err)
	}
	writeFile(t, path, data)
	age(t, path)
	if got := ttl(t, r, "driver_hourly_stats"); got != 59*time.Second {
		t.Fatalf("ttl %v", got)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	if got := ttl(t, r, "driver_hourly_stats"); got != 99*time.Second {
		t.Fatalf("ttl %v", got)
	}
}

// TestSettles: once a change lies back a while, its time is enough to know the file by, and it is not read for each request.
func TestSettles(t *testing.T) {
	r := golden(t)
	first := snapshot(t, r)
	token := r.current.Load().loaded.token.(*fileToken)
	for try := 0; token.data.Load() == nil; try++ { // on a slow machine the copy may be old by the time it is read
		if try == 20 {
			t.Fatal("a registry that has just been written is never taken for one")
		}
		now := time.Now()
		if err := os.Chtimes(filepath.Join(r.config.Dir, "registry.db"), now, now); err != nil {
			t.Fatal(err)
		}
		first = snapshot(t, r)
		token = r.current.Load().loaded.token.(*fileToken)
	}
	for token.data.Load() != nil {
		time.Sleep(50 * time.Millisecond)
		if snapshot(t, r) != first {
			t.Fatal("read again")
		}
	}
}

// TestUnchangedIsNotRead: a registry that stays as it is is read once.
func TestUnchangedIsNotRead(t *testing.T) {
	for _, form := range []string{"0.67.db", "0.67.sqlite"} {
		r := kinds(t, form)
		age(t, filepath.Join(r.config.Dir, "registry.db"))
		now := time.Now()
		r.now = func() time.Time { return now }
		first := snapshot(t, r)
		for range 10 {
			if snapshot(t, r) != first {
				t.Fatalf("%s: read again", form)
			}
		}
		if _, err := r.Pull(context.Background(), command(t, map[string]any{
			"api": "pull_all_from_table_or_query", "data_source_name": "ghost", "timestamp_field": "t"}).Pull, false); !isUnknownName(err) {
			t.Fatal(err)
		}
		renewed := snapshot(t, r)
		if renewed == first {
			t.Errorf("%s: not read again for a name that is not there", form)
		}
		for range 10 {
			if _, err := r.Pull(context.Background(), command(t, map[string]any{
				"api": "pull_all_from_table_or_query", "data_source_name": "ghost", "timestamp_field": "t"}).Pull, false); !isUnknownName(err) {
				t.Fatal(err)
			}
		}
		if snapshot(t, r) != renewed {
			t.Errorf("%s: read again and again for names that are not there", form)
		}
	}
}

// TestAbsent: a repository is open before its registry is there, and outlives it.
func TestAbsent(t *testing.T) {
	for _, form := range []string{"0.67.db", "0.67.sqlite"} {
		r := kinds(t, form)
		var warnings []string
		r.options.Warn = func(err error) { warnings = append(warnings, fmt.Sprint(err)) }
		path := filepath.Join(r.config.Dir, "registry.db")
		data := readFile(t, path)
		expect := func(there bool) {
			t.Helper()
			s := snapshot(t, r)
			_, err := r.Historical(context.Background(), historicalCommand(t, "kinds", []string{"plain"}, []string{"plain:rate"}, nil), entityRows("driver_id"))
			if there != (s.Absent() == nil) || there != (err == nil) || there != (len(s.Catalog().Views()) > 0) {
				t.Fatalf("%s: absent %v, error %v, views %v", form, s.Absent(), err, s.Catalog().Views())
			}
			if _, native := s.Catalog().View("plain"); !there && said(native) != said(err) {
				t.Fatal(native)
			}
			if err != nil && said(err) != "failed precondition: the registry of project \"kinds\" does not exist yet; run `feast apply`" {
				t.Fatal(err)
			}
		}
		expect(true)
		for range 3 {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			expect(false)
			expect(false)
			writeFile(t, path, data)
			expect(true)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		expect(false)
		if strings.HasSuffix(form, ".sqlite") {
			writeFile(t, path, nil) // what sqlite3 makes when it opens a path where nothing is
			expect(false)
		}
		if len(warnings) < 7 || warnings[1] != "<nil>" || !strings.HasPrefix(warnings[0], "the registry "+path+": it does not exist yet") {
			t.Errorf("%s: warnings %q", form, warnings)
		}
	}
}

// TestEveryTruncation: a registry cut off at any byte is never taken for a whole one, with a good copy in hand or without.
func TestEveryTruncation(t *testing.T) {
	for _, file := range registryFiles {
		data := readFile(t, file.path)
		opener := newOpener("/repo", nil, files)
		whole, err := parseRegistry(data, nil, true)
		if err != nil {
			t.Fatal(err)
		}
		want := describe(mustSnapshot(t, opener, file.project, whole))
		parsed, late := 0, 0
		for n := range cuts(t, data) {
			if proto.Unmarshal(data[:n], new(feastpb.Registry)) != nil {
				if _, err := parseRegistry(data[:n], nil, false); !errors.Is(err, errUnfinished) {
					t.Fatalf("%s: %d bytes: %v", file.path, n, err)
				}
				continue
			}
			parsed++
			for _, last := range []*objects{nil, whole} {
				if all, err := parseRegistry(data[:n], last, true); err == nil && !(last == nil && all.empty()) {
					t.Errorf("%s: %d of %d bytes are taken at once", file.path, n, len(data))
				}
			}
			all, err := parseRegistry(data[:n], nil, false)
			if err != nil || all.empty() { // an apply that took everything away looks like this, too
				continue
			}
			late++ // nothing but old versions of views may be missing then, and label views, which are not served
			got := describe(mustSnapshot(t, opener, file.project, all))
			for _, line := range want {
				if !slices.Contains(got, line) && !strings.Contains(line, " version ") && !strings.Contains(line, " label ") {
					t.Fatalf("%s: %d of %d bytes lack %s", file.path, n, len(data), line)
				}
			}
		}
		if parsed < 20 || late == 0 || late > 5 {
			t.Errorf("%s: %d parse, %d are taken later", file.path, parsed, late)
		}
		if err := opener.close(); err != nil {
			t.Fatal(err)
		}
	}
}

// cuts are the lengths to cut a file to: all of a small one; of a bigger one those between two objects and around them, for
// no other parses, and some besides.
func cuts(t *testing.T, data []byte) map[int]bool {
	lengths := make(map[int]bool)
	at := 0
	for at < len(data) {
		_, _, n := protowire.ConsumeField(data[at:])
		if n < 0 {
			t.Fatal(protowire.ParseError(n))
		}
		for _, around := range []int{at, at + 1, at + n - 1} {
			lengths[around] = true
		}
		at += n
	}
	for range 2000 {
		lengths[rand.IntN(len(data))] = true
	}
	if len(data) < 10_000 {
		for n := range data {
			lengths[n] = true
		}
	}
	return lengths
}

func mustSnapshot(t testing.TB, o *opener, own string, all *objects) *Snapshot {
	t.Helper()
	s, err := newSnapshot(o, own, all)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestTornFile: whatever lies in the place of the registry for a while, requests see the last good one.
func TestTornFile(t *testing.T) {
	r := golden(t)
	var warnings []string
	r.options.Warn = func(err error) { warnings = append(warnings, fmt.Sprint(err)) }
	path := filepath.Join(r.config.Dir, "registry.db")
	data := readFile(t, path)
	want := describe(snapshot(t, r))
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	for i := range 60 {
		torn := data[:random.IntN(len(data))]
		switch i % 3 {
		case 1:
			torn = make([]byte, random.IntN(300))
			for j := range torn {
				torn[j] = byte(random.Uint32())
			}
		case 2:
			torn = append(slices.Clone(data[:len(data)/2]), make([]byte, len(data)/2)...) // a crash leaves zeros
		}
		writeFile(t, path, torn)
		if i%2 == 0 && len(torn) < 100 { // no whole object
			age(t, path)
		}
		if got := describe(snapshot(t, r)); !slices.Equal(got, want) {
			t.Fatalf("seed %d: with %d of %d bytes in place", seed, len(torn), len(data))
		}
	}
	writeFile(t, path, data)
	if !slices.Equal(describe(snapshot(t, r)), want) || len(warnings) < 2 || warnings[len(warnings)-1] != "<nil>" {
		t.Errorf("warnings %q", warnings)
	}
	// without a good copy there is nothing to answer with
	writeFile(t, path, data[:len(data)/2])
	again := repository(t, r.config.Dir, goldenYAML)
	if _, err := again.Snapshot(context.Background()); fault.KindOf(err) != fault.Busy || !strings.Contains(err.Error(), "cannot be read just now; try again") {
		t.Errorf("%v", err)
	}
	writeFile(t, path, data)
	if got := describe(snapshot(t, again)); !slices.Equal(got, want) {
		t.Error("not recovered")
	}
}

// TestConcurrentReload: readers while a writer rewrites the file in place, in pieces. Every answer is one that was applied.
func TestConcurrentReload(t *testing.T) {
	r := golden(t)
	path := filepath.Join(r.config.Dir, "registry.db")
	var applied [20][]byte
	for i := range applied {
		edit(t, path, func(r *feastpb.Registry) {
			for _, v := range r.GetFeatureViews() {
				v.Spec.Ttl.Seconds = int64(i + 1)
			}
		})
		applied[i] = readFile(t, path)
	}
	snapshot(t, r)
	ctx, stop := context.WithCancel(context.Background())
	var readers sync.WaitGroup
	for range 4 {
		readers.Add(1)
		go func() {
			defer readers.Done()
			for ctx.Err() == nil {
				s, err := r.Snapshot(context.Background())
				if err != nil {
					t.Error(err)
					return
				}
				views := s.Catalog().Views()
				if len(views) != 4 {
					t.Errorf("%d views", len(views))
					return
				}
				for _, v := range views {
					if v.TTL != views[0].TTL {
						t.Errorf("half of one and half of another: %v and %v", v.TTL, views[0].TTL)
						return
					}
				}
			}
		}()
	}
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 100 {
		data := applied[i%len(applied)]
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
		if err != nil {
			t.Fatal(err)
		}
		for len(data) > 0 {
			n := min(1+random.IntN(5000), len(data))
			if _, err := f.Write(data[:n]); err != nil {
				t.Fatal(err)
			}
			data = data[n:]
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if got := ttl(t, r, "city_load"); got != time.Duration(i%len(applied)+1)*time.Second {
			t.Fatalf("write %d is not seen: %v", i, got)
		}
	}
	stop()
	readers.Wait()
}

// TestOldRegistry: what versions of Feast before projects wrote is believed once it has stayed for a while.
func TestOldRegistry(t *testing.T) {
	r := golden(t)
	path := filepath.Join(r.config.Dir, "registry.db")
	edit(t, path, func(r *feastpb.Registry) {
		r.Projects, r.FeatureViewVersionHistory = nil, nil
		r.ProjectMetadata = []*feastpb.ProjectMetadata{{Project: "golden"}} //nolint:staticcheck // they wrote that
		for _, v := range r.GetFeatureViews() {
			v.Spec.EntityColumns, v.Spec.Version = nil, ""
		}
	})
	later := time.Now().Add(time.Hour)
	if err := os.Chtimes(path, later, later); err != nil { // as fresh as can be, however slow the test is
		t.Fatal(err)
	}
	if _, err := r.Snapshot(context.Background()); fault.KindOf(err) != fault.Busy {
		t.Fatalf("at once: %v", err)
	}
	age(t, path)
	v, err := snapshot(t, r).projects["golden"].view("driver_hourly_stats")
	if err != nil || !slices.Equal(v.feature.Keys, []string{"driver_id"}) {
		t.Errorf("%+v, %v", v, err)
	}
	edit(t, path, func(r *feastpb.Registry) { r.Entities = r.Entities[:0] })
	age(t, path)
	_, err = snapshot(t, r).projects["golden"].view("driver_hourly_stats")
	if said(err) != "not found EntityNotFoundException: Entity driver does not exist in project golden" {
		t.Error(err)
	}
}

// TestUnsettledSources: a source that is a link, or that comes later, is followed to where it leads now.
func TestUnsettledSources(t *testing.T) {
	r := golden(t)
	age(t, filepath.Join(r.config.Dir, "registry.db"))
	path := filepath.Join(r.config.Dir, "data/city_load.parquet")
	elsewhere := t.TempDir()
	for _, name := range []string{"a", "b"} {
		copyFile(t, path, filepath.Join(elsewhere, name, "load.parquet"))
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	snapshot(t, r)
	for _, name := range []string{"a", "b", "a"} {
		os.Remove(path) //nolint:errcheck // it may not be there
		if err := os.Symlink(filepath.Join(elsewhere, name, "load.parquet"), path); err != nil {
			t.Fatal(err)
		}
		v, err := snapshot(t, r).projects["golden"].view("city_load")
		if err != nil {
			t.Fatal(err)
		}
		store, _ := r.opener.root(filepath.Join(elsewhere, name))
		if v.feature.Store != store || v.feature.Source.String() != "load.parquet" {
			t.Errorf("link to %s: %v", name, v.feature.Source)
		}
		if _, err := v.feature.Store.Schema(context.Background(), v.feature.Source); err != nil {
			t.Error(err)
		}
	}
	if same := snapshot(t, r); snapshot(t, r) != same {
		t.Error("read again without a change")
	}
}

// TestEndedRequest: a request that has ended is told so, and not that the registry is out of reach.
func TestEndedRequest(t *testing.T) {
	r := golden(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	<-r.loading // somebody is loading
	if _, err := r.Snapshot(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	r.loading <- struct{}{}
	snapshot(t, r)
}

func TestClosed(t *testing.T) {
	r := golden(t)
	s := snapshot(t, r)
	if err := r.opener.close(); err != nil {
		t.Fatal(err)
	}
	v := s.Catalog().Views()[0]
	if _, err := v.Store.Schema(context.Background(), v.Source); !errors.Is(err, os.ErrClosed) {
		t.Errorf("%v", err)
	}
	edit(t, filepath.Join(r.config.Dir, "registry.db"), func(*feastpb.Registry) {})
	if _, err := r.Pull(context.Background(), command(t, map[string]any{"api": "pull_all_from_table_or_query", "data_source_name": "city_load_source",
		"timestamp_field": "event_timestamp"}).Pull, false); fault.KindOf(err) != fault.Busy {
		t.Errorf("%v", err)
	}
}
