package registry

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/flightd/flightd/internal/fault"
	"github.com/flightd/flightd/stores"
	"github.com/flightd/flightd/tickets"
)

// entityRows are entity rows with these columns of integers and one row, and an event time of the given type.
func entityRows(columns ...string) *stores.Rows {
	fields := []arrow.Field{{Name: "event_timestamp", Type: arrow.FixedWidthTypes.Timestamp_us}}
	for _, name := range columns {
		fields = append(fields, arrow.Field{Name: name, Type: arrow.PrimitiveTypes.Int64, Nullable: true})
	}
	schema := arrow.NewSchema(fields, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	at := time.Date(2026, 1, 1, 13, 0, 0, 0, time.UTC)
	b.Field(0).(*array.TimestampBuilder).Append(arrow.Timestamp(at.UnixMicro()))
	for i := range columns {
		b.Field(i + 1).(*array.Int64Builder).Append(1001)
	}
	rec := b.NewRecord()
	return &stores.Rows{Schema: schema, Len: 1, Records: func(yield func(arrow.Record, error) bool) { yield(rec, nil) }}
}

// historicalCommand asks for features of a project. A view is written "view" or "view as alias".
func historicalCommand(t testing.TB, project string, views, refs []string, more map[string]any) *tickets.FeastHistorical {
	t.Helper()
	names, aliases := []string{}, []any{}
	for _, v := range views {
		name, alias, has := strings.Cut(v, " as ")
		names = append(names, name)
		if has {
			aliases = append(aliases, alias)
		} else {
			aliases = append(aliases, nil)
		}
	}
	keys := map[string]any{"api": "get_historical_features", "project": project, "feature_view_names": names, "name_aliases": aliases,
		"feature_refs": refs, "full_feature_names": false}
	maps.Copy(keys, more)
	return command(t, keys).Historical
}

// said is the kind, the class and the text of an error.
func said(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return fmt.Sprintf("%s %s: %v", fault.KindOf(err), e.Class, err)
	}
	return fmt.Sprintf("%s: %v", fault.KindOf(err), err)
}

