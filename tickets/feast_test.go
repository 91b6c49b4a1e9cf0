package tickets

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	recorded "github.com/flightd/flightd/testdata/feast-golden"
)

// sentCommands are what real clients sent.
func sentCommands(t testing.TB) map[string][]byte {
	t.Helper()
	commands, err := recorded.Commands()
	if err != nil || len(commands) < 60 {
		t.Fatalf("found %d commands: %v", len(commands), err)
	}
	return commands
}

func sentCommand(t testing.TB, name string) []byte {
	t.Helper()
	command, ok := sentCommands(t)[name]
	if !ok {
		t.Fatalf("no command %s", name)
	}
	return command
}

func utc(text string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		panic(err)
	}
	return t
}

func ref(view, feature string) FeastRef { return FeastRef{View: view, Version: -1, Feature: feature} }

var twoFeatures = []FeastRef{ref("driver_hourly_stats", "conv_rate"), ref("driver_hourly_stats", "avg_daily_trips")}

// TestFeastCommands: what real clients send, as values. Ids are random and left out.
func TestFeastCommands(t *testing.T) {
	for name, want := range map[string]Feast{
		"historical_alias_join_key_map-1": {API: GetHistoricalFeatures, Historical: &FeastHistorical{
			FeatureViewNames: []string{"driver_hourly_stats"}, NameAliases: []string{"origin_driver"},
			FeatureRefs: []FeastRef{ref("origin_driver", "conv_rate")}, Project: "golden", FullFeatureNames: true,
		}},
		"historical_no_entity_df-1": {API: GetHistoricalFeatures, Historical: &FeastHistorical{
			FeatureViewNames: []string{"driver_hourly_stats"}, NameAliases: []string{""}, FeatureRefs: twoFeatures, Project: "golden",
			Start: utc("2026-01-01T00:00:00Z"), End: utc("2026-01-01T18:00:00Z"),
		}},
		"historical_no_entity_df_naive_dates-1": {API: GetHistoricalFeatures, Historical: &FeastHistorical{
			FeatureViewNames: []string{"driver_hourly_stats"}, NameAliases: []string{""}, FeatureRefs: twoFeatures, Project: "golden",
			Start: utc("2026-01-01T00:00:00Z"), End: utc("2026-01-01T18:00:00Z"),
		}},
		"historical_sql_entity_df-1": {API: GetHistoricalFeatures, Historical: &FeastHistorical{
			FeatureViewNames: []string{"driver_hourly_stats"}, NameAliases: []string{""}, FeatureRefs: twoFeatures, Project: "golden",
			EntitySQL: "SELECT 1001 AS driver_id, TIMESTAMP '2026-01-01 13:00:00' AS event_timestamp",
		}},
		"historical_on_demand_view-1": {API: GetHistoricalFeatures, Historical: &FeastHistorical{
			FeatureViewNames: []string{"driver_hourly_stats"}, NameAliases: []string{""}, Project: "golden",
			FeatureRefs: []FeastRef{ref("driver_bonus", "conv_rate_plus_bonus"), ref("driver_hourly_stats", "conv_rate")},
		}},
		"materialize_entityless-1": {API: PullAll, Pull: &FeastPull{
			DataSourceName: "city_load_source", JoinKeyColumns: []string{}, FeatureNameColumns: []string{"load"}, TimestampField: "event_timestamp",
			Start: utc("2026-01-01T00:00:00Z"), End: utc("2026-01-02T06:00:00Z"),
		}},
		"materialize_field_mapping-1": {API: PullAll, Pull: &FeastPull{
			DataSourceName: "vehicle_source", JoinKeyColumns: []string{"veh"}, FeatureNameColumns: []string{"odo"}, TimestampField: "ts",
			CreatedTimestampColumn: "ins", Start: utc("2026-01-01T00:00:00Z"), End: utc("2026-01-02T06:00:00Z"),
		}},
		"pull_latest-1": {API: PullLatest, Pull: &FeastPull{
			DataSourceName: "driver_stats_source", JoinKeyColumns: []string{"driver_id"}, FeatureNameColumns: []string{"conv_rate", "avg_daily_trips"},
			TimestampField: "event_timestamp", CreatedTimestampColumn: "created",
			Start: utc("2026-01-01T00:00:00Z"), End: utc("2026-01-02T06:00:00Z"),
		}},
		"pull_all_no_dates-1": {API: PullAll, Pull: &FeastPull{
			DataSourceName: "driver_stats_source", JoinKeyColumns: []string{"driver_id"}, FeatureNameColumns: []string{"conv_rate"}, TimestampField: "event_timestamp",
		}},
		"push_offline-4":          {API: OfflineWriteBatch, Write: &FeastWrite{FeatureView: "driver_hourly_stats"}},
		"write_logged_features-1": {API: WriteLoggedFeatures, Log: &FeastLog{FeatureService: "driver_service"}},
		"persist_saved_dataset-1": {API: PersistDataset, Persist: &FeastPersist{
			DataSourceName: "data/saved_training.parquet", AllowOverwrite: true, Historical: &FeastHistorical{
				FeatureViewNames: []string{"driver_hourly_stats"}, NameAliases: []string{""}, FeatureRefs: twoFeatures, Project: "golden",
			},
		}},
	} {
		got, err := ParseFeast(DoPut, sentCommand(t, name))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if len(got.CommandID) != 36 {
			t.Errorf("%s: command id %q", name, got.CommandID)
		}
		got.CommandID = ""
		if !reflect.DeepEqual(*got, want) {
			t.Errorf("%s:\n got %+v\nwant %+v", name, *got, want)
		}
	}
}

