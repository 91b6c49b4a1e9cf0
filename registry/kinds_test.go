package registry

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/flightd/flightd/internal/fault"
	"github.com/flightd/flightd/stores"
	"github.com/flightd/flightd/stores/memstore"

	_ "github.com/flightd/flightd/registry/drivers"
)

// forms are the registries that real Feast wrote of the same definitions.
var forms = []string{"0.66.db", "0.67.db", "0.66.sqlite", "0.67.sqlite"}

// describe writes a snapshot as lines, to compare one with another.
func describe(s *Snapshot) []string {
	var lines []string
	for project, p := range sorted(s.projects) {
		line := func(kind, name, format string, args ...any) {
			lines = append(lines, fmt.Sprintf("%s %s %s: %s", project, kind, name, fmt.Sprintf(format, args...)))
		}
		for name, v := range sorted(p.views) {
			if v.err != nil {
				line("view", name, "%v", v.err)
				continue
			}
			f := v.feature
			line("view", name, "keys %q time %s created %s ttl %v features %q mapping %v source %s of %s schema %v",
				f.Keys, f.Timestamp, f.Created, f.TTL, f.Features, f.FieldMapping, f.Source, v.uri, f.Schema)
		}
		for name, o := range sorted(p.onDemand) {
			line("on-demand", name, "%s inputs %v request %v outputs %v, %v", o.Mode, o.Inputs, o.Request, o.Outputs, len(o.Proto) > 0)
		}
		for name, srv := range sorted(p.services) {
			for _, at := range srv.projections {
				line("service", name, "%s as %q version %d keys %v features %q", at.view, at.alias, at.version, at.keys, featureNames(at.features))
			}
			line("log", name, "%v %v %v", srv.logURI, srv.logErr, srv.logSchema(p))
		}
		for name, d := range sorted(p.sources) {
			line("source", name, "%s %v", d.uri, d.err)
		}
		for name, d := range sorted(p.located) {
			line("located", name, "%s %v", d.uri, d.err)
		}
		for name := range sorted(p.labels) {
			line("label", name, "")
		}
		for key := range p.versions.records {
			lines = append(lines, fmt.Sprintf("%s version %s %d", project, key.view, key.version))
		}
	}
	for _, v := range s.catalog.Views() {
		lines = append(lines, "catalog "+v.Name)
	}
	for _, f := range s.catalog.Services() {
		lines = append(lines, fmt.Sprintf("catalog %s %v", f.Name, f.Features))
	}
	slices.Sort(lines)
	return lines
}

// TestFormsAgree: a file and a database, written by either version, mean the same.
func TestFormsAgree(t *testing.T) {
	want := describe(snapshot(t, kinds(t, forms[0])))
	if len(want) < 100 {
		t.Fatalf("only %d lines", len(want))
	}
	for _, form := range forms[1:] {
		got := describe(snapshot(t, kinds(t, form)))
		for _, line := range got {
			if !slices.Contains(want, line) {
				t.Errorf("%s: + %s", form, line)
			}
		}
		for _, line := range want {
			if !slices.Contains(got, line) {
				t.Errorf("%s: - %s", form, line)
			}
		}
	}
}

