package show

import (
	"io"
	"slices"
	"strings"

	"github.com/olekukonko/tablewriter"
	"github.com/olekukonko/tablewriter/pkg/twwidth"
	"github.com/olekukonko/tablewriter/renderer"
	"github.com/olekukonko/tablewriter/tw"
)

// Column is a column of a Table.
type Column struct {
	Name    string
	Type    string // under the name; "": nothing
	Right   bool   // numbers: to the right, and never cut
	Whole   bool   // never cut, such as times
	Decimal bool   // numbers with a fraction: all get as many digits after the point as one of them has
	Wrap    bool   // lists, which go on in the next line; other long values are cut
}

// Table is a table of text.
type Table struct {
	Columns []Column
	Rows    [][]string // a value for each column
}

// Render writes the table so that it fits a width, and returns the names of the columns that had no room: some in the
// middle.
func (t *Table) Render(w io.Writer, width int) (hidden []string, err error) {
	if len(t.Columns) == 0 {
		return nil, nil
	}
	l := newLayout(t, width)
	out := newWriter(w, l.alignment())
	out.Header(l.header())
	for _, row := range l.rows {
		if err := out.Append(l.line(row)); err != nil {
			return nil, err
		}
	}
	return l.hidden(), out.Render()
}

// layout is how a table is put on a screen.
type layout struct {
	columns []Column
	rows    [][]string
	names   [][]string // the lines of each name
	widths  []int
	shown   []int // columns with room
	gap     int   // before which of them others are missing; -1: none are
}

func newLayout(t *Table, width int) *layout {
	l := &layout{columns: slices.Clone(t.Columns)}
	for i := range l.columns {
		c := &l.columns[i]
		c.Name, c.Type = clean(c.Name), clean(c.Type)
		l.names = append(l.names, []string{c.Name})
	}
	for _, row := range t.Rows {
		line := make([]string, len(row))
		for i, value := range row {
			line[i] = clean(value)
		}
		l.rows = append(l.rows, line)
	}
	l.alignPoints()
	l.fit(width)
	l.choose(width)
	return l
}

// alignPoints puts the decimal points of a column below each other.
func (l *layout) alignPoints() {
	for c := range l.columns {
		if !l.columns[c].Decimal {
			continue
		}
		digits := 0
		for _, row := range l.rows {
			if _, fraction, ok := plainDecimal(row[c]); ok {
				digits = max(digits, len(fraction))
			}
		}
		for _, row := range l.rows {
			if whole, fraction, ok := plainDecimal(row[c]); ok && digits > 0 {
				row[c] = whole + "." + fraction + strings.Repeat("0", digits-len(fraction))
			}
		}
	}
}

// plainDecimal splits a number at its point; exponents, infinities and nulls are left as they are.
func plainDecimal(s string) (whole, fraction string, ok bool) {
	whole, fraction, _ = strings.Cut(s, ".")
	digits := strings.TrimPrefix(whole, "-") + fraction
	return whole, fraction, digits != "" && strings.Trim(digits, "0123456789") == ""
}

func (l *layout) alignment() tw.Alignment {
	var all tw.Alignment
	l.each(func(c int) {
		if l.columns[c].Right {
			all = append(all, tw.AlignRight)
		} else {
			all = append(all, tw.AlignLeft)
		}
	}, func() { all = append(all, tw.AlignLeft) })
	return all
}

// header has the lines of the names, and the types below them.
func (l *layout) header() []string {
	most, typed := 0, false
	l.each(func(c int) { most, typed = max(most, len(l.names[c])), typed || l.columns[c].Type != "" }, func() {})
	var head []string
	l.each(func(c int) {
		lines := make([]string, most-len(l.names[c]), most+1)
		for _, line := range l.names[c] {
			lines = append(lines, cut(line, l.widths[c]))
		}
		if typed {
			lines = append(lines, cut(l.columns[c].Type, l.widths[c]))
		}
		head = append(head, strings.Join(lines, "\n"))
	}, func() { head = append(head, strings.Repeat("\n", most-1)+"…") })
	return head
}

// line has the values of a row.
func (l *layout) line(row []string) []string {
	var line []string
	l.each(func(c int) {
		if l.columns[c].Wrap {
			line = append(line, Wrap(row[c], l.widths[c]))
		} else {
			line = append(line, cut(row[c], l.widths[c]))
		}
	}, func() { line = append(line, "…") })
	return line
}

func (l *layout) hidden() (names []string) {
	for c := range l.columns {
		if !slices.Contains(l.shown, c) {
			names = append(names, l.columns[c].Name)
		}
	}
	return names
}

// each calls column for the columns that are shown, and missing where others are not.
func (l *layout) each(column func(c int), missing func()) {
	for i, c := range l.shown {
		if i == l.gap {
			missing()
		}
		column(c)
	}
	if l.gap == len(l.shown) {
		missing()
	}
}

// newWriter is a table without a frame: names, a line, rows.
func newWriter(w io.Writer, align tw.Alignment) *tablewriter.Table {
	plain := tw.Rendition{
		Borders: tw.BorderNone,
		Symbols: tw.NewSymbols(tw.StyleLight),
		Settings: tw.Settings{
			Separators: tw.Separators{BetweenColumns: tw.Off, BetweenRows: tw.Off},
			Lines:      tw.Lines{ShowHeaderLine: tw.On},
		},
	}
	return tablewriter.NewTable(w, tablewriter.WithRenderer(renderer.NewBlueprint(plain)), tablewriter.WithAlignment(align),
		tablewriter.WithHeaderAutoFormat(tw.Off), tablewriter.WithHeaderAutoWrap(tw.WrapNone), tablewriter.WithRowAutoWrap(tw.WrapNone),
		tablewriter.WithTrimSpace(tw.Off), tablewriter.WithTrimLine(tw.Off))
}

// Wrap breaks a list into lines of a width, at its commas; an item that is too long is cut.
func Wrap(s string, width int) string {
	var lines []string
	line := ""
	for _, item := range strings.SplitAfter(s, ", ") {
		if line != "" && twwidth.Width(line+strings.TrimRight(item, " ")) > width {
			lines, line = append(lines, strings.TrimRight(line, " ")), ""
		}
		line += item
	}
	lines = append(lines, line)
	for i := range lines {
		lines[i] = cut(lines[i], width)
	}
	return strings.Join(lines, "\n")
}
