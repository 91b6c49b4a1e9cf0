package config

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/flightd/flightd/stores"
	_ "github.com/flightd/flightd/stores/filestore"
	"github.com/flightd/flightd/stores/memstore"
)

var rewrite = flag.Bool("rewrite", false, "write the messages into the bad files")

// sample is a store type with a value of every kind.
type sample struct {
	Root    string            `yaml:"root"`
	DSN     string            `yaml:"dsn"`
	Pool    pool              `yaml:"pool"`
	Limit   Size              `yaml:"limit"`
	Buckets []string          `yaml:"buckets"`
	Labels  map[string]string `yaml:"labels"`
	Verify  bool              `yaml:"verify"`
	memstore.Config
}

type pool struct {
	Size int           `yaml:"size"`
	Wait time.Duration `yaml:"wait"`
}

func init() {
	stores.Register("sample", func() stores.Config { return &sample{Pool: pool{Size: 1, Wait: time.Second}} })
}

func (s *sample) Rebase(dir string) {
	if s.Root != "" {
		s.Root = filepath.Join(dir, s.Root)
	}
}

func (s *sample) Validate() error {
	var errs []error
	if s.Root == "" {
		errs = append(errs, errors.New("root is needed: the folder of the data"))
	}
	if s.Pool.Size < 1 {
		errs = append(errs, errors.New("pool: size must be at least 1"))
	}
	return errors.Join(errs...)
}

func (s *sample) Open(ctx context.Context) (stores.OfflineStore, error) {
	if s.DSN == "refused" {
		return nil, errors.New("refused")
	}
	return s.Config.Open(ctx)
}

var environment = map[string]string{
	"PORT": "9000", "USER_NAME": "me", "VERIFY": "true", "CONCURRENT": "32", "HOST": "::1", "WORD": "many",
}

func getenv(name string) (string, bool) {
	value, ok := environment[name]
	return value, ok
}

func parseFile(file string) (*Config, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return Parse(data, file, getenv)
}