// TestHistoricalErrors has what a client can ask wrongly, and Feast's class and words for it.
func TestHistoricalErrors(t *testing.T) {
	r := kinds(t, "0.67.db")
	full := map[string]any{"full_feature_names": true}
	for _, c := range []struct {
		name     string
		views    []string
		refs     []string
		more     map[string]any
		entities *stores.Rows
		want     string
	}{
		{"unknown view", []string{"ghost"}, []string{"ghost:f"}, nil, entityRows("driver_id"),
			"not found FeatureViewNotFoundException: Feature view ghost does not exist in project kinds"},
		{"unknown view that nobody asks for", []string{"plain", "ghost"}, []string{"plain:rate"}, nil, entityRows("driver_id"),
			"not found FeatureViewNotFoundException: Feature view ghost does not exist in project kinds"},
		{"reference to nothing", []string{"plain"}, []string{"ghost:f"}, nil, entityRows("driver_id"),
			"not found FeatureViewNotFoundException: Feature view ghost does not exist in project kinds"},
		{"unknown feature", []string{"plain"}, []string{"plain:rats"}, nil, entityRows("driver_id"),
			`not found SpecifiedFeaturesNotPresentError: Feature view plain has no feature "rats"; did you mean "rate"?`},
		{"unknown output", nil, []string{"by_pandas:rate"}, nil, entityRows("driver_id", "amount", "tries"),
			`not found SpecifiedFeaturesNotPresentError: Feature view by_pandas has no feature "rate"; known: rate_amount, rate_tries`},
		{"unknown version", []string{"versioned"}, []string{"versioned@v7:rate"}, nil, entityRows("driver_id"),
			"not found FeatureViewVersionNotFound: Version v7 of feature view versioned does not exist in project kinds"},
		{"version of an on-demand view", nil, []string{"by_pandas@v0:rate_amount"}, nil, entityRows("driver_id", "amount", "tries"),
			"not implemented: by_pandas@v0:rate_amount: versions of on-demand feature views are not served yet"},
		{"label view", []string{"labels"}, []string{"labels:is_fraud"}, nil, entityRows("driver_id"),
			`not implemented: "labels" is a label view; label views are not served yet`},
		{"disabled view", []string{"switched_off"}, []string{"switched_off:rate"}, nil, entityRows("driver_id"),
			"failed precondition: Feature view 'switched_off' is disabled; enable it and apply again"},
		{"missing key", []string{"two_keys"}, []string{"two_keys:trips"}, nil, entityRows("driver_id"),
			"invalid request FeastEntityDFMissingColumnsError: The entity dataframe you have provided must contain columns " +
				"{'customer_code', 'driver_id', 'event_timestamp'}, but {'customer_code'} were missing."},
		{"missing mapped key", []string{"plain as origin"}, []string{"origin:rate"}, nil, entityRows("driver_id"),
			"invalid request FeastEntityDFMissingColumnsError: The entity dataframe you have provided must contain columns " +
				"{'event_timestamp', 'origin_id'}, but {'origin_id'} were missing."},
		{"services disagree", []string{"plain as dest"}, []string{"dest:rate"}, nil, entityRows("dest_id"),
			`invalid request: feature view "plain" has the alias "dest" with one join key map in feature service "`},
		{"two views of one name", []string{"plain as x", "pushed as x"}, []string{"x:rate"}, nil, entityRows("driver_id"),
			`invalid request: name_aliases: both feature view "plain" and feature view "pushed" go by the name "x"`},
		{"alias of another's name", []string{"plain", "pushed as plain"}, []string{"plain:rate"}, nil, entityRows("driver_id"),
			`invalid request: name_aliases: both feature view "plain" and feature view "pushed" go by the name "plain"`},
		{"same feature twice", []string{"plain"}, []string{"plain:rate", "plain:rate"}, full, entityRows("driver_id"),
			"invalid request FeatureNameCollisionError: Two columns of the answer would be called plain__rate: plain:rate and plain:rate."},
		{"two features of one name", []string{"plain", "pushed"}, []string{"plain:rate", "pushed:rate"}, nil, entityRows("driver_id"),
			"invalid request FeatureNameCollisionError: Two columns of the answer would be called rate: plain:rate and pushed:rate."},
		{"feature and entity column", []string{"plain"}, []string{"plain:rate"}, nil, entityRows("driver_id", "rate"),
			"invalid request FeatureNameCollisionError: Two columns of the answer would be called rate: plain:rate and a column of the entity rows."},
		{"output and entity column", []string{"plain"}, []string{"by_pandas:rate_amount", "plain:rate"}, nil,
			entityRows("driver_id", "amount", "tries", "rate_amount"),
			"invalid request FeatureNameCollisionError: Two columns of the answer would be called rate_amount: by_pandas:rate_amount and a column"},
		{"request field missing", []string{"plain"}, []string{"by_pandas:rate_amount", "plain:rate"}, nil, entityRows("driver_id", "amount"),
			"invalid request RequestDataNotFoundInEntityDfException: Feature tries not found in the entity dataframe, but required by feature view by_pandas"},
		{"request fields without rows", []string{"plain"}, []string{"by_pandas:rate_amount", "plain:rate"}, nil, nil,
			"invalid request RequestDataNotFoundInEntityDfException: Feature amount not found"},
		{"SQL", []string{"plain"}, []string{"plain:rate"}, map[string]any{"entity_df_sql": "SELECT 1"}, nil,
			"not implemented: entity_df_sql: entity rows as SQL are not run here"},
		{"start in the future", []string{"plain"}, []string{"plain:rate"}, map[string]any{"start_date": "2999-01-01"}, nil,
			"invalid request: start_date: 2999-01-01T00:00:00Z is after the end"},
		{"long name", []string{strings.Repeat("x", 1000)}, []string{"a:b"}, nil, nil,
			"not found FeatureViewNotFoundException: Feature view " + strings.Repeat("x", 200) + "… (1000 bytes) does not exist"},
	} {
		_, err := r.Historical(context.Background(), historicalCommand(t, "kinds", c.views, c.refs, c.more), c.entities)
		if err == nil || !strings.HasPrefix(said(err), c.want) {
			t.Errorf("%s:\n got %s\nwant %s", c.name, said(err), c.want)
		}
	}
}

