package oracle_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/flightd/flightd/internal/fault"
	"github.com/flightd/flightd/internal/oracle"
	"github.com/flightd/flightd/testdata/pit"
)

// Every vector is proved here before any engine sees it. What a vector says of names, columns and refusals is worked out
// in this file, as plainly as it can be.
func TestVectors(t *testing.T) {
	for _, v := range pit.All() {
		t.Run(v.Name, func(t *testing.T) {
			for _, s := range v.Steps {
				check(t, v, s)
			}
		})
	}
}

func check(t *testing.T, v pit.Vector, s pit.Step) {
	got, report, err := answer(v, s)
	switch {
	case s.Err != nil:
		if !errors.Is(err, s.Err.Kind) {
			t.Errorf("line %d: %v, want an error of the kind %q", s.Line, err, s.Err.Kind)
		}
	case err != nil:
		t.Errorf("line %d: %v", s.Line, err)
	default:
		if d := pit.Diff(s.Want, pit.Table{Schema: got.Schema(), Records: []arrow.Record{got}}, s.Unordered); d != "" {
			t.Errorf("line %d: %s", s.Line, d)
		}
		if s.Report != nil && !slices.Equal(report, s.Report) {
			t.Errorf("line %d: report\n  want %+v\n  got  %+v", s.Line, s.Report, report)
		}
	}
}

func answer(v pit.Vector, s pit.Step) (arrow.Record, []pit.ViewReport, error) {
	if s.Kind == pit.KindLatest || s.Kind == pit.KindAll {
		rec, err := pull(v, s)
		return rec, nil, err
	}
	views, err := usedViews(v, s)
	if err != nil {
		return nil, nil, err
	}
	entities, at, err := entityRows(views, s)
	if err != nil {
		return nil, nil, err
	}
	if err := checkColumns(entities.Schema(), views); err != nil {
		return nil, nil, err
	}
	got, outcomes, err := oracle.Answer(entities, at, views, s.KnownAt)
	if err != nil {
		return nil, nil, fault.New(fault.Invalid, "%w", err)
	}
	return got, count(views, outcomes), nil
}

// concat makes one record of a table.
func concat(t pit.Table) arrow.Record {
	columns := make([]arrow.Array, len(t.Schema.Fields()))
	for i, f := range t.Schema.Fields() {
		b := array.NewBuilder(memory.DefaultAllocator, f.Type)
		for _, rec := range t.Records { // array.Concatenate mixes up dictionaries that differ
			for row := range int(rec.NumRows()) {
				appendValue(b, rec.Column(i), row)
			}
		}
		columns[i] = b.NewArray()
	}
	return array.NewRecord(t.Schema, columns, t.Rows())
}

// appendValue copies one value, through text where that is exact.
func appendValue(b array.Builder, a arrow.Array, row int) {
	if a.IsNull(row) {
		b.AppendNull()
		return
	}
	switch b := b.(type) {
	case *array.TimestampBuilder:
		b.Append(a.(*array.Timestamp).Value(row))
	case *array.Decimal128Builder:
		b.Append(a.(*array.Decimal128).Value(row))
	case *array.Decimal256Builder:
		b.Append(a.(*array.Decimal256).Value(row))
	case *array.Float64Builder:
		b.Append(a.(*array.Float64).Value(row))
	default:
		if err := b.AppendValueFromString(a.ValueStr(row)); err != nil {
			panic(err)
		}
	}
}

// mapped is a view with its columns by their mapped names: name -> source column.
func mapped(w pit.View) (names []string, source map[string]string) {
	source = make(map[string]string)
	for _, f := range w.Source.Schema.Fields() {
		name := f.Name
		if to, ok := w.FieldMapping[f.Name]; ok {
			name = to
		}
		names, source[name] = append(names, name), f.Name
	}
	return names, source
}

// view turns a view into the oracle's form, with the features that are asked for and the names they get.
func view(w pit.View, u pit.Use, full bool) (oracle.View, error) {
	names, source := mapped(w)
	declared := w.Features
	if declared == nil {
		for _, name := range names {
			if !slices.Contains(w.Keys, name) && name != w.Timestamp && name != w.Created {
				declared = append(declared, name)
			}
		}
	}
	for _, name := range slices.Concat(w.Keys, declared, []string{w.Timestamp}) {
		if source[name] == "" {
			return oracle.View{}, fault.New(fault.Precondition, "view %q: no column %q", w.Name, name)
		}
	}
	out := oracle.View{
		Name: u.Name, EventTime: source[w.Timestamp], Created: source[w.Created], TTL: w.TTL, Rows: concat(w.Source),
	}
	for _, key := range w.Keys {
		entity := key
		if to, ok := u.JoinKeyMap[key]; ok {
			entity = to
		}
		out.Keys = append(out.Keys, oracle.Key{Entity: entity, Source: source[key]})
	}
	features := u.Features
	if features == nil {
		features = declared
	}
	for _, f := range features {
		if !slices.Contains(declared, f) {
			return oracle.View{}, fault.New(fault.NotFound, "view %q has no feature %q", w.Name, f)
		}
		name := f
		if full {
			name = u.Name + "__" + f
		}
		out.Features = append(out.Features, oracle.Feature{Source: source[f], Name: name})
	}
	return out, nil
}

func usedViews(v pit.Vector, s pit.Step) ([]oracle.View, error) {
	if len(s.Features) == 0 {
		return nil, fault.New(fault.Invalid, "no features")
	}
	var views []oracle.View
	for _, u := range v.Uses(s) {
		if u.View.Name == "" {
			return nil, fault.New(fault.NotFound, "no view %q", u.Name)
		}
		w, err := view(u.View, u, s.FullFeatureNames)
		if err != nil {
			return nil, err
		}
		views = append(views, w)
	}
	return views, nil
}