// TestFeastEveryCommand: every recorded command parses, but for those that are there to be refused, and none is a ticket.
func TestFeastEveryCommand(t *testing.T) {
	refused := map[string]string{
		"exchange_missing_key-1": "project: it is needed",
		"exchange_unknown_api-1": "Unknown API: nonsense",
		"put_unknown_api-1":      "Unknown API: nonsense",
		"persist_pull_latest-1":  "retrieve_func: the answer of pull_latest_from_table_or_query cannot be persisted",
	}
	for name, command := range sentCommands(t) {
		if _, err := ParseCommand(DoPut, command); !errors.Is(err, ErrFeast) {
			t.Errorf("%s: as a ticket: %v", name, err)
		}
		_, err := ParseFeast(DoPut, command)
		switch want := refused[name]; {
		case want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case want != "" && (err == nil || !strings.HasPrefix(err.Error(), want)):
			t.Errorf("%s: %v, want %s", name, err, want)
		}
		delete(refused, name)
	}
	if len(refused) > 0 {
		t.Errorf("not there: %v", refused)
	}
}

func TestFeastCalls(t *testing.T) {
	historical, write := sentCommand(t, "historical_two_views-1"), sentCommand(t, "push_offline-4")
	for _, call := range []Call{DoExchange, DoGet, GetFlightInfo} {
		if f, err := ParseFeast(call, historical); err != nil || !f.API.IsRead() {
			t.Errorf("%s: %v", call, err)
		}
		var unknown *UnknownAPIError
		if _, err := ParseFeast(call, write); !errors.As(err, &unknown) || unknown.API != OfflineWriteBatch {
			t.Errorf("%s: %v", call, err)
		}
	}
	for api, want := range map[string]string{
		"nonsense":              "Unknown read API: nonsense",
		"offline_write_batch":   "Unknown read API: offline_write_batch; it is a write and comes with DoPut",
		"a\nb":                  `Unknown read API: "a\nb"`,
		"get_online_features/x": `Unknown read API: "get_online_features/x"`,
	} {
		command := `{"api": ` + strings.ReplaceAll(quote(api), "\n", `\n`) + `}`
		if _, err := ParseFeast(DoExchange, []byte(command)); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", command, err, want)
		}
	}
}