// TestManyUses asks for one view under many names: each is a join, so there is an end to them.
func TestManyUses(t *testing.T) {
	r := kinds(t, "0.67.db")
	ask := func(n int, features ...string) (*Read, error) {
		var views, refs []string
		for i := range n {
			alias := fmt.Sprint("a", i)
			views = append(views, "plain as "+alias)
			for _, f := range features {
				refs = append(refs, alias+":"+f)
			}
		}
		return r.Historical(t.Context(), historicalCommand(t, "kinds", views, refs, map[string]any{"full_feature_names": true}), entityRows("driver_id"))
	}
	read, err := ask(1000, "rate", "driver_id")
	if err != nil {
		t.Fatal(err)
	}
	groups := read.Request.(*stores.Historical).Features
	if len(groups) != 1000 || groups[999].Alias != "a999" || !slices.Equal(groups[999].Features, []string{"rate", "driver_id"}) || len(read.features) != 2000 {
		t.Errorf("%d groups, the last of them %+v, and %d features", len(groups), groups[len(groups)-1], len(read.features))
	}
	want := "invalid request: more than 1000 uses of feature views in one command"
	if _, err := ask(1001, "rate"); !strings.HasPrefix(said(err), want) {
		t.Errorf("%v", err)
	}
}

// TestEntityTimes has Feast's classes for rows without a time.
func TestEntityTimes(t *testing.T) {
	r := kinds(t, "0.67.db")
	with := func(fields ...arrow.Field) *stores.Rows {
		fields = append(fields, arrow.Field{Name: "driver_id", Type: arrow.PrimitiveTypes.Int64})
		return &stores.Rows{Schema: arrow.NewSchema(fields, nil), Records: func(func(arrow.Record, error) bool) {}}
	}
	naive := &arrow.TimestampType{Unit: arrow.Second}
	for _, c := range []struct {
		rows *stores.Rows
		want string
	}{
		{with(), "invalid request EntityTimestampInferenceException: Please provide an entity_df with a column named event_timestamp representing the time of events."},
		{with(arrow.Field{Name: "a", Type: naive}, arrow.Field{Name: "b", Type: naive}), "invalid request EntityTimestampInferenceException: Please"},
		{with(arrow.Field{Name: "event_timestamp", Type: arrow.PrimitiveTypes.Int64}),
			`invalid request EntityDFNotDateTime: The event times of the entity rows are not times: column "event_timestamp" is int64`},
		{with(arrow.Field{Name: "a", Type: naive}), "a"},
		{with(arrow.Field{Name: "a", Type: naive}, arrow.Field{Name: "event_timestamp", Type: arrow.BinaryTypes.LargeString}), "event_timestamp"},
		{with(arrow.Field{Name: "event_timestamp", Type: arrow.FixedWidthTypes.Date32}), "event_timestamp"},
		{with(arrow.Field{Name: "event_timestamp", Type: &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int8, ValueType: arrow.BinaryTypes.String}}), "event_timestamp"},
	} {
		read, err := r.Historical(context.Background(), historicalCommand(t, "kinds", []string{"plain"}, []string{"plain:rate"}, nil), c.rows)
		got := ""
		if err != nil {
			got = said(err)
		} else {
			got = read.Request.(*stores.Historical).Timestamp
		}
		if !strings.HasPrefix(got, c.want) {
			t.Errorf("%v:\n got %s\nwant %s", c.rows.Schema, got, c.want)
		}
	}
}