// entityRows are those of the step, or made of the views; and the name of their time column.
func entityRows(views []oracle.View, s pit.Step) (arrow.Record, string, error) {
	w := oracle.Window{Start: s.Start, End: s.End}
	switch s.Kind {
	case pit.KindHistorical:
		rows := concat(s.Entities)
		at, err := timeColumn(rows.Schema(), s.Timestamp)
		return withoutIndex(rows), at, err
	case pit.KindTimeline:
		if err := sameKeys(views); err != nil {
			return nil, "", err
		}
		return oracle.Entities(views, oracle.Timeline(views, w)), "event_timestamp", nil
	}
	if err := sameKeys(views); err != nil {
		return nil, "", err
	}
	return oracle.Entities(views, oracle.Snapshot(views, w)), "event_timestamp", nil
}

// sameKeys is semantics P62, and P25 between the views.
func sameKeys(views []oracle.View) error {
	var first map[string]arrow.DataType
	for _, v := range views {
		keys := make(map[string]arrow.DataType)
		for _, k := range v.Keys {
			keys[k.Entity] = v.Rows.Column(v.Rows.Schema().FieldIndices(k.Source)[0]).DataType()
		}
		if len(keys) == 0 {
			continue
		}
		if first == nil {
			first = keys
		}
		if !slices.Equal(slices.Sorted(maps.Keys(keys)), slices.Sorted(maps.Keys(first))) {
			return fault.New(fault.Invalid, "view %q has other keys", v.Name)
		}
		for name, t := range keys {
			if !oracle.Comparable(t, first[name]) {
				return fault.New(fault.Invalid, "view %q: key %q is %s, not %s", v.Name, name, t, first[name])
			}
		}
	}
	return nil
}

// timeColumn is semantics P51 and P52.
func timeColumn(schema *arrow.Schema, asked string) (string, error) {
	var candidates []string
	for _, f := range schema.Fields() {
		if f.Type.ID() == arrow.TIMESTAMP {
			candidates = append(candidates, f.Name)
		}
	}
	name := asked
	if name == "" {
		name = "event_timestamp"
	}
	found := schema.FieldIndices(name)
	switch {
	case len(found) > 0:
		if v := schema.Field(found[0]).Type.String(); strings.HasPrefix(v, "int") || strings.HasPrefix(v, "bool") {
			return "", fault.New(fault.Invalid, "%q is %s", name, v)
		}
		return name, nil
	case asked == "" && len(candidates) == 1:
		return candidates[0], nil
	}
	return "", fault.New(fault.Invalid, "no %q among %q", name, candidates)
}

// withoutIndex leaves out the columns that hold an unnamed pandas index (semantics P33).
func withoutIndex(rec arrow.Record) arrow.Record {
	var fields []arrow.Field
	var columns []arrow.Array
	for i, f := range rec.Schema().Fields() {
		if !strings.HasPrefix(f.Name, "__index_level_") {
			fields, columns = append(fields, f), append(columns, rec.Column(i))
		}
	}
	return array.NewRecord(arrow.NewSchema(fields, nil), columns, rec.NumRows())
}

// checkColumns is semantics P36 and P39.
func checkColumns(entities *arrow.Schema, views []oracle.View) error {
	seen := make(map[string]bool)
	add := func(name string) error {
		if seen[name] {
			return fault.New(fault.Invalid, "two columns %q", name)
		}
		seen[name] = true
		return nil
	}
	for _, f := range entities.Fields() {
		if err := add(f.Name); err != nil {
			return err
		}
	}
	for _, v := range views {
		for _, f := range v.Features {
			if err := add(f.Name); err != nil {
				return err
			}
		}
	}
	return nil
}

func count(views []oracle.View, outcomes [][]oracle.Outcome) []pit.ViewReport {
	var report []pit.ViewReport
	for i, v := range views {
		r := pit.ViewReport{View: v.Name}
		for _, o := range outcomes[i] {
			switch o.Reason {
			case oracle.Matched:
				r.Matched++
			case oracle.Expired:
				r.Expired++
			case oracle.NotYet:
				r.NotYet++
			case oracle.UnknownKey:
				r.UnknownKey++
			case oracle.NullKey:
				r.NullKey++
			default:
				panic(fmt.Sprintf("reason %q", o.Reason))
			}
		}
		report = append(report, r)
	}
	return report
}

// pull answers latest and all: semantics P70 to P76.
func pull(v pit.Vector, s pit.Step) (arrow.Record, error) {
	i := slices.IndexFunc(v.Views, func(w pit.View) bool { return w.Name == s.View })
	w := v.Views[i]
	ov, err := view(w, pit.Use{Name: w.Name, Features: s.Features}, false)
	if err != nil {
		return nil, err
	}
	_, source := mapped(w)
	var columns []oracle.Feature
	for _, key := range w.Keys {
		columns = append(columns, oracle.Feature{Source: source[key], Name: key})
	}
	columns = append(columns, ov.Features...)
	for _, name := range []string{w.Timestamp, w.Created} {
		if name != "" && !slices.ContainsFunc(columns, func(f oracle.Feature) bool { return f.Name == name }) {
			columns = append(columns, oracle.Feature{Source: source[name], Name: name})
		}
	}
	window := oracle.Window{Start: s.Start, End: s.End}
	rows := oracle.All(ov, window)
	if s.Kind == pit.KindLatest {
		rows = oracle.Latest(ov, window)
	}
	return oracle.Pull(ov, columns, rows), nil
}