// feastRefused lists what is refused of DoPut and how the message begins.
var feastRefused = []struct{ command, want string }{
	{``, `ticket: the JSON ends in the middle`},
	{`[]`, `ticket: want an object, found a list`},
	{`{"command_id": "7"}`, `api: it is needed`},
	{`{"api": null}`, `api: it is needed`},
	{`{"api": 3}`, `api: want a string, found the number "3"`},
	{`{"api": "persist", "api": "persist"}`, `api: the key is given twice`},
	{`{"api": "persist"} x`, `ticket: there is something after the object`},
	{`{"api": "persist"`, `ticket: the JSON ends in the middle`},
	{"{\"api\": \"\xff\"}", `ticket: it is not UTF-8`},
	{`{"api": "persist", "more": ` + strings.Repeat("[", 100) + `}`, `more: the value nests deeper than 64 levels`},
	{`{"api": "persist", "command_id": "a\u0007"}`, `command_id: control characters are not allowed`},
	{`{"api": "get_historical_features", "feature_view_names": "v"}`, `feature_view_names: want a list, found the string "v"`},
	{`{"api": "get_historical_features", "feature_view_names": [null]}`, `feature_view_names[0]: a name is needed`},
	{`{"api": "get_historical_features", "feature_view_names": ["v", 1]}`, `feature_view_names[1]: want a string, found the number "1"`},
	{`{"api": "get_historical_features", "name_aliases": [{}]}`, `name_aliases[0]: want a string, found an object`},
	{`{"api": "get_historical_features", "feature_refs": ["v:a", "v"]}`, `feature_refs[1]: want view:feature or view@v2:feature, found "v"`},
	{`{"api": "get_historical_features", "feature_refs": ["v@v99999999999:a"]}`, `feature_refs[0]: there is no version "v99999999999"`},
	{`{"api": "get_historical_features", "full_feature_names": "yes"}`, `full_feature_names: want true or false, found the string "yes"`},
	{`{"api": "get_historical_features", "full_feature_names": 1}`, `full_feature_names: want true or false, found the number "1"`},
	{`{"api": "get_historical_features", "start_date": 1767225600}`, `start_date: want a string, found the number`},
	{`{"api": "get_historical_features", "start_date": NaN}`, `start_date: want a string, found the number`},
	{`{"api": "get_historical_features", "start_date": "yesterday"}`, `start_date: want a date like`},
	{`{"api": "get_historical_features", "feature_refs": ["v:a"]}`, `project: it is needed`},
	{`{"api": "get_historical_features", "project": "p"}`, `feature_refs: at least one feature is needed`},
	{`{"api": "get_historical_features", "project": "p", "feature_refs": ["v:a"], "feature_view_names": ["v"]}`,
		`name_aliases: one for each of the 1 feature_view_names is needed, found 0`},
	{`{"api": "get_historical_features", "project": "p", "feature_refs": ["v:a"], "feature_view_names": ["v"], "name_aliases": [null],
		"start_date": "2026-01-02", "end_date": "2026-01-01"}`, `start_date: 2026-01-02T00:00:00Z is after the end_date`},
	{`{"api": "pull_all_from_table_or_query", "timestamp_field": "t"}`, `data_source_name: it is needed`},
	{`{"api": "pull_latest_from_table_or_query", "data_source_name": "d"}`, `timestamp_field: it is needed`},
	{`{"api": "pull_latest_from_table_or_query", "join_key_columns": ["a", ""]}`, `join_key_columns[1]: a name is needed`},
	{`{"api": "pull_all_from_table_or_query", "data_source_name": "d", "timestamp_field": "t", "start_date": "2026-01-02", "end_date": "2026-01-01"}`,
		`start_date: 2026-01-02T00:00:00Z is after the end_date`},
	{`{"api": "validate_data_source"}`, `data_source_proto: it is needed`},
	{`{"api": "validate_data_source", "data_source_proto": {}}`, `data_source_proto: want a string, found an object`},
	{`{"api": "offline_write_batch", "feature_view_names": ["a", "b"], "name_aliases": [null, null]}`, `feature_view_names: exactly one name is needed, found 2`},
	{`{"api": "offline_write_batch", "feature_view_names": ["a"]}`, `name_aliases: exactly one is needed`},
	{`{"api": "write_logged_features"}`, `feature_service_name: it is needed`},
	{`{"api": "persist", "retrieve_func": "nonsense"}`, `retrieve_func: want get_historical_features, found "nonsense"`},
	{`{"api": "persist", "retrieve_func": "pull_all_from_table_or_query"}`, `retrieve_func: the answer of pull_all_from_table_or_query cannot be persisted`},
	{`{"api": "persist", "retrieve_func": "get_historical_features"}`, `data_source_name: it is needed`},
	{`{"api": "persist", "retrieve_func": "get_historical_features", "data_source_name": "d"}`, `project: it is needed`},
	{`{"api": "persist", "allow_overwrite": null, "timeout": Infinite}`, `timeout: not JSON`},
	{`{"api": "persist", "timeout": 1NaN}`, `ticket: not JSON`},
}