// TestHistoricalRequest: what becomes of a command that uses everything.
func TestHistoricalRequest(t *testing.T) {
	r := kinds(t, "0.67.db")
	c := historicalCommand(t, "kinds", []string{"plain", "plain as origin", "two_keys", "versioned", "streamed"},
		[]string{"plain:trips", "origin:rate", "by_pandas:rate_tries", "two_keys:trips", "plain:rate", "versioned@v1:trips", "versioned:trips",
			"streamed:driver_id", "by_pandas:rate_amount"},
		map[string]any{"full_feature_names": true, "filter_by_created_timestamp": true})
	read, err := r.Historical(context.Background(), c, entityRows("driver_id", "origin_id", "customer_code", "amount", "tries", "label", "__index_level_0__"))
	if err != nil {
		t.Fatal(err)
	}
	h := read.Request.(*stores.Historical)
	var groups []string
	for _, f := range h.Features {
		groups = append(groups, fmt.Sprintf("%s as %s %v %v", f.View.Name, f.Name(), f.JoinKeyMap, f.Features))
	}
	want := []string{
		"plain as plain map[] [trips rate]", "plain as origin map[driver_id:origin_id] [rate]", "two_keys as two_keys map[] [trips]",
		"versioned as versioned@v1 map[] [trips]", "versioned as versioned map[] [trips]", "streamed as streamed map[] [driver_id]",
	}
	if !slices.Equal(groups, want) || !h.KnownAt || !h.FullFeatureNames || h.Timestamp != "event_timestamp" {
		t.Errorf("got %q", groups)
	}
	wantFeatures := []string{"plain__trips", "origin__rate", "two_keys__trips", "plain__rate", "versioned@v1__trips", "versioned__trips", "streamed__driver_id"}
	if !slices.Equal(read.features, wantFeatures) || len(read.hidden) != 0 {
		t.Errorf("features %q, hidden %q", read.features, read.hidden)
	}
	if len(read.OnDemand) != 1 || fmt.Sprint(read.OnDemand[0].Outputs) != "[{rate_tries by_pandas__rate_tries} {rate_amount by_pandas__rate_amount}]" {
		t.Errorf("on demand %+v", read.OnDemand)
	}
}

