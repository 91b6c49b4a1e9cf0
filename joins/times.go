package joins

import (
	"context"
	"math"
	"strings"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"github.com/flightd/flightd/internal/fault"
)

// DefaultTime is the event time column of entity rows when a request names none (semantics P51).
const DefaultTime = "event_timestamp"

// EntityTime finds the event time column of entity rows: the named one, else DefaultTime, else the only timestamp column.
func EntityTime(s *arrow.Schema, named string) (string, error) {
	if named != "" {
		if !s.HasField(named) {
			return "", fault.New(fault.Invalid, "the entity rows have no column %q, which was named as their timestamp; there are: %s",
				named, fieldNames(s))
		}
		return named, nil
	}
	if s.HasField(DefaultTime) {
		return DefaultTime, nil
	}
	var candidates []string
	for _, f := range s.Fields() {
		if f.Type.ID() == arrow.TIMESTAMP {
			candidates = append(candidates, f.Name)
		}
	}
	switch len(candidates) {
	case 1:
		return candidates[0], nil
	case 0:
		return "", fault.New(fault.Invalid, "the entity rows have no column %q and no timestamp column; name theirs in `timestamp`; there are: %s",
			DefaultTime, fieldNames(s))
	}
	return "", fault.New(fault.Invalid, "the entity rows have several timestamp columns and none is called %q; name one in `timestamp`: %s",
		DefaultTime, strings.Join(candidates, ", "))
}

func fieldNames(s *arrow.Schema) string {
	names := make([]string, len(s.Fields()))
	for i, f := range s.Fields() {
		names[i] = f.Name
	}
	if len(names) == 0 {
		return "no columns at all"
	}
	return strings.Join(names, ", ")
}

// timeValueType is the type that an event time column of entity rows really holds; false if it can hold none.
func timeValueType(t arrow.DataType) (arrow.DataType, bool) {
	if d, ok := t.(*arrow.DictionaryType); ok {
		t = d.ValueType
	}
	if _, ok := unitOf(t); ok {
		return t, true
	}
	return t, isText(t)
}

func isText(t arrow.DataType) bool { return t.ID() == arrow.STRING || t.ID() == arrow.LARGE_STRING }

// entityTimesOf reads the event times of all entity rows.
func entityTimesOf(ctx context.Context, e Entities) (*entityTimes, error) {
	column := e.Schema.FieldIndices(e.Time)[0]
	n := e.Rows()
	if n > math.MaxInt32 {
		return nil, fault.New(fault.Exhausted, "%d entity rows in one call; at most %d can be joined at once", n, math.MaxInt32)
	}
	t := &entityTimes{values: make([]int64, n), null: make([]bool, n)}
	valueType, _ := timeValueType(e.Schema.Field(column).Type)
	if isText(valueType) {
		return t, t.parse(ctx, e, column)
	}
	t.unit, _ = unitOf(valueType)
	at := 0
	var instant []int64
	var of arrow.ArrayData // the dictionary whose instants they are: batches mostly share one
	for _, rec := range e.Records {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		a := rec.Column(column)
		index := func(i int) int { return i }
		values, known := a, false
		if d, ok := a.(*array.Dictionary); ok {
			values, index = d.Dictionary(), d.GetValueIndex
			known, of = of == a.Data().Dictionary(), a.Data().Dictionary()
		}
		if !known {
			var err error
			if instant, err = instants(values, nil); err != nil {
				return nil, err
			}
		}
		if a.DataType().ID() != arrow.DICTIONARY && a.NullN() == 0 {
			at += copy(t.values[at:], instant)
			continue
		}
		for i := range a.Len() {
			if a.IsNull(i) || values.IsNull(index(i)) {
				t.null[at+i] = true
				continue
			}
			t.values[at+i] = instant[index(i)]
		}
		at += a.Len()
	}
	return t, nil
}

// parse reads times that are text. They are kept in microseconds, or in nanoseconds if one of them is that fine.
func (t *entityTimes) parse(ctx context.Context, e Entities, column int) error {
	parsed := make([]time.Time, len(t.values))
	at, fine := 0, false
	for _, rec := range e.Records {
		if err := ctx.Err(); err != nil {
			return err
		}
		a := rec.Column(column)
		for i := range a.Len() {
			text, ok := textAt(a, i)
			if !ok {
				t.null[at+i] = true
				continue
			}
			v, err := parseTime(text)
			if err != nil {
				return fault.New(fault.Invalid, "column %q, row %d: %q is not a time in ISO 8601 (2024-01-31T12:00:00Z; a space for the T, "+
					"no offset for UTC)", e.Time, at+i+1, clipText(text))
			}
			parsed[at+i] = v
			fine = fine || v.Nanosecond()%1000 != 0
		}
		at += a.Len()
	}
	t.unit = unit(time.Microsecond)
	if fine {
		t.unit = unit(time.Nanosecond)
	}
	for i, v := range parsed {
		if t.null[i] {
			continue
		}
		if t.values[i] = v.UnixMicro(); fine {
			if t.values[i] = v.UnixNano(); !time.Unix(0, t.values[i]).Equal(v) {
				return fault.New(fault.Invalid, "column %q, row %d: %s is outside what nanoseconds can say, and another row has nanoseconds",
					e.Time, i+1, v.Format(time.RFC3339Nano))
			}
		}
	}
	return nil
}

func textAt(a arrow.Array, i int) (string, bool) {
	if a.IsNull(i) {
		return "", false
	}
	switch a := a.(type) {
	case *array.String:
		return a.Value(i), true
	case *array.LargeString:
		return a.Value(i), true
	case *array.Dictionary:
		return textAt(a.Dictionary(), a.GetValueIndex(i))
	}
	return "", false
}

// timeLayouts are the forms of ISO 8601 that are read; a fraction of a second may follow the seconds in all of them.
var timeLayouts = []string{
	"2006-01-02T15:04:05Z07:00", "2006-01-02T15:04:05", "2006-01-02T15:04:05Z0700", "2006-01-02T15:04:05Z07",
	"2006-01-02T15:04Z07:00", "2006-01-02T15:04", "2006-01-02",
}

func parseTime(text string) (time.Time, error) {
	if len(text) > 10 && text[10] == ' ' {
		text = text[:10] + "T" + text[11:]
	}
	var first error
	for _, layout := range timeLayouts {
		v, err := time.Parse(layout, text)
		if err == nil {
			return v, nil
		}
		if first == nil {
			first = err
		}
	}
	return time.Time{}, first
}

func clipText(s string) string {
	if len(s) > 60 {
		return strings.ToValidUTF8(s[:60], "") + "…"
	}
	return s
}
