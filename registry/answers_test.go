package registry

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/ipc"

	"github.com/flightd/flightd/stores"
	recorded "github.com/flightd/flightd/testdata/feast-golden"
	"github.com/flightd/flightd/tickets"
)

// arrowFile reads an Arrow file of a recording; nil if there is none.
func arrowFile(t *testing.T, c *recorded.Case, name string) *stores.Rows {
	t.Helper()
	if name == "" {
		return nil
	}
	data, err := c.File(name)
	if err != nil {
		t.Fatal(err)
	}
	r, err := ipc.NewFileReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	rows := &stores.Rows{Schema: arrow.NewSchema(r.Schema().Fields(), nil)}
	var records []arrow.Record
	for i := range r.NumRecords() {
		rec, err := r.Record(i)
		if err != nil {
			t.Fatal(err)
		}
		rec.Retain()
		records = append(records, rec)
		rows.Len += rec.NumRows()
	}
	rows.Records = func(yield func(arrow.Record, error) bool) {
		for _, rec := range records {
			if !yield(rec, nil) {
				return
			}
		}
	}
	return rows
}

// text writes rows as lines, one for each, with the columns in their order or in that of their names.
func text(t *testing.T, schema *arrow.Schema, records func(func(arrow.Record, error) bool), byName bool) (columns []string, lines []string) {
	t.Helper()
	names := fieldNames(schema)
	names = slices.DeleteFunc(names, pandasIndex.MatchString)
	if byName {
		slices.Sort(names)
	}
	for _, name := range names {
		f, _ := schema.FieldsByName(name)
		typ := plainName(f[0].Type)
		if byName { // Feast's server turns naive times into nanoseconds on its way through pandas
			typ = strings.NewReplacer("timestamp[ns", "timestamp[us").Replace(typ)
		}
		columns = append(columns, name+" "+typ)
	}
	for rec, err := range records {
		if err != nil {
			t.Fatal(err)
		}
		for row := range int(rec.NumRows()) {
			var values []string
			for _, name := range names {
				column := rec.Column(rec.Schema().FieldIndices(name)[0])
				value := fmt.Sprint(column.GetOneForMarshal(row))
				if ts, ok := column.(*array.Timestamp); ok && ts.IsValid(row) { // whatever the unit
					value = fmt.Sprint(ts.Value(row).ToTime(ts.DataType().(*arrow.TimestampType).Unit).UnixNano())
				}
				values = append(values, strings.ReplaceAll(value, "\n", ""))
			}
			lines = append(lines, strings.Join(values, "|"))
		}
	}
	if byName {
		slices.Sort(lines)
	}
	return columns, lines
}

// plainName is a type without the names of what is in it: writers of Parquet have their own for the items of lists.
func plainName(t arrow.DataType) string {
	if l, ok := t.(*arrow.ListType); ok {
		return "list " + plainName(l.Elem())
	}
	return t.String()
}

// TestAnswers: the recorded commands of real clients, resolved and answered from files. Types are part of the answer.
func TestAnswers(t *testing.T) {
	r := golden(t)
	cases, err := recorded.Cases("0.67")
	if err != nil {
		t.Fatal(err)
	}
	answered := 0
	for _, c := range cases {
		call := c.Calls[0]
		want := cmp.Or(c.Want, call.Answer)
		if len(c.Calls) > 1 || want == "" || elsewhere[c.Verdict] {
			continue
		}
		command, err := tickets.ParseFeast(tickets.DoExchange, call.Command)
		if err != nil || !command.API.IsRead() && command.Source == nil {
			continue // a write, or there to be refused: see tickets and e2e
		}
		answered++
		t.Run(c.Name, func(t *testing.T) {
			job := planCommand(t, r, command, arrowFile(t, &c, call.Upload))
			want := arrowFile(t, &c, want)
			byName := command.Historical == nil && command.Source == nil
			gotColumns, got := text(t, job.Schema(), job.Records(context.Background()), byName)
			wantColumns, wanted := text(t, want.Schema, want.Records, byName)
			if !slices.Equal(gotColumns, wantColumns) {
				t.Errorf("columns\n got %q\nwant %q", gotColumns, wantColumns)
			}
			if !slices.Equal(got, wanted) {
				t.Errorf("rows\n got %q\nwant %q", got, wanted)
			}
		})
	}
	if answered < 30 {
		t.Errorf("%d answers were compared", answered)
	}
}