// TestAnswerOrder: columns come in the order of the references, whatever groups the join makes of them; outputs of on-demand
// views come last, and what only these read does not come at all.
func TestAnswerOrder(t *testing.T) {
	r := golden(t)
	c := historicalCommand(t, "golden", []string{"driver_hourly_stats", "city_load"},
		[]string{"driver_hourly_stats:avg_daily_trips", "city_load:load", "driver_hourly_stats:acc_rate", "driver_bonus:conv_rate_plus_bonus"}, nil)
	read, err := r.Historical(context.Background(), c, entityRows("label", "driver_id", "bonus"))
	if err != nil {
		t.Fatal(err)
	}
	job, err := read.Plan(context.Background(), stores.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := fieldNames(job.Schema()); !slices.Equal(got, []string{"event_timestamp", "label", "driver_id", "bonus", "avg_daily_trips", "load", "acc_rate", "conv_rate"}) {
		t.Errorf("planned %q", got)
	}
	if got := read.Answer(job.Schema()); !slices.Equal(got, []string{"event_timestamp", "label", "driver_id", "bonus", "avg_daily_trips", "load", "acc_rate", "conv_rate_plus_bonus"}) {
		t.Errorf("answer %q", got)
	}
	for rec, err := range job.Records(context.Background()) {
		if err != nil {
			t.Fatal(err)
		}
		if rec.NumRows() != 1 || rec.Column(4).(*array.Int64).Value(0) != 999 || rec.Column(7).IsNull(0) {
			t.Errorf("rows %v", rec)
		}
	}
}

// TestKeysAmongFeatures: Feast lists the key of a stream feature view among its features. Under its short name it is there
// anyway.
func TestKeysAmongFeatures(t *testing.T) {
	r := kinds(t, "0.67.db")
	c := historicalCommand(t, "kinds", []string{"streamed"}, []string{"streamed:driver_id", "streamed:rate"}, nil)
	read, err := r.Historical(context.Background(), c, entityRows("driver_id"))
	if err != nil || !slices.Equal(read.features, []string{"rate"}) {
		t.Fatalf("%+v, %v", read, err)
	}
	if v := read.Request.Views()[0]; !slices.Equal(v.Features, []string{"rate"}) {
		t.Errorf("features %q", v.Features)
	}
}

// TestRange: a command without rows is a timeline, or a snapshot where the server was told so, until now if nothing else is
// said.
func TestRange(t *testing.T) {
	r := golden(t)
	now := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	r.now = func() time.Time { return now }
	for _, c := range []struct {
		mode stores.Mode
		more map[string]any
		rows int64
	}{
		{stores.Timeline, map[string]any{"start_date": "2026-01-01T00:00:00", "end_date": "2026-01-01T18:00:00+00:00"}, 13},
		{stores.Snapshot, map[string]any{"start_date": "2026-01-01T00:00:00", "end_date": "2026-01-01T18:00:00+00:00"}, 3},
		{stores.Timeline, nil, 16}, // a day, the ttl of the view, until now
		{stores.Snapshot, nil, 3},
	} {
		r.options.Mode = c.mode
		read, err := r.Historical(context.Background(), historicalCommand(t, "golden", []string{"driver_hourly_stats"}, []string{"driver_hourly_stats:conv_rate"}, c.more), nil)
		if err != nil {
			t.Fatal(err)
		}
		job, err := read.Plan(context.Background(), stores.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got := fieldNames(job.Schema()); !slices.Equal(got, []string{"driver_id", "event_timestamp", "conv_rate"}) {
			t.Errorf("columns %q", got)
		}
		var rows int64
		for rec, err := range job.Records(context.Background()) {
			if err != nil {
				t.Fatal(err)
			}
			rows += rec.NumRows()
		}
		if rows != c.rows {
			t.Errorf("%s %v: %d rows, want %d", c.mode, c.more, rows, c.rows)
		}
	}
}

// TestOnDemandAlone: an on-demand view that reads nothing but the request gets the entity rows as they are.
func TestOnDemandAlone(t *testing.T) {
	r := golden(t)
	p := snapshot(t, r).projects["golden"]
	alone := *p.onDemand["driver_bonus"]
	alone.Inputs = nil
	p.onDemand["driver_bonus"] = &alone
	c := historicalCommand(t, "golden", nil, []string{"driver_bonus:conv_rate_plus_bonus"}, nil)
	read, err := r.Historical(context.Background(), c, entityRows("bonus", "__index_level_0__"))
	if err != nil {
		t.Fatal(err)
	}
	job, err := read.Plan(context.Background(), stores.Options{})
	if err != nil || !slices.Equal(fieldNames(job.Schema()), []string{"event_timestamp", "bonus"}) || job.Total != 1 {
		t.Fatalf("%v, %v", job, err)
	}
	rows := 0
	for rec, err := range job.Records(context.Background()) {
		if err != nil || rec.NumCols() != 2 {
			t.Fatal(rec, err)
		}
		rows += int(rec.NumRows())
	}
	if rows != 1 || !slices.Equal(read.Answer(job.Schema()), []string{"event_timestamp", "bonus", "conv_rate_plus_bonus"}) {
		t.Errorf("%d rows, %q", rows, read.Answer(job.Schema()))
	}
	if job, err = read.Plan(context.Background(), stores.Options{EntityRows: 1}); err != nil {
		t.Fatal(err)
	}
}

// TestPlanErrors: what only the source can tell has Feast's classes, too.
func TestPlanErrors(t *testing.T) {
	r := golden(t)
	ctx := context.Background()
	pull := func(source string, more map[string]any) (*Read, error) {
		keys := map[string]any{"api": "pull_latest_from_table_or_query", "data_source_name": source, "join_key_columns": []string{"driver_id"},
			"feature_name_columns": []string{"conv_rate"}, "timestamp_field": "event_timestamp", "start_date": nil, "end_date": nil}
		maps.Copy(keys, more)
		return r.Pull(ctx, command(t, keys).Pull, true)
	}
	for _, c := range []struct {
		source string
		more   map[string]any
		want   string
	}{
		{"driver_stats_source", map[string]any{"join_key_columns": []string{"driver_id", "drover"}},
			"invalid request FeastJoinKeysDuringMaterialization: The DataFrame from data/driver_stats.parquet being materialized must have at least " +
				"{'driver_id', 'drover'} columns present, but these were missing: {'drover'} "},
		{"driver_stats_source", map[string]any{"feature_name_columns": []string{"conv_rat"}},
			`invalid request: source driver_stats.parquet has no column "conv_rat" (feature of the view); did you mean "conv_rate"?`},
		{"driver_stats_source", map[string]any{"timestamp_field": "ts"}, `invalid request: source driver_stats.parquet has no column "ts" (timestamp of the view)`},
		{"data/saved_training.parquet", nil,
			"not found DataSourceNotFoundException: Unable to find table at 'data/saved_training.parquet'. Please check that table exists."},
		{"data/driver_logs", nil, "not found DataSourceNotFoundException: Unable to find table at 'data/driver_logs'."},
	} {
		read, err := pull(c.source, c.more)
		if err == nil {
			_, err = read.Plan(ctx, stores.Options{})
		}
		if err == nil || !strings.HasPrefix(said(err), c.want) {
			t.Errorf("%s %v:\n got %s\nwant %s", c.source, c.more, said(err), c.want)
		}
	}
	if _, err := pull("ghost", nil); said(err) != "not found DataSourceObjectNotFoundException: Data source ghost does not exist in project golden" {
		t.Error(err)
	}
}

// TestPullShapes: time zones, the dummy key, and all columns.
func TestPullShapes(t *testing.T) {
	r := golden(t)
	ctx := context.Background()
	for _, c := range []struct {
		latest bool
		more   map[string]any
		want   string
	}{
		{false, nil, "driver_id event_timestamp created conv_rate acc_rate avg_daily_trips"},
		{false, map[string]any{"join_key_columns": []string{}}, "driver_id event_timestamp created conv_rate acc_rate avg_daily_trips __dummy_id"},
		{true, map[string]any{"join_key_columns": []string{}, "feature_name_columns": []string{"conv_rate", "conv_rate", "created"}}, "conv_rate created event_timestamp __dummy_id"},
		{true, map[string]any{"feature_name_columns": []string{"acc_rate", "driver_id"}, "created_timestamp_column": ""}, "driver_id acc_rate event_timestamp"},
	} {
		keys := map[string]any{"api": "pull_all_from_table_or_query", "data_source_name": "driver_stats_source", "join_key_columns": []string{"driver_id"},
			"feature_name_columns": []string{}, "timestamp_field": "event_timestamp", "created_timestamp_column": "created"}
		maps.Copy(keys, c.more)
		read, err := r.Pull(ctx, command(t, keys).Pull, c.latest)
		if err != nil {
			t.Fatal(err)
		}
		job, err := read.Plan(ctx, stores.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(fieldNames(job.Schema()), " "); got != c.want {
			t.Errorf("%v: %s, want %s", c.more, got, c.want)
		}
	}
}

// TestPersist: the destination must be registered under the name that the client sends.
func TestPersist(t *testing.T) {
	r := golden(t)
	persist := func(destination string) (*Persist, error) {
		c := command(t, map[string]any{"api": "persist", "retrieve_func": "get_historical_features", "data_source_name": destination, "allow_overwrite": true,
			"timeout": nil, "project": "golden", "feature_refs": []string{"city_load:load"}, "feature_view_names": []string{"city_load"}, "name_aliases": []any{nil}})
		return r.Persist(context.Background(), c.Persist, entityRows())
	}
	p, err := persist("data/saved_training.parquet")
	if err != nil || p.Source.String() != "saved_training.parquet" || p.Location != "data/saved_training.parquet" || !p.AllowOverwrite || p.Read == nil {
		t.Errorf("%+v, %v", p, err)
	}
	for _, name := range []string{"data/driver_stats.parquet", "data/driver_logs", "data/other.parquet"} { // a path is not a name
		if _, err := persist(name); said(err) != "not found DataSourceObjectNotFoundException: Data source "+name+" does not exist in project golden" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if want := "already exists SavedDatasetLocationAlreadyExists: Saved dataset location x already exists."; said(LocationExists("x")) != want {
		t.Error(LocationExists("x"))
	}
}

func TestWriteTarget(t *testing.T) {
	r := golden(t)
	write := func(view string) (*stores.FeatureView, error) {
		return r.Write(context.Background(), command(t, map[string]any{"api": "offline_write_batch", "feature_view_names": []string{view}, "name_aliases": []any{nil}}).Write)
	}
	v, err := write("vehicle_view")
	if err != nil || v.Source.String() != "vehicle.parquet" || v.FieldMapping["veh"] != "vehicle_id" {
		t.Errorf("%+v, %v", v, err)
	}
	if _, err := write("driver_bonus"); said(err) != "not found FeatureViewNotFoundException: Feature view driver_bonus does not exist in project golden" {
		t.Error(err)
	}
}

func TestPythonSet(t *testing.T) {
	for want, names := range map[string][]string{
		"set()":             nil,
		"{'a', 'b'}":        {"b", "a", "b"},
		`{"it's", 'x\\\n'}`: {"x\\\n", "it's"},
		`{'both \' and "'}`: {`both ' and "`},
		"{'" + strings.Repeat("y", 200) + "… (300 bytes)'}": {strings.Repeat("y", 300)},
	} {
		if got := pythonSet(names); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
