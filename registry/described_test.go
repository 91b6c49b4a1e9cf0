package registry

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"github.com/flightd/flightd/internal/fault"
	"github.com/flightd/flightd/tickets"
)

func describedBy(t testing.TB, api, source string) *tickets.FeastSource {
	t.Helper()
	return command(t, map[string]any{"api": api, "data_source_proto": source}).Source
}

// TestDescribedSources: a source that a client describes is answered if it is a registered one, or lies below a root. No
// other file is touched, and nothing is said about whether it is there.
func TestDescribedSources(t *testing.T) {
	r := golden(t)
	dir := r.config.Dir
	outside := t.TempDir()
	copyFile(t, filepath.Join(dir, "data/city_load.parquet"), filepath.Join(outside, "secret.parquet"))
	copyFile(t, filepath.Join(dir, "data/city_load.parquet"), filepath.Join(dir, "fresh/new.parquet"))
	if err := os.Symlink(filepath.Join(outside, "secret.parquet"), filepath.Join(dir, "fresh/link.parquet")); err != nil {
		t.Fatal(err)
	}
	file := func(name, uri string) string {
		return `{"type": "BATCH_FILE", "name": "` + name + `", "timestampField": "event_timestamp", "fileOptions": {"uri": "` + uri + `"}, "newer": {"x": [1]}}`
	}
	forbidden := func(name string) string {
		return `permission denied: data source "` + name + `" is not registered, and its path is not below the folder of the repository or of a registered source; ` +
			"apply it where Feast reads the files itself, or start flightd with --feast-folder and the folder of its data"
	}
	for _, c := range []struct{ name, source, want string }{
		{"registered", file("city_load_source", "data/city_load.parquet"), "event_timestamp load"},
		{"push", `{"type": "PUSH_SOURCE", "name": "driver_stats_push"}`, "driver_id event_timestamp created conv_rate acc_rate avg_daily_trips"},
		{"new", file("new", "fresh/new.parquet"), "event_timestamp load"},
		{"new, unnamed", file("", "fresh/new.parquet"), "event_timestamp load"},
		{"new, absolute", file("new", dir+"/fresh/new.parquet"), "event_timestamp load"},
		{"new, URI", file("new", "file://"+dir+"/fresh/new.parquet"), "event_timestamp load"},
		{"new, folder", file("new", "data/../fresh/../data/city_load.parquet"), "event_timestamp load"},
		{"another path under a known name", file("driver_stats_source", "data/city_load.parquet"), "event_timestamp load"},
		{"missing", file("new", "fresh/missing.parquet"), "not found DataSourceNotFoundException: Unable to find table at 'fresh/missing.parquet'."},
		{"outside", file("new", outside+"/secret.parquet"), forbidden("new")},
		{"outside, missing", file("new", outside+"/missing.parquet"), forbidden("new")},
		{"outside under a known name", file("driver_stats_source", outside+"/secret.parquet"), forbidden("driver_stats_source")},
		{"up and out", file("new", "../"+filepath.Base(outside)+"/secret.parquet"), forbidden("new")},
		{"link out", file("new", "fresh/link.parquet"), `permission denied: data source "new": "fresh/link.parquet" leads out of the store's root`},
		{"pattern", file("new", "fresh/{n,m}*.parquet"), `permission denied: data source "new" is not registered, and its path is a pattern`},
		{"the root itself", file("new", "."), forbidden("new")},
		{"no path", file("new", ""), forbidden("new")},
		{"zero byte", file("new", `fresh/a\u0000b`), forbidden("new")},
		{"bucket", file("new", "s3://bucket/x.parquet"), forbidden("new")},
		{"other host", file("new", "file://host"+dir+"/fresh/new.parquet"), forbidden("new")},
		{"prefix of a root", file("new", dir+"-not/x.parquet"), forbidden("new")},
		{"not Parquet", file("new", "registry.db"), `broken data: data source "new": `},
		{"unknown kind", `{"type": "BATCH_BIGQUERY", "name": "w", "bigqueryOptions": {"table": "t"}}`, "not found DataSourceObjectNotFoundException: Data source w does not exist in project golden"},
		{"delta", `{"type": "BATCH_FILE", "name": "d", "fileOptions": {"uri": "data/d", "fileFormat": {"deltaFormat": {}}}}`, `not implemented: data source "d": tables in the format Delta`},
		{"request source", `{"type": "REQUEST_SOURCE", "name": "bonus"}`, `invalid request: data source "bonus": it comes with each request`},
		{"no JSON", `{"type": `, "invalid request: data_source_proto: it is not the JSON of a data source"},
		{"wrong type", `{"type": "BATCH_FILE", "name": 3}`, "invalid request: data_source_proto: it is not the JSON of a data source"},
		{"too deep", strings.Repeat(`{"batchSource":`, 1000) + "{}" + strings.Repeat("}", 1000), "invalid request: data_source_proto: "},
	} {
		got := ""
		job, err := r.Columns(context.Background(), describedBy(t, "get_table_column_names_and_types_from_data_source", c.source))
		if err != nil {
			got = said(err)
		} else {
			for rec, err := range job.Records(context.Background()) {
				if err != nil {
					t.Fatal(err)
				}
				var names []string
				for i := range int(rec.NumRows()) {
					names = append(names, rec.Column(0).(*array.String).Value(i))
				}
				got = strings.Join(names, " ")
			}
		}
		if !strings.HasPrefix(got, c.want) || err == nil && got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
	for source, want := range map[string]string{
		file("city_load_source", "data/city_load.parquet"): "",
		file("gone", "data/gone.parquet"):                  "", // clients ask before they apply, and write later
		file("gone", outside+"/gone.parquet"):              forbidden("gone"),
		`{"type": "REQUEST_SOURCE", "name": "r"}`:          "",
		`{"type": "PUSH_SOURCE", "name": "new_push"}`:      "",
		`{"type": "BATCH_BIGQUERY", "name": "w"}`:          "not found DataSourceObjectNotFoundException: Data source w",
		`[]`: "invalid request: data_source_proto: ",
	} {
		err := r.Validate(context.Background(), describedBy(t, "validate_data_source", source))
		if want == "" && err != nil || want != "" && (err == nil || !strings.HasPrefix(said(err), want)) {
			t.Errorf("validate %s: %v, want %s", source, err, want)
		}
	}
}

// TestDescribedBeforeApply: the first apply of a remote client asks before there is a registry.
func TestDescribedBeforeApply(t *testing.T) {
	r := golden(t)
	if err := os.Remove(filepath.Join(r.config.Dir, "registry.db")); err != nil {
		t.Fatal(err)
	}
	source := `{"type": "BATCH_FILE", "name": "c", "fileOptions": {"uri": "data/city_load.parquet"}}`
	if err := r.Validate(context.Background(), describedBy(t, "validate_data_source", source)); err != nil {
		t.Error(err)
	}
	if job, err := r.Columns(context.Background(), describedBy(t, "get_table_column_names_and_types_from_data_source", source)); err != nil || job.Total != 2 {
		t.Error(job, err)
	}
	elsewhere := t.TempDir() // nothing says yet where the data of this repository is
	copyFile(t, filepath.Join(r.config.Dir, "data/city_load.parquet"), filepath.Join(elsewhere, "load.parquet"))
	if err := os.Symlink(elsewhere, filepath.Join(elsewhere, "link")); err != nil {
		t.Fatal(err)
	}
	source = `{"type": "BATCH_FILE", "name": "c", "fileOptions": {"uri": "` + elsewhere + `/link/load.parquet"}}`
	if job, err := r.Columns(context.Background(), describedBy(t, "get_table_column_names_and_types_from_data_source", source)); err != nil || job.Total != 2 {
		t.Error(job, err)
	}
}

// TestDescribedInFolder: the operator may name more folders.
func TestDescribedInFolder(t *testing.T) {
	r := golden(t)
	elsewhere := t.TempDir()
	copyFile(t, filepath.Join(r.config.Dir, "data/city_load.parquet"), filepath.Join(elsewhere, "deep/load.parquet"))
	source := describedBy(t, "get_table_column_names_and_types_from_data_source",
		`{"type": "BATCH_FILE", "name": "c", "fileOptions": {"uri": "`+elsewhere+`/deep/load.parquet"}}`)
	if _, err := r.Columns(context.Background(), source); fault.KindOf(err) != fault.Forbidden {
		t.Error(err)
	}
	r.opener.allowed = []string{elsewhere}
	if job, err := r.Columns(context.Background(), source); err != nil || job.Total != 2 {
		t.Error(job, err)
	}
}

// TestTypeText has the words of pyarrow's str.
func TestTypeText(t *testing.T) {
	field := func(name string, t arrow.DataType) arrow.Field {
		return arrow.Field{Name: name, Type: t, Nullable: true}
	}
	text, i32 := arrow.BinaryTypes.String, arrow.PrimitiveTypes.Int32
	sortedKeys := arrow.MapOf(text, i32)
	sortedKeys.KeysSorted = true
	for want, typ := range map[string]arrow.DataType{
		"map<string, int32>":                                       arrow.MapOf(text, i32),
		"map<string, int32, keys_sorted>":                          sortedKeys,
		"list<element: double not null>":                           arrow.ListOfField(arrow.Field{Name: "element", Type: arrow.PrimitiveTypes.Float64}),
		"struct<a: int32, b: list<item: string>>":                  arrow.StructOf(field("a", i32), field("b", arrow.ListOf(text))),
		"fixed_size_list<item: float>[3]":                          arrow.FixedSizeListOf(3, arrow.PrimitiveTypes.Float32),
		"large_list<item: string>":                                 arrow.LargeListOf(text),
		"dictionary<values=string, indices=int32, ordered=0>":      &arrow.DictionaryType{IndexType: i32, ValueType: text},
		"dictionary<values=large_string, indices=int8, ordered=1>": &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int8, ValueType: arrow.BinaryTypes.LargeString, Ordered: true},
		"decimal128(10, 2)":                                        &arrow.Decimal128Type{Precision: 10, Scale: 2},
		"decimal256(40, -2)":                                       &arrow.Decimal256Type{Precision: 40, Scale: -2},
		"date32[day]":                                              arrow.FixedWidthTypes.Date32,
		"date64[ms]":                                               arrow.FixedWidthTypes.Date64,
		"time32[s]":                                                arrow.FixedWidthTypes.Time32s,
		"time64[ns]":                                               arrow.FixedWidthTypes.Time64ns,
		"duration[us]":                                             arrow.FixedWidthTypes.Duration_us,
		"timestamp[ms]":                                            &arrow.TimestampType{Unit: arrow.Millisecond},
		"timestamp[ns, tz=Europe/Paris]":                           &arrow.TimestampType{Unit: arrow.Nanosecond, TimeZone: "Europe/Paris"},
		"halffloat":                                                arrow.FixedWidthTypes.Float16,
		"float":                                                    arrow.PrimitiveTypes.Float32,
		"double":                                                   arrow.PrimitiveTypes.Float64,
		"bool":                                                     arrow.FixedWidthTypes.Boolean,
		"null":                                                     arrow.Null,
		"uint8":                                                    arrow.PrimitiveTypes.Uint8,
		"int64":                                                    arrow.PrimitiveTypes.Int64,
		"binary":                                                   arrow.BinaryTypes.Binary,
		"fixed_size_binary[4]":                                     &arrow.FixedSizeBinaryType{ByteWidth: 4},
		"large_binary":                                             arrow.BinaryTypes.LargeBinary,
		"large_string":                                             arrow.BinaryTypes.LargeString,
		"string":                                                   text,
	} {
		if got := typeText(typ); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// TestLocate: the folder of a source is its root, and before a wildcard the folder where that begins.
func TestLocate(t *testing.T) {
	o := newOpener("/repo", nil, files)
	for uri, want := range map[string]place{
		"data/x.parquet":         {"/repo/data", "x.parquet"},
		"x.parquet":              {"/repo", "x.parquet"},
		"data/folder/":           {"/repo/data", "folder"},
		"../other/x.parquet":     {"/other", "x.parquet"},
		"/srv/x.parquet":         {"/srv", "x.parquet"},
		"/x.parquet":             {"/", "x.parquet"},
		"/":                      {"/", "."},
		".":                      {"/", "repo"},
		"file:///srv/a%20b":      {"/srv", "a b"},
		"data/*.parquet":         {"/repo/data", "*.parquet"},
		"data/*/part?.parquet":   {"/repo/data", "*/part?.parquet"},
		"/srv/[ab]/x.parquet":    {"/srv", "[ab]/x.parquet"},
		"data/2024/../x.parquet": {"/repo/data", "x.parquet"},
	} {
		got, _, err := o.locate(uri)
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v, want %+v", uri, got, err, want)
		}
	}
	for _, uri := range []string{"s3://b/x", "gs://b/x", "https://h/x", "hdfs://n/x", "file://host/x", "a\x00b"} {
		if got, _, err := o.locate(uri); err == nil {
			t.Errorf("%s: %+v", uri, got)
		}
	}
}