// TestViews: what the views of every kind of source become.
func TestViews(t *testing.T) {
	r := kinds(t, "0.67.db")
	s := snapshot(t, r)
	p := s.projects["kinds"]
	rate, trips := []string{"rate"}, []string{"trips"}
	for name, want := range map[string]struct {
		feature stores.FeatureView
		root    string
		source  string
	}{
		"plain":        {stores.FeatureView{TTL: 36 * time.Hour, Created: "created", Features: []string{"rate", "trips"}}, "data", "stats.parquet"},
		"pushed":       {stores.FeatureView{TTL: 1500 * time.Millisecond, Created: "created", Features: rate}, "data", "stats.parquet"},
		"two_keys":     {stores.FeatureView{Keys: []string{"customer_code", "driver_id"}, Features: trips}, "data", "history"},
		"no_keys":      {stores.FeatureView{Keys: []string{}, Features: rate}, "data", "city.parquet"},
		"far_away":     {stores.FeatureView{Features: rate}, "/srv/feast", "elsewhere.parquet"},
		"by_uri":       {stores.FeatureView{Features: rate}, "/srv/feast", "by uri.parquet"},
		"from_kafka":   {stores.FeatureView{Created: "created", Features: rate}, "data", "kafka.parquet"},
		"from_kinesis": {stores.FeatureView{Created: "created", Features: rate}, "data", "kinesis.parquet"},
		"derived":      {stores.FeatureView{Created: "created", Features: rate}, "data", "derived.parquet"},
		"batch":        {stores.FeatureView{TTL: 48 * time.Hour, Created: "created", Features: rate}, "data", "stats.parquet"},
		"streamed":     {stores.FeatureView{TTL: 72 * time.Hour, Created: "created", Features: rate}, "data", "kafka.parquet"},
		"versioned":    {stores.FeatureView{TTL: 24 * time.Hour, Created: "created", Features: trips}, "data", "stats.parquet"},
		"other_names": {stores.FeatureView{
			Timestamp: "ts", Created: "ins", Features: []string{"odometer"},
			FieldMapping: map[string]string{"drv": "driver_id", "odo": "odometer", "ts": "event_timestamp"},
		}, "data", "mapped.parquet"},
	} {
		v, err := p.view(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got, wanted := v.feature, want.feature
		if wanted.Keys == nil {
			wanted.Keys = []string{"driver_id"}
		}
		if wanted.Timestamp == "" {
			wanted.Timestamp = "event_timestamp"
		}
		root := want.root
		if !filepath.IsAbs(root) {
			root = filepath.Join(r.config.Dir, root)
		}
		store, err := r.opener.root(root)
		if err != nil || got.Store != store || got.Source.String() != want.source {
			t.Errorf("%s: source %s of %v, want %s below %s (%v)", name, got.Source, got.Store, want.source, root, err)
		}
		if got.Name != name || !slices.Equal(got.Keys, wanted.Keys) || got.Timestamp != wanted.Timestamp || got.Created != wanted.Created ||
			got.TTL != wanted.TTL || !slices.Equal(got.Features, wanted.Features) || !maps.Equal(got.FieldMapping, wanted.FieldMapping) {
			t.Errorf("%s:\n got %+v\nwant %+v", name, *got, wanted)
		}
	}
}

// TestNotServed: what cannot be served is an error of its own name, and clear.
func TestNotServed(t *testing.T) {
	s := snapshot(t, kinds(t, "0.67.db"))
	p := s.projects["kinds"]
	for name, want := range map[string]string{
		"in_bucket":    `not implemented: feature view "in_bucket": data source "remote": data sources in s3:// are not served yet; files are`,
		"in_delta":     `not implemented: feature view "in_delta": data source "delta": tables in the format Delta are not served yet; Parquet files are`,
		"in_warehouse": `not implemented: feature view "in_warehouse": data source "warehouse": data sources of type BATCH_BIGQUERY are not served yet`,
		"in_custom":    `not implemented: feature view "in_custom": data source "custom": data sources of the class "feast.infra.offline_stores.contrib.postgres_offline_st… (96 bytes) are not served yet`,
		"switched_off": `failed precondition: Feature view 'switched_off' is disabled; enable it and apply again`,
		"labels":       `not implemented: "labels" is a label view; label views are not served yet`,
		"by_pandas":    `not found: Feature view by_pandas does not exist in project kinds`,
		"ghost":        `not found: Feature view ghost does not exist in project kinds`,
	} {
		_, err := p.view(name)
		if got := fmt.Sprintf("%s: %v", fault.KindOf(err), err); err == nil || !strings.HasPrefix(got, want[:min(len(want), 120)]) {
			t.Errorf("%s:\n got %s\nwant %s", name, got, want)
		}
	}
	for name, want := range map[string]string{
		"request": `invalid request: data source "request": it comes with each request and has no rows of its own`,
		"ghost":   `not found: Data source ghost does not exist in project kinds`,
		"remote":  `not implemented: data source "remote": data sources in s3:// are not served yet`,
	} {
		_, err := p.source(name)
		if got := fmt.Sprintf("%s: %v", fault.KindOf(err), err); err == nil || !strings.HasPrefix(got, want) {
			t.Errorf("%s:\n got %s\nwant %s", name, got, want)
		}
	}
	unserved := maps.Collect(s.Unserved())
	if len(unserved) != 5 || unserved["in_bucket"] == nil {
		t.Errorf("unserved: %v", unserved)
	}
	var named []string
	for _, v := range s.Catalog().Views() {
		named = append(named, v.Name)
	}
	if slices.Contains(named, "in_bucket") || !slices.Contains(named, "plain") || !slices.Contains(named, "streamed") || slices.Contains(named, "labels") {
		t.Errorf("catalog: %q", named)
	}
	var services []string
	for _, f := range s.Catalog().Services() {
		services = append(services, f.Name)
	}
	slices.Sort(services)
	if !slices.Equal(services, []string{"agrees", "aliased", "chosen", "quarrel", "same_alias", "service"}) { // on_demand needs Python
		t.Errorf("services: %q", services)
	}
}

// TestSourcesByName: by name, by path where there is no other name, and what only logs and datasets know.
func TestSourcesByName(t *testing.T) {
	p := snapshot(t, kinds(t, "0.67.sqlite")).projects["kinds"]
	for name, path := range map[string]string{
		"stats": "stats.parquet", "push": "stats.parquet", "kafka": "kafka.parquet", "kafka_batch": "kafka.parquet", "kinesis": "kinesis.parquet",
		"data/history/": "history", "data/city.parquet": "city.parquet", "sink": "derived.parquet",
		"data/saved/training.parquet": "training.parquet", "data/logs/chosen": "chosen", "/srv/feast/logs": "logs", "data/stats.parquet": "stats.parquet",
	} {
		if d, err := p.source(name); err != nil || d.source.String() != path {
			t.Errorf("%s: %+v, %v", name, d, err)
		}
	}
	for _, name := range []string{"data/registered_dataset.parquet/", "stats.parquet", "training", ""} {
		if d, err := p.source(name); err == nil {
			t.Errorf("%s: %+v", name, d)
		}
	}
}

// TestProjects: one registry, two projects, the same names.
func TestProjects(t *testing.T) {
	r := kinds(t, "0.67.db")
	s := snapshot(t, r)
	other, err := s.projects["other"].view("plain")
	if err != nil || !slices.Equal(other.feature.Keys, []string{"other_id"}) || other.feature.Timestamp != "ts" {
		t.Errorf("%+v, %v", other, err)
	}
	c := command(t, map[string]any{"api": "get_historical_features", "project": "nowhere", "feature_refs": []string{"plain:trips"},
		"feature_view_names": []string{"plain"}, "name_aliases": []any{nil}})
	_, err = r.Historical(context.Background(), c.Historical, nil)
	if err == nil || err.Error() != "Feature view plain does not exist in project nowhere" {
		t.Errorf("%v", err)
	}
}

// TestDeclaredTypes: every type that a field can be declared to have.
func TestDeclaredTypes(t *testing.T) {
	v, err := snapshot(t, kinds(t, "0.67.db")).projects["kinds"].view("types")
	if err != nil {
		t.Fatal(err)
	}
	list := arrow.ListOf
	text, micros := arrow.BinaryTypes.String, arrow.FixedWidthTypes.Timestamp_us
	nullable := func(name string, t arrow.DataType) arrow.Field {
		return arrow.Field{Name: name, Type: t, Nullable: true}
	}
	want := map[string]arrow.DataType{
		"bytes": arrow.BinaryTypes.Binary, "string": text, "int32": arrow.PrimitiveTypes.Int32, "int64": arrow.PrimitiveTypes.Int64,
		"float32": arrow.PrimitiveTypes.Float32, "float64": arrow.PrimitiveTypes.Float64, "bool": arrow.FixedWidthTypes.Boolean,
		"unix_timestamp": micros, "zoned_timestamp": micros, "uuid": text, "time_uuid": text, "decimal": text, "json": arrow.BinaryTypes.LargeString,
		"map": textMap, "scalar_map": nil, "map_list": list(textMap), "json_list": list(arrow.BinaryTypes.LargeString),
		"bytes_list": list(arrow.BinaryTypes.Binary), "string_list": list(text), "int32_list": list(arrow.PrimitiveTypes.Int32),
		"int64_list": list(arrow.PrimitiveTypes.Int64), "float32_list": list(arrow.PrimitiveTypes.Float32), "float64_list": list(arrow.PrimitiveTypes.Float64),
		"bool_list": list(arrow.FixedWidthTypes.Boolean), "unix_timestamp_list": list(micros), "uuid_list": list(text), "time_uuid_list": list(text),
		"decimal_list": list(text), "bytes_set": list(arrow.BinaryTypes.Binary), "string_set": list(text), "int32_set": list(arrow.PrimitiveTypes.Int32),
		"int64_set": list(arrow.PrimitiveTypes.Int64), "float32_set": list(arrow.PrimitiveTypes.Float32), "float64_set": list(arrow.PrimitiveTypes.Float64),
		"bool_set": list(arrow.FixedWidthTypes.Boolean), "unix_timestamp_set": list(micros), "uuid_set": list(text), "time_uuid_set": list(text),
		"decimal_set": list(text),
		"struct": arrow.StructOf(nullable("a", arrow.PrimitiveTypes.Int32), nullable("b", list(text)),
			nullable("c", arrow.StructOf(nullable("d", arrow.PrimitiveTypes.Float64)))),
		"struct_list": list(arrow.StructOf(nullable("a", arrow.PrimitiveTypes.Int32))),
		"list_list":   list(list(arrow.PrimitiveTypes.Int64)), "set_list": list(list(text)), "list_set": list(list(arrow.PrimitiveTypes.Float32)),
		"deep":      list(list(list(arrow.FixedWidthTypes.Boolean))),
		"driver_id": arrow.PrimitiveTypes.Int64,
	}
	for name, typ := range v.fields {
		wanted, known := want[name]
		switch {
		case !known:
			t.Errorf("%s: %v", name, typ)
		case wanted == nil && typ != nil, wanted != nil && (typ == nil || !arrow.TypeEqual(typ, wanted)):
			t.Errorf("%s: %v, want %v", name, typ, wanted)
		}
	}
	if len(v.fields) != len(want) {
		t.Errorf("%d fields, want %d", len(v.fields), len(want))
	}
	if s := v.feature.Schema; s.Field(0).Name != "driver_id" || s.HasField("scalar_map") || !s.HasField("event_timestamp") {
		t.Errorf("schema %v", s)
	}
}

// TestVersions: older definitions are served from the history, by number.
func TestVersions(t *testing.T) {
	for _, form := range forms {
		p := snapshot(t, kinds(t, form)).projects["kinds"]
		for version, features := range [][]string{{"rate"}, {"rate", "trips"}, {"trips"}} {
			v, err := p.versioned("versioned", version)
			if err != nil || !slices.Equal(v.feature.Features, features) || v.feature.TTL != time.Duration(len(features))*24*time.Hour {
				t.Errorf("%s: version %d: %+v, %v", form, version, v, err)
			}
		}
		if now, err := p.versioned("versioned", noVersion); err != nil || !slices.Equal(now.feature.Features, []string{"trips"}) {
			t.Errorf("%s: %+v, %v", form, now, err)
		}
		var e *Error
		if _, err := p.versioned("versioned", 3); !errors.As(err, &e) || e.Class != "FeatureViewVersionNotFound" ||
			e.Message != "Version v3 of feature view versioned does not exist in project kinds" {
			t.Errorf("%s: %v", form, err)
		}
		if _, err := p.versioned("ghost", 0); err == nil || !strings.Contains(err.Error(), "Feature view ghost does not exist") {
			t.Errorf("%s: %v", form, err)
		}
		if _, err := p.versioned("by_pandas", 0); fault.KindOf(err) != fault.Unimplemented {
			t.Errorf("%s: %v", form, err)
		}
	}
}

// TestAliases: an alias means what all services mean that have it for the same view.
func TestAliases(t *testing.T) {
	p := snapshot(t, kinds(t, "0.67.db")).projects["kinds"]
	for alias, want := range map[viewAlias]map[string]string{
		{"plain", "origin"}:  {"driver_id": "origin_id"}, // two services agree
		{"pushed", "origin"}: {"driver_id": "pusher"},    // the alias is of another view
		{"plain", "nobody"}:  nil,
		{"plain", ""}:        nil,
	} {
		if got, err := p.keyMap(alias.view, alias.alias); err != nil || !maps.Equal(got, want) {
			t.Errorf("%v: %v, %v", alias, got, err)
		}
	}
	_, err := p.keyMap("plain", "dest")
	if fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), `"aliased"`) || !strings.Contains(err.Error(), `"quarrel"`) {
		t.Errorf("%v", err)
	}
}