func TestFeastRefused(t *testing.T) {
	for _, c := range feastRefused {
		_, err := ParseFeast(DoPut, []byte(c.command))
		if err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%.200s:\n got %v\nwant %s", c.command, err, c.want)
		}
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("%.200s: an error of type %T", c.command, err)
		}
	}
}

// TestFeastLenient: keys nobody knows are passed over, nulls are as good as nothing, and so is what Python writes for floats.
func TestFeastLenient(t *testing.T) {
	got, err := ParseFeast(DoPut, []byte(`{"new": {"a": [1, {"b": null}]}, "api": "persist", "timeout": NaN, "limits": [-Infinity, Infinity,NaN],
		"text": "NaN \" Infinity, NaN", "data_source_name": "NaN", "allow_overwrite": null, "retrieve_func": "get_historical_features",
		"project": "p", "feature_refs": ["v:a"], "feature_view_names": [], "name_aliases": null, "start_date": null, "command_id": null}`))
	if err != nil {
		t.Fatal(err)
	}
	want := &Feast{API: PersistDataset, Persist: &FeastPersist{DataSourceName: "NaN", Historical: &FeastHistorical{
		FeatureViewNames: []string{}, FeatureRefs: []FeastRef{ref("v", "a")}, Project: "p",
	}}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %+v", got.Persist, got.Persist.Historical)
	}
}

