package show

import (
	"strings"

	"github.com/olekukonko/tablewriter/pkg/twwidth"
)

// How a table is made to fit: what loses nothing comes first.
const (
	padding   = 2  // a space on each side of a value
	longValue = 40 // wider values are cut in any case
	narrow    = 12 // and cut to this before columns are left out
	wrapAt    = 20 // the least width of a column whose values wrap
)

// fit gives every column a width: what it needs, if there is room. If not, long names are broken, lists wrap, and then
// values are cut, the less the better.
func (l *layout) fit(width int) {
	if l.measure(longValue) <= width {
		return
	}
	for i, c := range l.columns {
		l.names[i] = breakName(c.Name)
	}
	for most := longValue; most >= narrow; most -= 4 {
		over := l.measure(most) - width
		for i, c := range l.columns {
			if c.Wrap && over > 0 {
				less := min(over, max(0, l.widths[i]-wrapAt))
				l.widths[i], over = l.widths[i]-less, over-less
			}
		}
		if over <= 0 {
			return
		}
	}
}

// measure finds how wide columns are if long values are cut to most, and returns the width of them all. Names are cut only
// if they are very long.
func (l *layout) measure(most int) (total int) {
	l.widths = make([]int, len(l.columns))
	for i, c := range l.columns {
		name := 0
		for _, line := range l.names[i] {
			name = max(name, twwidth.Width(line))
		}
		values := 0
		for _, row := range l.rows {
			values = max(values, twwidth.Width(row[i]))
		}
		least := most
		if c.Right || c.Whole {
			least = max(most, values)
		}
		widest := max(name, values, twwidth.Width(c.Type))
		if !c.Wrap {
			widest = min(widest, max(least, min(longValue, name)))
		}
		l.widths[i] = max(1, widest)
		total += l.widths[i] + padding
	}
	return total
}

// breakName puts the view of a full name, view__feature, on a line of its own.
func breakName(name string) []string {
	if at := strings.Index(name, "__"); at > 0 && at+2 < len(name) {
		return []string{name[:at+2], name[at+2:]}
	}
	return []string{name}
}

// choose takes columns from both ends as long as they fit.
func (l *layout) choose(width int) {
	total := 0
	for _, w := range l.widths {
		total += w + padding
	}
	left, right := 0, len(l.widths) // [left, right) has no room
	free := width
	if total > width {
		free -= 1 + padding // for the sign that something is missing
	}
	for fromLeft := true; left < right; fromLeft = !fromLeft {
		next := left
		if !fromLeft {
			next = right - 1
		}
		if free -= l.widths[next] + padding; free < 0 && left > 0 {
			break
		}
		if fromLeft {
			left++
		} else {
			right--
		}
	}
	l.gap = -1
	if left < right {
		l.gap = left
	}
	for c := range l.widths {
		if c < left || c >= right {
			l.shown = append(l.shown, c)
		}
	}
}