// TestServiceLogs: destination and columns of logged features.
func TestServiceLogs(t *testing.T) {
	r := kinds(t, "0.67.db")
	got, err := r.Log(context.Background(), command(t, map[string]any{"api": "write_logged_features", "feature_service_name": "chosen"}).Log)
	if err != nil {
		t.Fatal(err)
	}
	store, _ := r.opener.root(filepath.Join(r.config.Dir, "data/logs"))
	if log := got.Service.Log; log.Store != store || log.Destination != "chosen" || !slices.Equal(log.Derived, []string{"__log_date"}) {
		t.Errorf("%+v", log)
	}
	seconds := &arrow.TimestampType{Unit: arrow.Second, TimeZone: "UTC"}
	want := arrow.NewSchema([]arrow.Field{
		{Name: "driver_id", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
		{Name: "plain__trips", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
		{Name: "plain__trips__timestamp", Type: seconds, Nullable: true},
		{Name: "plain__trips__status", Type: arrow.PrimitiveTypes.Int32, Nullable: true},
		{Name: "__log_timestamp", Type: arrow.FixedWidthTypes.Timestamp_us, Nullable: true},
		{Name: "__log_date", Type: arrow.FixedWidthTypes.Date32, Nullable: true},
		{Name: "__request_id", Type: arrow.BinaryTypes.String, Nullable: true},
	}, nil)
	if !got.Schema.Equal(want) {
		t.Errorf("got %v\nwant %v", got.Schema, want)
	}
	got, err = r.Log(context.Background(), command(t, map[string]any{"api": "write_logged_features", "feature_service_name": "on_demand"}).Log)
	if err != nil || !got.Schema.HasField("amount") || !got.Schema.HasField("by_pandas__rate_amount__status") || got.Service.Log.Destination != "logs" {
		t.Errorf("%+v, %v", got, err)
	}
	for service, want := range map[string]string{
		"service": `failed precondition: feature service "service" must have logging_config set`,
		"ghost":   "not found: Feature service ghost does not exist in project kinds",
	} {
		_, err := r.Log(context.Background(), command(t, map[string]any{"api": "write_logged_features", "feature_service_name": service}).Log)
		if got := fmt.Sprintf("%s: %v", fault.KindOf(err), err); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %s", service, got)
		}
	}
}

func TestOnDemandDefinitions(t *testing.T) {
	p := snapshot(t, kinds(t, "0.67.db")).projects["kinds"]
	o := p.onDemand["by_pandas"]
	if o.Mode != "pandas" || len(o.Inputs) != 1 || o.Inputs[0].View != "plain" || !slices.Equal(o.Inputs[0].Features, []string{"rate"}) {
		t.Errorf("%+v", o)
	}
	if !slices.Equal(fieldNames(arrow.NewSchema(o.Request, nil)), []string{"amount", "tries"}) || o.Request[1].Type != arrow.PrimitiveTypes.Int32 {
		t.Errorf("request %v", o.Request)
	}
	if !slices.Equal(fieldNames(arrow.NewSchema(o.Outputs, nil)), []string{"rate_amount", "rate_tries"}) || len(o.Proto) < 500 {
		t.Errorf("outputs %v, %d bytes", o.Outputs, len(o.Proto))
	}
	if o := p.onDemand["by_python"]; o.Mode != "python" || len(o.Inputs) != 2 || len(o.Request) != 0 {
		t.Errorf("%+v", o)
	}
}

// TestCustomSource: the class and its bytes go to the store that is registered for the class, once.
func TestCustomSource(t *testing.T) {
	const class = "feast.infra.offline_stores.contrib.postgres_offline_store.postgres_source.PostgreSQLSource"
	var asked []string
	store := memstore.New()
	if _, taken := stores.SourceClassOf(class); !taken {
		stores.RegisterSourceClass(class, func(configuration []byte) (stores.OfflineStore, stores.DataSource, error) {
			asked = append(asked, string(configuration))
			return store, memstore.Source("stats"), nil
		})
	}
	r := kinds(t, "0.67.db")
	v, err := snapshot(t, r).projects["kinds"].view("in_custom")
	if err != nil || v.feature.Store != store || v.feature.Source != memstore.Source("stats") {
		t.Fatalf("%+v, %v", v, err)
	}
	if _, err := r.load(context.Background(), true); err != nil {
		t.Fatal(err)
	}
	if len(asked) != 1 || !strings.Contains(asked[0], `"query": "SELECT * FROM stats"`) {
		t.Errorf("asked %q", asked)
	}
}
