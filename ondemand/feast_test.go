//go:build unix

package ondemand

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/ipc"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/flightd/flightd/internal/fault"
)

func TestFeast66(t *testing.T) { testFeast(t, "0.66") }

func TestFeast67(t *testing.T) { testFeast(t, "0.67") }

// testFeast runs what Feast itself pickled, and compares with what Feast itself makes of it. Starting Feast takes seconds,
// so one process does it all.
func testFeast(t *testing.T, version string) {
	t.Parallel()
	python := feastPython(t, version)
	f := newFeast(t, python)
	f.p = open(t, Options{Command: []string{python}, Timeout: time.Minute, StartTimeout: 5 * time.Minute, Workers: 1, Stderr: f.printed.add})
	v, err := f.p.Check(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", v)
	if !strings.HasPrefix(v.Feast, version+".") || v.Python == "" || v.PyArrow == "" || v.Pandas == "" {
		t.Errorf("versions %+v", v)
	}
	t.Run("answers", f.testAnswers)
	t.Run("singleton", f.testSingleton)
	t.Run("types", f.testTypes)
	t.Run("batches", f.testBatches)
	t.Run("columns", f.testColumns)
	t.Run("prints", f.testPrints)
	t.Run("refused", f.testRefused)
	t.Run("troubles", f.testTroubles)
}

// feastPython finds the Python of an environment with that Feast.
func feastPython(t *testing.T, version string) string {
	short := "feast" + strings.ReplaceAll(version, "0.", "")
	if python := os.Getenv("FLIGHTD_TEST_" + strings.ToUpper(short)); python != "" {
		return python
	}
	python, err := filepath.Abs(filepath.Join("..", ".venv-"+short, "bin", "python"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(python); err != nil {
		t.Skipf("no Python with Feast %s: neither .venv-%s nor FLIGHTD_TEST_%s is there", version, short, strings.ToUpper(short))
	}
	return python
}

// declared are the types of the outputs that the tests ask for, as the views in testdata declare them.
var declared = map[string]arrow.DataType{
	"plus": f64, "total": i64, "label": text, "big": arrow.FixedWidthTypes.Boolean,
	"ratio": f64, "names": arrow.ListOf(text), "at": micros,
	"twice": i64, "scaled": arrow.PrimitiveTypes.Float32, "rounded": arrow.PrimitiveTypes.Int32, "scale": arrow.ListOf(arrow.PrimitiveTypes.Float32),
	"chained": f64, "again": f64, "summed": f64, "larger": f64, "parts": arrow.ListOf(f64), "kept": text,
	"whole": i64, "day": micros, "naive": micros, "none": text, "empty": arrow.ListOf(f64), "number": text, "pairs": arrow.MapOf(text, text),
	"category": text, "moment": micros, "strings": arrow.ListOf(text), "kind_text": text,
	"one_more": i64, "same": i64, "y": i64, "y32": arrow.PrimitiveTypes.Int32, "long": text, "sum_trips": i64,
}

var (
	f64, i64, text = arrow.PrimitiveTypes.Float64, arrow.PrimitiveTypes.Int64, arrow.BinaryTypes.String
	micros         = &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}
)

type feast struct {
	p       *Pool
	printed lines
	views   map[string][]byte
	answers map[string]arrow.Record
}

// cases are requests that Feast answers, too: references in order, as a client sends them.
var cases = map[string]struct {
	refs []string
	full bool
}{
	"pandas":               {[]string{"by_pandas:plus", "by_pandas:total", "by_pandas:label", "by_pandas:big"}, false},
	"some outputs":         {[]string{"by_pandas:label"}, false},
	"other order":          {[]string{"by_pandas:label", "by_pandas:plus"}, false},
	"full names":           {[]string{"by_pandas:plus", "by_python:ratio"}, true},
	"python":               {[]string{"by_python:ratio", "by_python:names", "by_python:at"}, false},
	"pickled":              {[]string{"by_pickle:twice"}, false},
	"cast":                 {[]string{"narrow:scaled", "narrow:rounded", "narrow:scale"}, false},
	"substrait":            {[]string{"by_substrait:one_more", "by_substrait:same"}, false},
	"one sees another":     {[]string{"by_pandas:plus", "after:chained", "after:again"}, false},
	"under full names":     {[]string{"by_pandas:plus", "after:chained", "after:again"}, true},
	"several modes":        {[]string{"by_substrait:one_more", "by_pandas:total", "by_python:names"}, true},
	"ignored aggregations": {[]string{"with_aggregations:total"}, false},
	"sorted and put back":  {[]string{"restores:y"}, false},
}

// entities are joined rows with gaps, under short names or under the full names of the view "stats".
func entities(full bool) arrow.Record { return repeated(1, full) }

func repeated(times int, full bool) arrow.Record {
	name := func(feature string) string {
		if full {
			return "stats__" + feature
		}
		return feature
	}
	schema := arrow.NewSchema([]arrow.Field{
		{Name: "driver_id", Type: i64}, {Name: "event_timestamp", Type: micros}, {Name: "add", Type: i64},
		{Name: name("conv"), Type: arrow.PrimitiveTypes.Float32, Nullable: true}, {Name: name("acc"), Type: f64, Nullable: true},
		{Name: name("trips"), Type: i64, Nullable: true}, {Name: name("city"), Type: text, Nullable: true},
		{Name: name("vec"), Type: arrow.ListOf(f64), Nullable: true},
		{Name: "kind", Type: &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int8, ValueType: text}, Nullable: true},
	}, nil)
	rows := `[
		[1, "2024-01-01 00:00:00", 30, 0.5, 1.5, 1, "Åbo", [1, 0.5], "a"],
		[2, "2024-01-02 00:00:00.000001", 10, null, null, null, null, null, null],
		[3, "2024-01-03 00:00:00", 20, 0.25, -2, 4, "", [], "b"],
		[4, "1969-12-31 23:59:59", 40, -1, 0.75, 0, "c", [null, 8], "a"]]`
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	var values [][]json.RawMessage
	if err := json.Unmarshal([]byte(rows), &values); err != nil {
		panic(err)
	}
	for _, row := range slices.Repeat(values, times) {
		for i, v := range row {
			if err := b.Field(i).UnmarshalJSON(slices.Concat([]byte("["), v, []byte("]"))); err != nil {
				panic(err)
			}
		}
	}
	return b.NewRecord()
}

// newFeast has the script in testdata pickle the views and answer the cases.
func newFeast(t *testing.T, python string) *feast {
	t.Helper()
	type request struct {
		Refs []string `json:"refs"`
		Full bool     `json:"full"`
	}
	var asked struct {
		Tables [2][]byte          `json:"tables"`
		Cases  map[string]request `json:"cases"`
	}
	asked.Tables = [2][]byte{stream(entities(false).Schema(), entities(false)), stream(entities(true).Schema(), entities(true))}
	asked.Cases = map[string]request{}
	for name, c := range cases {
		asked.Cases[name] = request{c.refs, c.full}
	}
	in, err := json.Marshal(asked)
	if err != nil {
		t.Fatal(err)
	}
	script := exec.CommandContext(t.Context(), python, filepath.Join("testdata", "views.py"))
	var said bytes.Buffer
	script.Stdin, script.Stderr = bytes.NewReader(in), &said
	out, err := script.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, said.String())
	}
	var answered struct{ Views, Answers map[string][]byte }
	if err := json.Unmarshal(out, &answered); err != nil {
		t.Fatal(err)
	}
	f := &feast{views: answered.Views, answers: map[string]arrow.Record{}}
	for name, answer := range answered.Answers {
		r, err := ipc.NewReader(bytes.NewReader(answer))
		if err != nil || !r.Next() {
			t.Fatalf("Feast's answer to %s: %v", name, err)
		}
		r.Record().Retain()
		f.answers[name] = r.Record()
	}
	return f
}