func TestFeastRefs(t *testing.T) {
	for text, want := range map[string]FeastRef{
		"v:f":          ref("v", "f"),
		"v:f:g":        ref("v", "f:g"),
		"v@v2:f":       {"v", 2, "f"},
		"v@V0:f":       {"v", 0, "f"},
		"v@latest:f":   ref("v", "f"),
		"v@:f":         ref("v", "f"),
		"v@2:f":        ref("v@2", "f"),
		"v@vv2:f":      ref("v@vv2", "f"),
		"v@v2x:f":      ref("v@v2x", "f"),
		"v@v2@v3:f":    ref("v@v2@v3", "f"),
		"@v2:f":        ref("@v2", "f"),
		"alias@v10:f":  {"alias", 10, "f"},
		"view@v: f":    ref("view@v", " f"),
		"наблюдения:ф": ref("наблюдения", "ф"),
	} {
		if got, err := ParseFeastRef(text); err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
}

func TestFeastTimes(t *testing.T) {
	for text, want := range map[string]string{
		"2026-01-01T00:00:00+00:00":               "2026-01-01T00:00:00Z",
		"2026-01-01T00:00:00":                     "2026-01-01T00:00:00Z",
		"2026-01-01 00:00:00":                     "2026-01-01T00:00:00Z",
		"2026-01-01":                              "2026-01-01T00:00:00Z",
		"2026-01-01T10:30":                        "2026-01-01T10:30:00Z",
		"2026-01-01T10:30:00.123456+02:00":        "2026-01-01T08:30:00.123456Z",
		"2026-01-01T10:30:00-05:30":               "2026-01-01T16:00:00Z",
		"2026-01-01T10:30:00+00:00:30":            "2026-01-01T10:29:30Z",
		"2026-01-01T10:30:00.5-01:00:30.000001":   "2026-01-01T11:30:30.500001Z",
		"2026-01-01T10:30:00.123456789Z":          "2026-01-01T10:30:00.123456789Z",
		"1969-12-31T23:59:59.999999+00:00":        "1969-12-31T23:59:59.999999Z",
		"9999-12-31T23:59:59.999999":              "9999-12-31T23:59:59.999999Z",
		"0001-01-01T00:00:00+00:00":               "0001-01-01T00:00:00Z",
		"2024-02-30T00:00:00":                     "",
		"2026-01-01T24:00:00":                     "",
		"2026-01-01T10:30.5":                      "",
		"2026-01-01T10:30:00:00":                  "",
		"2026-01-01T10:30:00Z:00":                 "",
		"2026-01-01T10:30:00+00:00:60":            "",
		"2026-01-01+00:00":                        "",
		"2026-1-1":                                "",
		"0001-01-01T00:00:00+00:01":               "",
		"9999-12-31T23:59:59-01:00":               "",
		"NaT":                                     "",
		"2026-01-01T00:00:00+0000":                "",
		"2026-01-01T00:00:00.1234567890":          "",
		" 2026-01-01":                             "",
		"2026-01-01T00:00:00+00:00; drop table x": "",
	} {
		got, err := ParseFeastTime(text)
		if want == "" {
			if err == nil {
				t.Errorf("%s: %v", text, got)
			}
			continue
		}
		if err != nil || !got.Equal(utc(want)) {
			t.Errorf("%s: %v, %v, want %s", text, got, err, want)
		}
	}
}

// TestFeastEarliest: Python's datetime.min is a bound like any other, not the lack of one.
func TestFeastEarliest(t *testing.T) {
	f, err := ParseFeast(DoExchange, []byte(`{"api": "pull_all_from_table_or_query", "data_source_name": "d", "timestamp_field": "t",
		"start_date": "0001-01-01T00:00:00", "end_date": "0001-01-01T00:00:00"}`))
	if err != nil {
		t.Fatal(err)
	}
	earliest := time.Time{}
	if p := f.Pull; p.Start.IsZero() || p.End.IsZero() || p.Start.After(earliest) || p.End.Before(earliest) || p.End.Sub(p.Start) > time.Microsecond {
		t.Errorf("%v to %v", p.Start, p.End)
	}
}

// FuzzParseFeast: no input panics, errors are short and of the two types, and what parses keeps the promises of its fields.
func FuzzParseFeast(f *testing.F) {
	for _, command := range sentCommands(f) {
		f.Add(command)
	}
	for _, c := range feastRefused {
		f.Add([]byte(c.command))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, call := range []Call{DoExchange, DoPut} {
			command, err := ParseFeast(call, data)
			if err != nil {
				var e *Error
				var unknown *UnknownAPIError
				if !errors.As(err, &e) && !errors.As(err, &unknown) {
					t.Fatalf("error of type %T: %v", err, err)
				}
				if len(err.Error()) > 4096 {
					t.Fatalf("a message of %d bytes", len(err.Error()))
				}
				continue
			}
			command.checkPromises(t, call)
		}
	})
}

func (f *Feast) checkPromises(t *testing.T, call Call) {
	set := 0
	for _, p := range []bool{f.Historical != nil, f.Pull != nil, f.Source != nil, f.Write != nil, f.Log != nil, f.Persist != nil} {
		if p {
			set++
		}
	}
	if set != 1 || call == DoExchange && !f.API.IsRead() {
		t.Fatalf("%s of %s: %d parts", f.API, call, set)
	}
	h := f.Historical
	if f.Persist != nil {
		h = f.Persist.Historical
	}
	if h == nil {
		return
	}
	if len(h.FeatureViewNames) != len(h.NameAliases) || h.Project == "" || len(h.FeatureRefs) == 0 {
		t.Fatalf("%+v", h)
	}
	for _, r := range h.FeatureRefs {
		if again, err := ParseFeastRef(r.String()); err != nil || again.Feature != r.Feature {
			t.Fatalf("%+v became %+v, %v", r, again, err)
		}
	}
}