// elsewhere are verdicts on answers that are no business of this package, or that depend on Feast's store.
var elsewhere = map[string]bool{"store-dependent": true, "python-udf": true, "stricter": true, "lenient": true}

func planCommand(t *testing.T, r *Repository, c *tickets.Feast, entities *stores.Rows) *stores.RetrievalJob {
	t.Helper()
	ctx := context.Background()
	var read *Read
	var err error
	switch {
	case c.Historical != nil:
		read, err = r.Historical(ctx, c.Historical, entities)
	case c.Pull != nil:
		read, err = r.Pull(ctx, c.Pull, c.API == tickets.PullLatest)
	case c.Source != nil:
		job, err := r.Columns(ctx, c.Source)
		if err != nil {
			t.Fatal(err)
		}
		return job
	}
	if err != nil {
		t.Fatal(err)
	}
	job, err := read.Plan(ctx, stores.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return job
}

// TestNothingWritten: a source that is a folder without files is one without rows, of the types that are declared.
func TestNothingWritten(t *testing.T) {
	r := kinds(t, "0.67.db")
	c := historicalCommand(t, "kinds", []string{"two_keys"}, []string{"two_keys:trips"}, nil)
	plan := func() (*stores.RetrievalJob, error) {
		read, err := r.Historical(context.Background(), c, entityRows("driver_id", "customer_code"))
		if err != nil {
			t.Fatal(err)
		}
		return read.Plan(context.Background(), stores.Options{})
	}
	if _, err := plan(); said(err) != "not found DataSourceNotFoundException: Unable to find table at 'data/history/'. Please check that table exists." {
		t.Errorf("without the folder: %v", err)
	}
	if err := os.MkdirAll(filepath.Join(r.config.Dir, "data/history"), 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := plan(); err == nil || !strings.Contains(err.Error(), "customer_code") { // text against a number
		t.Errorf("keys that cannot be compared: %v", err)
	}
	read, err := r.Pull(context.Background(), command(t, map[string]any{"api": "pull_all_from_table_or_query", "data_source_name": "data/history/",
		"join_key_columns": []string{"driver_id"}, "feature_name_columns": []string{"trips"}, "timestamp_field": "event_timestamp"}).Pull, false)
	if err != nil {
		t.Fatal(err)
	}
	job, err := read.Plan(context.Background(), stores.Options{})
	if err != nil {
		t.Fatal(err)
	}
	columns, lines := text(t, job.Schema(), job.Records(context.Background()), false)
	if !slices.Equal(columns, []string{"driver_id int64", "trips int64", "event_timestamp timestamp[us, tz=UTC]"}) || len(lines) != 0 {
		t.Errorf("%q %q", columns, lines)
	}
}

// command parses a command made by hand.
func command(t testing.TB, keys map[string]any) *tickets.Feast {
	t.Helper()
	data, err := json.Marshal(keys)
	if err != nil {
		t.Fatal(err)
	}
	c, err := tickets.ParseFeast(tickets.DoPut, data)
	if err != nil {
		t.Fatalf("%s: %v", data, err)
	}
	return c
}

// TestExchangedNames: a field mapping may give two columns each the other's name.
func TestExchangedNames(t *testing.T) {
	schema := arrow.NewSchema([]arrow.Field{{Name: "a", Type: arrow.PrimitiveTypes.Int64}, {Name: "b", Type: arrow.BinaryTypes.String},
		{Name: "c", Type: arrow.FixedWidthTypes.Boolean}}, nil)
	p := &project{views: map[string]*view{"v": {name: "v", uri: "f.parquet",
		feature: &stores.FeatureView{Schema: schema, FieldMapping: map[string]string{"a": "b", "b": "a"}}}}}
	for range 20 { // the order of a map is not the same twice
		if got := fieldNames(p.rawSchema(&dataSource{uri: "f.parquet"})); !slices.Equal(got, []string{"b", "a", "c"}) {
			t.Fatalf("the source's names are %v", got)
		}
	}
}
