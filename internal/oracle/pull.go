package oracle

import (
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
)

// Window is a range of times with both ends. A zero time is no bound.
type Window struct{ Start, End time.Time }

// holds says whether a row of this time is in the window. Rows without a time are in it if it has no bound.
func (w Window) holds(ts Value) bool {
	if w.Start.IsZero() && w.End.IsZero() {
		return true
	}
	return ts.Kind != Null &&
		(w.Start.IsZero() || Compare(ts, Time(w.Start)) >= 0) && (w.End.IsZero() || Compare(ts, Time(w.End)) <= 0)
}

// All are the rows of the view in the window.
func All(v View, w Window) []int {
	var rows []int
	for i, s := range v.read() {
		if w.holds(s.ts) {
			rows = append(rows, i)
		}
	}
	return rows
}

// Latest is the newest row in the window of every key tuple, null being a key, in the order of the rows.
func Latest(v View, w Window) []int {
	var rows []int
	sources := v.read()
	for i, s := range sources {
		beaten := slices.ContainsFunc(All(v, w), func(j int) bool {
			o := sources[j]
			return compareAll(s.key, o.key) == 0 && (j > i && !older(o, s) || j < i && older(s, o))
		})
		if w.holds(s.ts) && !beaten {
			rows = append(rows, i)
		}
	}
	return rows
}

// Point is an entity row of a request without entity rows.
type Point struct {
	Keys []Value // in the order of the first view with keys
	Time Value
}

// Timeline are the entity rows of semantics P60, in the order of P64. A window with an end alone begins where P65 says.
func Timeline(views []View, w Window) []Point {
	if w.Start.IsZero() && !w.End.IsZero() {
		longest := time.Duration(0)
		for _, v := range views {
			longest = max(longest, v.TTL)
		}
		if longest == 0 {
			longest = 30 * 24 * time.Hour
		}
		w.Start = w.End.Add(-longest)
	}
	return points(views, w, func(ts Value) Value { return ts })
}

// Snapshot are the entity rows of semantics P61, in the order of P64.
func Snapshot(views []View, w Window) []Point {
	end := floor(Time(w.End), TimeUnit(views).Multiplier())
	return points(views, w, func(Value) Value { return end })
}

func points(views []View, w Window, at func(ts Value) Value) []Point {
	var found []Point
	seen := make(map[string]bool)
	keyed := keyedViews(views)
	for _, v := range keyed {
		names := v.keysLike(keyed[0])
		for i, s := range v.read() {
			key := readKey(v.Rows, names, i)
			if s.ts.Kind == Null || hasNull(key) || !w.holds(s.ts) {
				continue
			}
			p := Point{key, at(s.ts)}
			if name := p.String(); !seen[name] {
				seen[name] = true
				found = append(found, p)
			}
		}
	}
	slices.SortFunc(found, func(a, b Point) int {
		if c := Compare(a.Time, b.Time); c != 0 {
			return c
		}
		return compareAll(a.Keys, b.Keys)
	})
	return found
}

func (p Point) String() string {
	parts := []string{p.Time.String()}
	for _, k := range p.Keys {
		parts = append(parts, k.String())
	}
	return strings.Join(parts, " | ")
}

// keyedViews are the views that say which entity rows there are: those with keys, or all if none has any.
func keyedViews(views []View) []View {
	var keyed []View
	for _, v := range views {
		if len(v.Keys) > 0 {
			keyed = append(keyed, v)
		}
	}
	if len(keyed) == 0 {
		return views
	}
	return keyed
}

// keysLike are the key columns of v in the order in which first has them.
func (v View) keysLike(first View) []string {
	var names []string
	for _, k := range first.Keys {
		i := slices.IndexFunc(v.Keys, func(own Key) bool { return own.Entity == k.Entity })
		names = append(names, v.Keys[i].Source)
	}
	return names
}

// TimeUnit is the unit of the time column of semantics P63.
func TimeUnit(views []View) arrow.TimeUnit {
	for _, v := range views {
		if t, ok := column(v.Rows, v.EventTime).DataType().(*arrow.TimestampType); ok && t.Unit == arrow.Nanosecond {
			return arrow.Nanosecond
		}
	}
	return arrow.Microsecond
}

func floor(t Value, each time.Duration) Value {
	ns := big.NewInt(int64(each))
	n := new(big.Int).Div(t.Num.Num(), ns) // Euclidean, and t is whole nanoseconds
	return instant(n.Mul(n, ns))
}
