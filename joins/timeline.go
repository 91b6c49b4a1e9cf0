package joins

import (
	"context"
	"slices"
	"time"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/flightd/flightd/internal/fault"
)

// defaultWindow is how far a timeline without start reaches back when no view has a ttl.
const defaultWindow = 30 * 24 * time.Hour

// TimelineSchema is the schema of the entity rows that Timeline and Snapshot make: the keys of the first view that has
// some, under the names and types they have there, and the event time in UTC, in microseconds, or in nanoseconds if a
// view's times have them. It refuses views whose keys differ, in names or in kind of type.
func TimelineSchema(views []View) (*arrow.Schema, error) {
	var fields []arrow.Field
	var first *View
	unit := arrow.Microsecond
	for i := range views {
		v := &views[i]
		at, err := timeField(v, "event timestamp", v.EventTime)
		if err != nil {
			return nil, err
		}
		if t, ok := at.Type.(*arrow.TimestampType); ok && t.Unit == arrow.Nanosecond {
			unit = arrow.Nanosecond
		}
		switch {
		case len(v.Keys) == 0:
		case first == nil:
			first = v
			if fields, err = keyFields(v); err != nil {
				return nil, err
			}
		default:
			if err := sameKeys(first, fields, v); err != nil {
				return nil, err
			}
		}
	}
	at := &arrow.TimestampType{Unit: unit, TimeZone: "UTC"}
	return arrow.NewSchema(append(fields, arrow.Field{Name: DefaultTime, Type: at, Nullable: true}), nil), nil
}

func keyFields(v *View) ([]arrow.Field, error) {
	var fields []arrow.Field
	for _, key := range v.Keys {
		f, err := sourceField(v, "join key", key.Source)
		if err != nil {
			return nil, err
		}
		fields = append(fields, arrow.Field{Name: key.Entity, Type: decoded(f.Type), Nullable: true, Metadata: f.Metadata})
	}
	return fields, nil
}

// sameKeys compares the keys of a view with those of the first one.
func sameKeys(first *View, fields []arrow.Field, v *View) error {
	x, y := entityKeys(first), entityKeys(v)
	if !slices.Equal(slices.Sorted(slices.Values(x)), slices.Sorted(slices.Values(y))) {
		return fault.New(fault.Invalid, "without entity rows all views need the same join keys; %q has %v and %q has %v: "+
			"ask for them one by one, or give entity rows", first.Name, x, v.Name, y)
	}
	for _, f := range fields {
		key := v.Keys[slices.Index(y, f.Name)]
		source, err := sourceField(v, "join key", key.Source)
		if err != nil {
			return err
		}
		if _, ok := pair(f.Type, source.Type); !ok {
			return fault.New(fault.Invalid, "join key %q is %s in feature view %q and %s in %q, which cannot be compared; "+
				"cast one in its source, or ask for the views one by one", f.Name, f.Type, first.Name, source.Type, v.Name)
		}
	}
	return nil
}

func entityKeys(v *View) []string {
	keys := make([]string, len(v.Keys))
	for i, k := range v.Keys {
		keys[i] = k.Entity
	}
	return keys
}

// timeField is a column of a view's source that must hold points in time.
func timeField(v *View, role, column string) (arrow.Field, error) {
	f, err := sourceField(v, role, column)
	if err != nil {
		return f, err
	}
	if _, ok := unitOf(f.Type); !ok {
		return f, fault.New(fault.Precondition, "feature view %q: its %s column %q is %s in the source; it must be a timestamp or a date",
			v.Name, role, column, f.Type)
	}
	return f, nil
}

// Timeline makes entity rows of history: the distinct keys and times of all views in the window, ordered by time, then by
// keys. Null keys and null times make no row. Views without keys make rows only if no view has keys. A window with an
// end alone begins the greatest ttl before it, or 30 days if no view has one. More than maxRows (0: no limit) is an error.
// The records are the caller's, to be released.
func Timeline(ctx context.Context, views []View, w Window, maxRows int64, opt Options) (Entities, error) {
	if w.Start.IsZero() && !w.End.IsZero() {
		var longest time.Duration
		for _, v := range views {
			longest = max(longest, v.TTL)
		}
		if longest == 0 {
			longest = defaultWindow
		}
		w.Start = w.End.Add(-longest)
	}
	d, err := newDistinct(views, maxRows, opt)
	if err != nil {
		return Entities{}, err
	}
	d.timed = true
	return d.collect(ctx, views, w)
}

// Snapshot makes entity rows of history: one for each distinct key tuple with a row in the window, all at its end rounded
// down to the unit of the answer, ordered by keys. The end must be there. Else it is like Timeline.
func Snapshot(ctx context.Context, views []View, w Window, maxRows int64, opt Options) (Entities, error) {
	if w.End.IsZero() {
		return Entities{}, fault.New(fault.Invalid, "a snapshot needs an end")
	}
	d, err := newDistinct(views, maxRows, opt)
	if err != nil {
		return Entities{}, err
	}
	end := Window{End: w.End}.in(d.unit)
	if end.empty {
		return Entities{}, fault.New(fault.Invalid, "a snapshot as of %s: timestamps in %s do not reach back so far",
			w.End.Format(time.RFC3339), time.Duration(d.unit))
	}
	d.end = end.hi
	return d.collect(ctx, views, w)
}