func TestGood(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.good.yaml")
	for _, file := range files {
		c, err := parseFile(file)
		if err != nil {
			t.Error(err)
			continue
		}
		_, closeStores, err := c.Open(context.Background())
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		if err := closeStores(); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// TestBad: the comment at the head of a bad file is what is said about it, all of it, in order.
func TestBad(t *testing.T) {
	files, err := filepath.Glob("testdata/*.bad.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, file := range files {
		if *rewrite {
			rewriteMessages(t, file)
		}
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		got := messages(file, data)
		var want []string
		for line := range strings.Lines(string(data)) {
			text, ok := strings.CutPrefix(line, "# ")
			if !ok {
				break
			}
			want = append(want, strings.TrimSuffix(text, "\n"))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (- wanted, + said):\n%s", file, diff)
		}
	}
}

// messages is what Parse says, without the name of the file.
func messages(file string, data []byte) []string {
	_, err := Parse(data, file, getenv)
	if err == nil {
		return nil
	}
	return strings.Split(strings.ReplaceAll(err.Error(), file+":", ""), "\n")
}

// rewriteMessages replaces the head of a file. Its length moves the lines that the messages speak of.
func rewriteMessages(t *testing.T, file string) {
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	body := string(data)
	for strings.HasPrefix(body, "#") {
		_, body, _ = strings.Cut(body, "\n")
	}
	head := strings.Repeat("#\n", len(messages(file, []byte(body))))
	text := "# " + strings.Join(messages(file, []byte(head+body)), "\n# ") + "\n" + body
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestFeastValues(t *testing.T) {
	c, err := parseFile("testdata/feast.good.yaml")
	if err != nil {
		t.Fatal(err)
	}
	want := Feast{Python: "testdata/venv/bin/python", NoEntities: "snapshot", Folders: []string{"testdata/new", "/srv/data"}}
	if diff := cmp.Diff(want, c.Feast); diff != "" || c.FeastRepo != "testdata/feature_repo" {
		t.Errorf("%s (- wanted, + got):\n%s", c.FeastRepo, diff)
	}
}

func TestValues(t *testing.T) {
	c, err := parseFile("testdata/full.good.yaml")
	if err != nil {
		t.Fatal(err)
	}
	want := &Config{
		Listen: "0.0.0.0:9000",
		Feast:  Feast{NoEntities: "timeline"},
		Stores: Stores{
			{Name: "main", Type: "memory", Config: new(memstore.Config)},
			{Name: "sample", Type: "sample", Config: &sample{
				Root: "testdata/data", DSN: "postgres://me@db/$x?pa$word", Pool: pool{Size: 4, Wait: 36 * time.Hour}, Limit: 64 << 20,
				Buckets: []string{"a", "b"}, Labels: map[string]string{"team": "rides"}, Verify: true,
			}},
		},
		FeatureViews: FeatureViews{
			{
				Name: "driver_stats", Store: "sample", Source: "driver_stats.parquet", Keys: []string{"driver_id"},
				Timestamp: "event_timestamp", Created: "created", TTL: 7 * 24 * time.Hour,
				Features:     []string{"conv_rate", "acc_rate", "123"},
				FieldMapping: map[string]string{"drv": "driver_id", "ts": "event_timestamp"},
			},
			{
				Name: "weather", Store: "main", Source: "weather", Keys: []string{}, Timestamp: "at", Features: []string{"x", "y"},
				FieldMapping: map[string]string{"x": "y", "y": "x"},
			},
		},
		FeatureServices: FeatureServices{{
			Name: "driver_activity", Features: []string{"driver_stats:conv_rate", "weather"},
			Log: &LogTo{Store: "sample", Destination: "logs/driver_activity"},
		}},
		TLS:  &TLS{Cert: "testdata/server.pem", Key: "/etc/keys/server.key", ClientCA: "testdata/ca.pem"},
		Auth: Auth{Type: "none"},
		Limits: Limits{
			Memory: 8 << 30, Index: 512 << 20, SpillDir: "testdata/spill", Spill: 100 << 30, EntityRows: 1_000_000, Message: 100_000_000, Staged: 1 << 30, StagedFor: 90 * time.Minute,
			Concurrent: 32, QueueFor: 500 * time.Millisecond, Query: 2 * time.Hour, Stalled: 10 * time.Minute,
		},
		Log:             Log{Level: "debug", Format: "json"},
		ShutdownTimeout: time.Minute,
	}
	if diff := cmp.Diff(want, c, cmpopts.IgnoreUnexported(Config{})); diff != "" {
		t.Errorf("- wanted, + got:\n%s", diff)
	}
}

func TestDefaults(t *testing.T) {
	c, err := parseFile("testdata/smallest.good.yaml")
	if err != nil {
		t.Fatal(err)
	}
	want := Limits{
		Memory: 4 << 30, Spill: 64 << 30, EntityRows: 50_000_000, Message: 512 << 20, Staged: 1 << 30, StagedFor: 15 * time.Minute,
		Concurrent: 16, QueueFor: 30 * time.Second, Query: time.Hour, Stalled: time.Hour,
	}
	if c.Listen != "127.0.0.1:8815" || c.Limits != want || c.Log != (Log{"info", "auto"}) || c.ShutdownTimeout != 30*time.Second || c.TLS != nil {
		t.Errorf("got %+v", c)
	}
	small, err := Parse([]byte("limits: {memory: 256MiB}\nstores: {m: {type: memory}}\nfeature_views: {v: {store: m, source: s, timestamp: t}}"),
		"f", getenv)
	if err != nil || small.Limits.Staged != 256<<20 {
		t.Errorf("staged does not follow memory: %v, %v", small, err)
	}
}

func TestLoad(t *testing.T) {
	if _, err := Load("testdata/not-there.yaml"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	file := filepath.Join(t.TempDir(), "flightd.yaml")
	text := "stores: {m: {type: sample, root: data, dsn: '${FLIGHTD_TEST_DSN}'}}\nfeature_views: {v: {store: m, source: s, timestamp: t}}\n"
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := Load(file)
	var mistake *Error
	if !errors.As(err, &mistake) || mistake.Line != 1 || !strings.Contains(err.Error(), "the environment has no variable FLIGHTD_TEST_DSN") {
		t.Errorf("got %v", err)
	}
	t.Setenv("FLIGHTD_TEST_DSN", "a: b\nc: d") // a value does not become YAML
	c, err := Load(file)
	if err != nil {
		t.Fatal(err)
	}
	got := c.Stores[0].Config.(*sample)
	if got.DSN != "a: b\nc: d" || got.Root != filepath.Join(filepath.Dir(file), "data") {
		t.Errorf("got %+v", got)
	}
}

func TestOpen(t *testing.T) {
	c, err := parseFile("testdata/full.good.yaml")
	if err != nil {
		t.Fatal(err)
	}
	catalog, closeStores, err := c.Open(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	v, err := catalog.View("driver_stats")
	if err != nil || v.Source.String() != "driver_stats.parquet" || v.TTL != 7*24*time.Hour || len(v.Features) != 3 {
		t.Errorf("view %+v, %v", v, err)
	}
	s, err := catalog.Service("driver_activity")
	if err != nil || fmt.Sprint(s.Features) != "[driver_stats:conv_rate weather]" || s.Log.Store != v.Store {
		t.Errorf("service %+v, %v", s, err)
	}
	if err := closeStores(); err != nil {
		t.Error(err)
	}
	if _, err := v.Store.Schema(context.Background(), v.Source); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("the store is still open: %v", err)
	}
}

// TestOpenFails: every store and every source that cannot be opened is named, with its line.
func TestOpenFails(t *testing.T) {
	for text, want := range map[string][]string{
		"stores: {a: {type: sample, root: x, dsn: refused}, b: {type: memory}, c: {type: sample, root: x, dsn: refused}}\n" +
			"feature_views: {v: {store: b, source: s, timestamp: t}}": {"f:1:10: stores.a: refused", "f:1:71: stores.c: refused"},
		"stores: {a: {type: file, root: x}}\n" +
			"feature_views: {v: {store: a, source: ../s, timestamp: t}, w: {store: a, source: /s, timestamp: t}}": {
			"f:2:39: feature_views.v.source: ", "f:2:82: feature_views.w.source: ",
		},
		"stores: {a: {type: file, root: x}}\n" +
			"feature_views: {v: {store: a, source: ../s, timestamp: t}}\n" +
			"feature_services: {s: {features: [v], log: {store: a, destination: ../logs}}}": {
			"f:2:39: feature_views.v.source: ", "f:3:68: feature_services.s.log.destination: ",
		},
	} {
		c, err := Parse([]byte(text), "f", getenv)
		if err != nil {
			t.Fatal(err)
		}
		_, closeStores, err := c.Open(context.Background())
		if err == nil || closeStores != nil {
			t.Fatalf("opened: %s", text)
		}
		lines := strings.Split(err.Error(), "\n")
		if len(lines) != len(want) || !strings.HasPrefix(lines[0], want[0]) || !strings.HasPrefix(lines[1], want[1]) {
			t.Errorf("got %q\nwant %q", lines, want)
		}
	}
}

func TestSizeString(t *testing.T) {
	for text, want := range map[string]string{"4GiB": "4GiB", "1536 MiB": "1536MiB", "100MB": "100000000B", "0": "0B", "2048": "2KiB"} {
		var s Size
		if err := s.UnmarshalText([]byte(text)); err != nil || s.String() != want {
			t.Errorf("%s: got %s, %v", text, s, err)
		}
	}
}

// FuzzParse: whatever is in a file, it is refused with a place or accepted, without a panic.
func FuzzParse(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.yaml")
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		_, err := Parse(data, "f", getenv)
		var mistake *Error
		if err != nil && !errors.As(err, &mistake) {
			t.Fatalf("an error without a place: %v", err)
		}
	})
}
