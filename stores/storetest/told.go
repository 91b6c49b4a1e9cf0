package storetest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/flightd/flightd/testdata/pit"
)

// told is a vector as it can be put to the store: sources in the types that the store holds, answers likewise. reason says
// why it cannot be, if it cannot.
func (h Harness) told(v pit.Vector) (told pit.Vector, reason string) {
	if h.Unordered && (strings.HasPrefix(v.Name, "p11-") || strings.HasPrefix(v.Name, "p12-")) {
		return v, "it has no order of rows"
	}
	told, changed := v, false
	told.Views = slices.Clone(v.Views)
	for i, w := range v.Views {
		source, reason := h.toldTable(w.Source, func(string) bool { return true })
		if reason != "" {
			return v, reason
		}
		changed = changed || !source.Schema.Equal(w.Source.Schema)
		told.Views[i].Source = source
	}
	if !changed {
		return v, ""
	}
	told.Steps = slices.Clone(v.Steps)
	for i, s := range v.Steps {
		if told.Steps[i], reason = h.toldStep(told, s); reason != "" {
			return v, reason
		}
		if s.Err != nil {
			told.Steps[i].Err = &pit.Error{Kind: s.Err.Kind, Texts: withoutTypes(s.Err.Texts, v.Views)}
		}
	}
	return told, ""
}

// withoutTypes are the texts of a refusal without the names of the sources' types, which may be others now.
func withoutTypes(texts []string, views []pit.View) []string {
	return slices.DeleteFunc(slices.Clone(texts), func(text string) bool {
		return slices.ContainsFunc(views, func(w pit.View) bool {
			return slices.ContainsFunc(w.Source.Schema.Fields(), func(f arrow.Field) bool { return f.Type.Name() == text })
		})
	})
}

// toldTable gives the columns that come from a source the types that they have there.
func (h Harness) toldTable(table pit.Table, fromSource func(name string) bool) (pit.Table, string) {
	types := make(map[string]arrow.DataType)
	for _, f := range table.Schema.Fields() {
		if !fromSource(f.Name) {
			continue
		}
		t, ok := h.standIn(f)
		if !ok {
			return table, fmt.Sprintf("it cannot hold column %q (%s)", f.Name, f.Type)
		}
		types[f.Name] = t
	}
	out, inexact := h.as(Table(table), types)
	if inexact != nil {
		return table, "it cannot hold the values of column " + strings.Join(inexact, ", ")
	}
	return pit.Table(out), ""
}

// toldStep is a step of a vector whose sources have other types now. Entity columns come back as they were sent.
func (h Harness) toldStep(v pit.Vector, s pit.Step) (pit.Step, string) {
	if s.Err != nil {
		return s, ""
	}
	fromSource := func(string) bool { return true }
	switch s.Kind {
	case pit.KindHistorical:
		fromSource = func(name string) bool { return !s.Entities.Schema.HasField(name) }
	case pit.KindTimeline, pit.KindSnapshot:
		if unit := timelineUnit(v, s); !arrow.TypeEqual(s.Want.Schema.Field(timeColumn(s)).Type, unit) {
			return s, fmt.Sprintf("the answer would be in other units (%s)", unit)
		}
		fromSource = func(name string) bool { return name != "event_timestamp" }
	}
	want, reason := h.toldTable(s.Want, fromSource)
	s.Want = want
	return s, reason
}

func timeColumn(s pit.Step) int { return s.Want.Schema.FieldIndices("event_timestamp")[0] }

// timelineUnit is the type of the time column of an answer without entity rows: the finest unit of the sources (semantics
// P63), which the vector was written for and stand-ins may have changed.
func timelineUnit(v pit.Vector, s pit.Step) arrow.DataType {
	unit := arrow.Microsecond
	for _, use := range v.Uses(s) {
		for _, f := range use.View.Source.Schema.Fields() {
			name := f.Name
			if mapped, ok := use.View.FieldMapping[name]; ok {
				name = mapped
			}
			t, isTime := f.Type.(*arrow.TimestampType)
			if isTime && t.Unit == arrow.Nanosecond && (name == use.View.Timestamp || f.Name == use.View.Timestamp) {
				unit = arrow.Nanosecond
			}
		}
	}
	return &arrow.TimestampType{Unit: unit, TimeZone: "UTC"}
}
