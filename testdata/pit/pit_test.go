package pit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

func TestVectorsParse(t *testing.T) {
	all := All()
	if len(all) < 50 {
		t.Errorf("only %d vectors", len(all))
	}
	for _, v := range all {
		if v.Comment == "" {
			t.Errorf("%s does not say what its rule is", v.Name)
		}
	}
	if _, err := Load("no-such-vector"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a vector that is not there: %v", err)
	}
}

// TestDocumentation: a rule has a number on the page if and only if it has a vector, apart from those about folders and writes.
func TestDocumentation(t *testing.T) {
	page, err := os.ReadFile("../../docs/semantics.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := make(map[string]bool)
	numbers := regexp.MustCompile(`\bP(\d\d)(?:(?:-| to )P(\d\d))?`)
	for _, found := range numbers.FindAllStringSubmatch(string(page), -1) {
		first, _ := strconv.Atoi(found[1])
		last, err := strconv.Atoi(found[2])
		if err != nil {
			last = first
		}
		for n := first; n <= last; n++ {
			documented[fmt.Sprintf("p%02d", n)] = true
		}
	}
	tested := map[string]bool{"p80": true, "p81": true, "p82": true, "p85": true, "p86": true, "p87": true}
	for _, v := range All() {
		if rule := v.Name[:3]; rule != "p00" { // the page's one paragraph
			tested[rule] = true
		}
	}
	for rule := range tested {
		if !documented[rule] {
			t.Errorf("%s is tested, and is not on the page", rule)
		}
	}
	for rule := range documented {
		if !tested[rule] {
			t.Errorf("%s is on the page, and no vector has its name", rule)
		}
	}
}

const start = "view v timestamp=ts\nts:timestamp, f:int64\n10:00, 1\n\n"

// Every line is a vector with one mistake and a text that its error must have.
func TestParseIsStrict(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", "nothing is asked"},
		{start, "nothing is asked"},
		{start + "all v", "no `want`"},
		{start + "everything v", "is none of view"},
		{start + "all v speed=9\n\nwant\nf:int64", "not understood: speed="},
		{start + "all v known\n\nwant\nf:int64", "not understood: known"},
		{start + "all v\nf:int64\n\nwant\nf:int64", "no table of its own"},
		{start + "all v\n\nwant\nf:int65", `no type is called "int65"`},
		{start + "all v\n\nwant\nf:timestamp[h]", "no type"},
		{start + "all v\n\nwant\nf:int64\n1, 2", "2 cells under a header of 1"},
		{start + "all v\n\nwant\nf:int64\none", "line 9"},
		{start + "all v\n\nwant\nf:timestamp[s]\n10:00:00.5", "cannot be written in s"},
		{start + "all v\n\nwant\nf:timestamp[ns]\n9999-01-01", "cannot be written in ns"},
		{start + "all v\n\nwant\nf:decimal(5,1)\n1.25", "more than 1 decimal places"},
		{start + "all v\n\nwant\nf:int64\n\nwant\nf:int64", "second answer"},
		{start + "all v\n\nerror", "needs a kind"},
		{start + "all v\n\nerror invalid, unquoted", "unquoted"},
		{start + "all v start=noon\n\nwant\nf:int64", `"noon" is not a time`},
		{start + "all v\n\nwant\nf:int64\n\nreport v", "does not ask for a report"},
		{start + "all v report\n\nwant\nf:int64", "no `report` after it"},
		{"want\nf:int64", "before any request"},
		{"report v matched=1", "before any request"},
		{"alias a of=v", "not a view above"},
		{"view v\nf:int64", "needs a name and timestamp="},
	} {
		if _, err := Parse("x", c.text); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.text, err, c.want)
		}
	}
}

func table(t *testing.T, text string) Table {
	t.Helper()
	var lines []line
	for i, l := range strings.Split(text, "\n") {
		lines = append(lines, line{i, l})
	}
	out, err := parseTable(lines)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// A row written as it is read is the same row, for every type.
func TestCellsRoundTrip(t *testing.T) {
	text := `b:bool, i:int8, u:uint64, f:float32, g:float64, s:utf8, l:large_utf8, d:dictionary<utf8>, x:binary, y:date32, z:date64, t:timestamp[ns,UTC], r:timestamp[s], p:decimal(10,2), q:decimal(50,3)
true, -128, 18446744073709551615, 0.1, -0, "", "-", "a, b", 0x00ff, 2024-01-31, 1969-12-31, 10:00:00.000000001, raw 9223372036854775807, -1.25, 1.000
-, -, -, -, -, -, -, -, -, -, -, -, -, -, -
false, 0, 0, NaN, +Inf, "\x00", é, x, 0x, 0001-01-01, 9999-12-31, 1969-12-31 23:59:59.999999999, 2023-01-01 00:00:00, 0, -0.001`
	once := table(t, text)
	again := table(t, strings.Join(append(strings.Split(text, "\n")[:1], once.lines()...), "\n"))
	if d := Diff(once, again, false); d != "" {
		t.Error(d)
	}
}

func TestDiff(t *testing.T) {
	const want = "k:int64, f:float64\n1, 0\n2, -\n1, 0"
	for _, c := range []struct {
		got, message string
		unordered    bool
	}{
		{want, "", false},
		{"k:int64, f:float64\n1, 0\n--\n2, -\n--\n1, 0", "", false},
		{"k:int64, f:float64\n1, 0\n1, 0\n2, -", "row 2", false},
		{"k:int64, f:float64\n1, 0\n1, 0\n2, -", "", true},
		{"k:int64, f:float64\n1, 0\n2, -\n2, -", "row", true},
		{"k:int64, f:float64\n1, -0\n2, -\n1, 0", "row 1", false},
		{"k:int64, f:float64\n1, 0\n2, 0\n1, 0", "row 2", false},
		{"k:int64, f:float64\n1, 0\n2, -", "missing", false},
		{want + "\n1, 0", "too many", false},
		{"k:int32, f:float64\n1, 0", "columns", false},
		{"f:float64, k:int64\n0, 1", "columns", false},
		{"k:int64, g:float64\n1, 0", "columns", false},
	} {
		d := Diff(table(t, want), table(t, c.got), c.unordered)
		if (d == "") != (c.message == "") || !strings.Contains(d, c.message) {
			t.Errorf("%q: %q, want %q", c.got, d, c.message)
		}
	}
}
