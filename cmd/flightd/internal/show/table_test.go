package show

import (
	"slices"
	"strings"
	"testing"

	"github.com/olekukonko/tablewriter/pkg/twwidth"
)

func render(t *testing.T, table *Table, width int) (text string, hidden []string) {
	t.Helper()
	var out strings.Builder
	hidden, err := table.Render(&out, width)
	if err != nil {
		t.Fatal(err)
	}
	return out.String(), hidden
}

// widest is the width of the widest line.
func widest(text string) (width int) {
	for line := range strings.Lines(text) {
		width = max(width, twwidth.Width(strings.TrimRight(line, "\n")))
	}
	return width
}

func TestTable(t *testing.T) {
	got, hidden := render(t, &Table{
		Columns: []Column{{Name: "driver_id", Type: "int64", Right: true}, {Name: "rate", Type: "float64", Right: true, Decimal: true}, {Name: "name", Type: "string"}},
		Rows:    [][]string{{"1001", "0.5", "Zoë"}, {"7", "-", "日本"}, {"8", "12.25", "a\x1b[31m\nb"}, {"9", "3", "x"}},
	}, 80)
	want := strings.Join([]string{
		" driver_id     rate  name     ",
		"     int64  float64  string   ",
		"──────────────────────────────",
		"      1001     0.50  Zoë      ",
		"         7        -  日本     ",
		"         8    12.25  a�[31m↵b ",
		"         9     3.00  x        ",
		"",
	}, "\n")
	if got != want || hidden != nil {
		t.Errorf("got\n%s(%q hidden), want\n%s", got, hidden, want)
	}
}

// A table is never wider than the screen, as long as its first column is not, and says which columns are missing.
func TestTableFits(t *testing.T) {
	table := &Table{}
	row := []string{}
	for _, name := range []string{"driver_id", "customer_id", "event_timestamp", "driver_stats__conv_rate", "driver_stats__acc_rate", "comment"} {
		table.Columns = append(table.Columns, Column{Name: name, Type: "string", Right: name == "driver_id"})
		row = append(row, strings.Repeat(name+" ", 4))
	}
	row[0] = "1001"
	table.Rows = [][]string{row, row}
	everything := len(table.Columns)
	for width := 16; width < 260; width++ {
		text, hidden := render(t, table, width)
		if w := widest(text); w > width {
			t.Fatalf("the table is %d wide on a screen of %d:\n%s", w, width, text)
		}
		shown := everything - len(hidden)
		head, _, _ := strings.Cut(text, "───")
		if sign := slices.Contains(strings.Fields(head), "…"); sign != (hidden != nil) {
			t.Fatalf("%q are hidden and the sign for it is %v at %d:\n%s", hidden, sign, width, text)
		}
		if shown < 1 || slices.Contains(hidden, "driver_id") {
			t.Fatalf("the first column is hidden at %d", width)
		}
		if width > 120 && hidden != nil {
			t.Fatalf("%q had no room at %d, though values could be cut:\n%s", hidden, width, text)
		}
	}
}

// Of what does not fit, full names are broken first: nothing is lost by that.
func TestTableBreaksNames(t *testing.T) {
	table := &Table{
		Columns: []Column{{Name: "id", Type: "int64", Right: true}, {Name: "driver_stats__conv_rate", Type: "float64", Right: true}},
		Rows:    [][]string{{"1", "0.5"}},
	}
	if text, _ := render(t, table, 40); !strings.Contains(text, "driver_stats__conv_rate") {
		t.Errorf("there was room for the name:\n%s", text)
	}
	text, hidden := render(t, table, 24)
	lines := strings.Split(text, "\n")
	if hidden != nil || len(lines) < 5 || !strings.Contains(lines[0], "driver_stats__") || !strings.Contains(lines[1], "id  ") || !strings.Contains(lines[1], "conv_rate") {
		t.Errorf("%q hidden of\n%s", hidden, text)
	}
}

func TestTableWrapsLists(t *testing.T) {
	table := &Table{
		Columns: []Column{{Name: "view"}, {Name: "features", Wrap: true}},
		Rows:    [][]string{{"driver_stats", "conv_rate, acc_rate, avg_daily_trips"}},
	}
	text, _ := render(t, table, 40)
	for _, feature := range []string{"conv_rate", "acc_rate", "avg_daily_trips"} {
		if !strings.Contains(text, feature) || widest(text) > 40 {
			t.Fatalf("%s is cut, or the table too wide:\n%s", feature, text)
		}
	}
}

func TestNumbers(t *testing.T) {
	for got, want := range map[string]string{
		Count(1, "row"): "1 row", Count(20000, "row"): "20,000 rows",
		Rate(20000, 210e6): "0.21 s (95,238 rows/s)", Rate(3, 210e6): "0.21 s",
		Share(0, 0): "-", Share(0, 9): "0.0 %", Share(1, 100000): "<0.1 %", Share(99999, 100000): ">99.9 %", Share(7, 7): "100.0 %", Share(1, 3): "33.3 %",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