// bind makes views of references. Of a view "v as w", w is the alias.
func (f *feast) bind(t *testing.T, in *arrow.Schema, refs []string, full bool) *Transformation {
	t.Helper()
	var views []View
	for _, ref := range refs {
		name, feature, _ := strings.Cut(ref, ":")
		name, alias, _ := strings.Cut(name, " as ")
		at := slices.IndexFunc(views, func(v View) bool { return v.Name == name && v.Alias == alias })
		if at < 0 {
			at, views = len(views), append(views, View{Name: name, Alias: alias, Definition: f.views[name]})
		}
		views[at].Outputs = append(views[at].Outputs, Output{feature, declared[feature]})
	}
	bound, err := Bind(in, views, full)
	if err != nil {
		t.Fatal(err)
	}
	return bound
}

// transform returns the answer to references as one record.
func (f *feast) transform(t *testing.T, full bool, refs ...string) (arrow.Record, error) {
	t.Helper()
	rows := entities(full)
	bound := f.bind(t, rows.Schema(), refs, full)
	for rec, err := range f.p.Apply(t.Context(), bound, sequence(rows)) {
		if err != nil {
			return nil, err
		}
		rec.Retain()
		return rec, nil
	}
	t.Fatal("no rows")
	return nil, nil
}

// values are those of a column as JSON, for comparisons across types.
func values(t *testing.T, rec arrow.Record, column string) string {
	t.Helper()
	at := rec.Schema().FieldIndices(column)
	if len(at) != 1 {
		t.Fatalf("%d columns %q in %v", len(at), column, rec.Schema())
	}
	out, err := json.Marshal(rec.Column(at[0]))
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func (f *feast) testAnswers(t *testing.T) {
	for name, c := range cases {
		got, err := f.transform(t, c.full, c.refs...)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		in := entities(c.full)
		for i, ref := range c.refs {
			view, feature, _ := strings.Cut(ref, ":")
			column := View{Name: view}.column(feature, c.full)
			if got.ColumnName(int(in.NumCols())+i) != column {
				t.Fatalf("%s: columns %v, want %q after the %d of the rows", name, got.Schema(), column, in.NumCols())
			}
			if have, want := values(t, got, column), values(t, f.answers[name], column); have != want {
				t.Errorf("%s: %s is %s, Feast has %s", name, column, have, want)
			}
			if typ := got.Column(int(in.NumCols()) + i).DataType(); !arrow.TypeEqual(typ, declared[feature]) {
				t.Errorf("%s: %s is %s", name, column, typ)
			}
		}
		if int(got.NumCols()) != int(in.NumCols())+len(c.refs) {
			t.Errorf("%s: columns %v", name, got.Schema())
		}
		for i, col := range in.Columns() {
			if !array.Equal(col, got.Column(i)) {
				t.Errorf("%s: column %s has changed", name, in.ColumnName(i))
			}
		}
	}
}

// testSingleton: the function sees one row at a time. (Feast's retrieval would give it lists: + would join them.)
func (f *feast) testSingleton(t *testing.T) {
	got, err := f.transform(t, false, "one_row:summed", "one_row:larger", "one_row:parts", "one_row:kept")
	if err != nil {
		t.Fatal(err)
	}
	for column, want := range map[string]string{
		"summed": `[2,null,-1.75,-0.25]`, "larger": `[1.5,null,0.5,0.75]`,
		"parts": `[[0.25,1.5],[0.25,0],[0.25,-2],[0.25,0.75]]`, "kept": `["Åbo",null,"","c"]`,
	} {
		if have := values(t, got, column); have != want {
			t.Errorf("%s is %s, want %s", column, have, want)
		}
	}
}

// testTypes: what is returned becomes what was declared, within a kind.
func (f *feast) testTypes(t *testing.T) {
	wants := map[string]string{
		"kinds:whole": `[1,null,-3,9007199254740992]`,
		"kinds:day":   `["2024-05-06 00:00:00",null,"1969-12-31 00:00:00","2024-05-06 00:00:00"]`,
		"kinds:naive": `["2024-05-06 07:08:09.00001",null,"2024-05-06 07:08:09.00001","2024-05-06 07:08:09.00001"]`,
		"kinds:none":  `[null,null,null,null]`, "kinds:empty": `[[],null,[null],[]]`, "kinds:number": `["1.50",null,"-2.00","0.00"]`,
		"kinds:pairs":         `[[{"key":"a","value":"1"}],[{"key":"b","value":"2"},{"key":"c","value":"3"}],null,[]]`,
		"more_kinds:category": `["u","v",null,"u"]`, "more_kinds:strings": `[["a",null],[],null,["ö"]]`,
		"more_kinds:moment": `["2024-01-01 00:00:00.000001","2024-01-02 00:00:00.000002","2024-01-03 00:00:00.000001","1969-12-31 23:59:59.000001"]`,
	}
	got, err := f.transform(t, false, slices.Sorted(maps.Keys(wants))...)
	if err != nil {
		t.Fatal(err)
	}
	for ref, want := range wants {
		_, column, _ := strings.Cut(ref, ":")
		if have := values(t, got, column); have != want {
			t.Errorf("%s is %s, want %s", ref, have, want)
		}
	}
}

// testBatches: records travel together, as many as a batch holds, also with dictionaries that differ.
func (f *feast) testBatches(t *testing.T) {
	rows := repeated(100, false)
	bound := f.bind(t, rows.Schema(), []string{"counts:y", "categories:kind_text", "by_pickle:twice"}, false)
	var in []arrow.Record
	for i := range batchRows/400 + 10 {
		in = append(in, rows.NewSlice(int64(i%2), 400), rows.NewSlice(1, 1)) // "a", "b", or "b", "a" comes first
	}
	in = append(in, entities(false))
	batches, n := map[int64]int64{}, 0
	for rec, err := range f.p.Apply(t.Context(), bound, sequence(in...)) {
		if err != nil {
			t.Fatal(err)
		}
		y, twice := rec.Column(int(rows.NumCols())).(*array.Int64), rec.Column(int(rows.NumCols())+2).(*array.Int64)
		for i := range y.Len() {
			if trips := rec.Column(5).(*array.Int64); trips.IsNull(i) != twice.IsNull(i) || trips.IsValid(i) && twice.Value(i) != 2*trips.Value(i) {
				t.Fatalf("record %d, row %d: %v", n, i, rec)
			}
			kind, want := rec.Column(int(rows.NumCols())+1).(*array.String), rec.Column(8).(*array.Dictionary)
			if kind.IsNull(i) != want.IsNull(i) || kind.IsValid(i) && kind.Value(i) != want.ValueStr(i) {
				t.Fatalf("record %d, row %d: %v", n, i, rec)
			}
		}
		n++
		batches[y.Value(0)] += rec.NumRows()
	}
	for size, rows := range batches {
		if size != rows || size > batchRows {
			t.Errorf("batches %v", batches)
		}
	}
	if n != batchRows/400+11 || len(batches) != 2 {
		t.Errorf("%d records, in batches of %v rows", n, batches)
	}
}

// testColumns: aliases and what is done to the metadata that would lead pandas or Arrow astray.
func (f *feast) testColumns(t *testing.T) {
	got, err := f.transform(t, true, "by_pandas as one:plus", "by_pandas:plus", "by_pandas as two@v2:plus")
	if err != nil {
		t.Fatal(err)
	}
	for _, column := range []string{"one__plus", "by_pandas__plus", "two@v2__plus"} {
		if have := values(t, got, column); have != `[2,null,-1.75,-0.25]` {
			t.Errorf("%s is %s", column, have)
		}
	}
	rows := entities(false)
	fields := rows.Schema().Fields()
	fields[0].Metadata = arrow.MetadataFrom(map[string]string{"ARROW:extension:name": "arrow.uuid", "ARROW:extension:metadata": ""})
	pandas := arrow.MetadataFrom(map[string]string{"pandas": `{"index_columns": ["driver_id", "gone"], "columns": []}`})
	schema := arrow.NewSchema(fields, &pandas)
	bound := f.bind(t, schema, []string{"by_pandas:total"}, false)
	for rec, err := range f.p.Apply(t.Context(), bound, sequence(array.NewRecord(schema, rows.Columns(), rows.NumRows()))) {
		if err != nil || values(t, rec, "total") != `[31,null,24,40]` {
			t.Errorf("with metadata: %v, %v", rec, err)
		}
	}
}

// testPrints: user code that writes to standard output, or reads standard input, does not meet the protocol.
func (f *feast) testPrints(t *testing.T) {
	got, err := f.transform(t, false, "prints:y")
	if err != nil || values(t, got, "y") != `[0,0,0,0]` {
		t.Fatalf("%v, %v", got, err)
	}
	for _, want := range []string{"FDOD on standard output", "FDOD\x00\x00\x00\x00 from the descriptor", "FDOD from a child"} {
		eventually(t, want+" on standard error", func() bool {
			f.printed.mu.Lock()
			defer f.printed.mu.Unlock()
			return slices.Contains(f.printed.all, want)
		})
	}
}

// testRefused: what a transformation does wrong is an error that names it; the process lives on.
func (f *feast) testRefused(t *testing.T) {
	process := f.process()
	for name, want := range map[string]string{
		"raises":         "its transformation failed: ZeroDivisionError: division by zero\n",
		"drops_rows":     "returned 3 rows for 4",
		"sorts":          "returned its rows in another order",
		"turns":          "returned its rows in another order",
		"sorts_in_place": "returned its rows in another order",
		"forgets":        "no columns 'y'; it returned acc, city",
		"mistypes":       "output 'y' is not what the view declares: int64 is declared, string was returned",
		"overflows":      "output 'y32' is not what the view declares: Integer value 1099511627776 not in range",
		"fractions":      "output 'y' is not what the view declares: Float value 0.5",
		"leaves":         "its transformation failed: SystemExit: it is enough",
		"unloadable":     "it cannot be loaded: ",
	} {
		output := "y"
		if name == "overflows" {
			output = "y32"
		}
		_, err := f.transform(t, false, "by_pandas:plus", name+":"+output)
		if err == nil || fault.KindOf(err) != fault.Precondition || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), `on-demand feature view "`+name+`": `) {
			t.Errorf("%s: %v", name, err)
		}
		if f.process() != process {
			t.Errorf("%s: the process was ended", name)
		}
	}
	_, err := f.transform(t, false, "raises:y")
	if err == nil || !strings.Contains(err.Error(), ", in raises\n    factor = [1][0] / (len(inputs) - len(inputs))") || strings.Contains(err.Error(), "feast/") {
		t.Errorf("the user's lines, and no other: %v", err)
	}
	if _, err = f.transform(t, false, "only_aggregations:sum_trips"); fault.KindOf(err) != fault.Unimplemented || !strings.Contains(err.Error(), "aggregations") {
		t.Errorf("aggregations: %v", err)
	}
}

