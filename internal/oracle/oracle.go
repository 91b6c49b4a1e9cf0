// Package oracle answers retrievals the slow and obvious way: for every entity row it looks at every feature row. Tests
// compare the join engine and the stores with it.
//
// It is written from docs/semantics.md and shares no code with what it judges. Times and numbers are big rationals, so that
// nothing is rounded or overflows; there is no index, no pruning and no parallelism. It is for tables of hundreds of rows.
package oracle

import (
	"fmt"
	"math/big"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
)

// View is a feature view: columns by the names that they have in Rows, which is the whole source in position order.
type View struct {
	Name      string
	Keys      []Key // none: an entity-less view
	EventTime string
	Created   string // "": none
	TTL       time.Duration
	Features  []Feature
	Rows      arrow.Record
}

// Key pairs a column of the entity rows with the column of a view that it must equal.
type Key struct{ Entity, Source string }

// Feature is a column of a view and its name in the answer.
type Feature struct{ Source, Name string }

// Reason is what became of an entity row in a view, as the match report calls it.
type Reason string

// The reasons in order of precedence.
const (
	NullKey    Reason = "null_key"
	Matched    Reason = "matched"
	UnknownKey Reason = "unknown_key"
	NotYet     Reason = "not_yet"
	Expired    Reason = "expired"
)

// Outcome is the winner of one entity row in one view: a row of View.Rows, -1 for none.
type Outcome struct {
	Row    int
	Reason Reason
}

// Historical finds the winner of every entity row in every view: result[view][entity row]. timeColumn is the event time
// of the entity rows; text is read as ISO 8601.
func Historical(entities arrow.Record, timeColumn string, views []View, knownAt bool) ([][]Outcome, error) {
	times, err := entityTimes(entities, timeColumn)
	if err != nil {
		return nil, err
	}
	all := make([][]Outcome, len(views))
	for i, v := range views {
		if err := v.check(entities); err != nil {
			return nil, err
		}
		sources := v.read()
		for row, e := range times {
			key := readKey(entities, v.entityKeys(), row)
			all[i] = append(all[i], v.winner(sources, key, e, knownAt))
		}
	}
	return all, nil
}

// source is a row of a view.
type source struct {
	key         []Value
	ts, created Value
}

func (v View) read() []source {
	rows := make([]source, v.Rows.NumRows())
	for i := range rows {
		rows[i] = source{key: readKey(v.Rows, v.sourceKeys(), i), ts: Read(column(v.Rows, v.EventTime), i)}
		if v.Created != "" {
			rows[i].created = Read(column(v.Rows, v.Created), i)
		}
	}
	return rows
}

// winner is the rule of section 0 of the semantics, word for word.
func (v View) winner(sources []source, key []Value, e Value, knownAt bool) Outcome {
	if e.Kind == Null || hasNull(key) {
		return Outcome{-1, NullKey}
	}
	best, timed, known := -1, false, false
	for i, s := range sources {
		if s.ts.Kind == Null || hasNull(s.key) || compareAll(s.key, key) != 0 {
			continue
		}
		timed = true
		if Compare(s.ts, e) > 0 {
			continue
		}
		if knownAt && v.Created != "" && (s.created.Kind == Null || Compare(s.created, e) > 0) {
			continue
		}
		known = true
		if v.expired(s.ts, e) {
			continue
		}
		if best < 0 || !older(s, sources[best]) {
			best = i
		}
	}
	switch {
	case best >= 0:
		return Outcome{best, Matched}
	case !timed:
		return Outcome{-1, UnknownKey}
	case !known:
		return Outcome{-1, NotYet}
	}
	return Outcome{-1, Expired}
}

func (v View) expired(ts, e Value) bool {
	if v.TTL <= 0 {
		return false
	}
	bound := new(big.Rat).Sub(e.Num, new(big.Rat).SetInt64(int64(v.TTL)))
	return ts.Num.Cmp(bound) < 0
}

// older says that a loses to b, which comes before it in the source: null, in either time, is lowest.
func older(a, b source) bool {
	if c := Compare(a.ts, b.ts); c != 0 {
		return c < 0
	}
	return Compare(a.created, b.created) < 0
}

// check compares key columns and their types.
func (v View) check(entities arrow.Record) error {
	for _, k := range v.Keys {
		found := entities.Schema().FieldIndices(k.Entity)
		if len(found) == 0 {
			return fmt.Errorf("view %q: the entity rows have no column %q", v.Name, k.Entity)
		}
		a, b := column(v.Rows, k.Source).DataType(), entities.Column(found[0]).DataType()
		if !Comparable(a, b) {
			return fmt.Errorf("view %q: key %q is %s, %q of the entity rows is %s", v.Name, k.Source, a, k.Entity, b)
		}
	}
	return nil
}

func (v View) entityKeys() []string {
	names := make([]string, len(v.Keys))
	for i, k := range v.Keys {
		names[i] = k.Entity
	}
	return names
}

func (v View) sourceKeys() []string {
	names := make([]string, len(v.Keys))
	for i, k := range v.Keys {
		names[i] = k.Source
	}
	return names
}

func readKey(rec arrow.Record, names []string, row int) []Value {
	key := make([]Value, len(names))
	for i, name := range names {
		key[i] = Read(column(rec, name), row)
	}
	return key
}

func column(rec arrow.Record, name string) arrow.Array {
	return rec.Column(rec.Schema().FieldIndices(name)[0])
}

func hasNull(key []Value) bool {
	for _, v := range key {
		if v.Kind == Null {
			return true
		}
	}
	return false
}

func entityTimes(entities arrow.Record, name string) ([]Value, error) {
	col := column(entities, name)
	times := make([]Value, col.Len())
	for i := range times {
		times[i] = Read(col, i)
		if times[i].Kind != Text {
			continue
		}
		t, err := parseTime(times[i].Text)
		if err != nil {
			return nil, fmt.Errorf("row %d: %w", i+1, err)
		}
		times[i] = Time(t)
	}
	return times, nil
}

func parseTime(text string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, "2006-01-02 15:04:05Z07:00", "2006-01-02T15:04:05", "2006-01-02 15:04:05", time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is not a time", text)
}