// process is the process that is idle now.
func (f *feast) process() int {
	f.p.mu.Lock()
	defer f.p.mu.Unlock()
	if len(f.p.idle) != 1 {
		return 0
	}
	return f.p.idle[0].cmd.Process.Pid
}

// testTroubles ends processes, and each new one takes seconds, so it does only what the fake cannot show.
func (f *feast) testTroubles(t *testing.T) {
	before := f.process()
	got, err := f.transform(t, false, "forks:y")
	if err != nil || values(t, got, "y") != `[30,10,20,40]` || f.process() != before {
		t.Errorf("fork: %v, %v", got, err)
	}
	limit := f.p.o.MaxMessage
	for most, want := range map[int64]int64{100_000: 0, 250_000: 4} {
		f.p.o.MaxMessage = most
		n, err := one(f.p.Apply(t.Context(), f.bind(t, entities(false).Schema(), []string{"bloats:long"}, false), sequence(entities(false))))
		if n != want || f.process() != before || want == 0 && (fault.KindOf(err) != fault.Exhausted || !strings.Contains(err.Error(), "1 rows of bloats are 100")) {
			t.Errorf("messages of %d bytes, rows of 100,000: %d rows, %v", most, n, err)
		}
	}
	f.p.o.MaxMessage = limit
	f.p.o.Timeout = time.Second
	_, err = f.transform(t, false, "sleeps:y")
	f.p.o.Timeout = time.Minute
	if fault.KindOf(err) != fault.Exhausted || !strings.Contains(err.Error(), "going to sleep") {
		t.Errorf("sleep: %v", err)
	}
	if _, err = f.transform(t, false, "faults:y"); fault.KindOf(err) != fault.Precondition ||
		!strings.Contains(err.Error(), `view "faults": the Python process died over 4 rows (signal: `) || !strings.Contains(err.Error(), " in faults\n") {
		t.Errorf("fault: %v", err)
	}
}
