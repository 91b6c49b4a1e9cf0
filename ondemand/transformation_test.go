package ondemand

import (
	"fmt"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/flightd/flightd/internal/fault"
)

var number = arrow.PrimitiveTypes.Float64

func output(features ...string) (outputs []Output) {
	for _, f := range features {
		outputs = append(outputs, Output{f, number})
	}
	return outputs
}

func TestSchema(t *testing.T) {
	meta := arrow.MetadataFrom(map[string]string{"k": "v"})
	in := arrow.NewSchema([]arrow.Field{{Name: "driver", Type: arrow.PrimitiveTypes.Int64, Metadata: meta}, {Name: "y", Type: number}}, nil)
	views := []View{{Name: "b", Definition: []byte("b"), Outputs: output("z", "x")}, {Name: "a", Alias: "c", Definition: []byte("a"), Outputs: output("w")}}
	for full, want := range map[bool]string{false: "driver y z x w", true: "driver y b__z b__x c__w"} {
		bound, err := Bind(in, views, full)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for i, f := range bound.Schema().Fields() {
			names = append(names, f.Name)
			if i >= 2 && (!f.Nullable || f.Type != number) {
				t.Errorf("output %v", f)
			}
		}
		if got := strings.Join(names, " "); got != want || !bound.Schema().Field(0).Equal(in.Field(0)) {
			t.Errorf("columns %s, want %s", got, want)
		}
		if text := bound.String(); text != `on-demand feature views "b", "a"` {
			t.Errorf("%s", text)
		}
	}
}

func TestBindRefuses(t *testing.T) {
	in := arrow.NewSchema([]arrow.Field{{Name: "driver", Type: arrow.PrimitiveTypes.Int64}, {Name: "x", Type: number}}, nil)
	var many []string
	for i := range maxColumns {
		many = append(many, fmt.Sprint("f", i))
	}
	for name, c := range map[string]struct {
		views []View
		full  bool
		kind  fault.Kind
		want  string
	}{
		"no view":       {nil, false, fault.Invalid, "no on-demand feature view is named"},
		"no definition": {[]View{{Name: "v", Outputs: output("y")}}, false, fault.Invalid, `"v": 0 bytes of definition and 1 outputs`},
		"no outputs":    {[]View{{Name: "v", Definition: []byte("d")}}, false, fault.Invalid, `"v": 1 bytes of definition and 0 outputs`},
		"collision with a column": {[]View{{Name: "v", Definition: []byte("d"), Outputs: output("x")}}, false, fault.Invalid,
			`column "x" is an output of on-demand feature view "v" and a column of the joined rows; ask for full feature names`},
		"collision of views": {[]View{{Name: "v", Definition: []byte("d"), Outputs: output("y")}, {Name: "w", Definition: []byte("d"), Outputs: output("y")}}, false,
			fault.Invalid, `column "y" is an output of on-demand feature view "w" and an output of on-demand feature view "v"`},
		"twice the same": {[]View{{Name: "v", Definition: []byte("d"), Outputs: output("y", "y")}}, true, fault.Invalid, `column "v__y"`},
		"long names":     {[]View{{Name: "v", Definition: []byte("d"), Outputs: output(strings.Repeat("x", maxHeader))}}, false, fault.Exhausted, "the names of the outputs"},
		"too many":       {[]View{{Name: "v", Definition: []byte("d"), Outputs: output(many...)}}, false, fault.Exhausted, "at most 10000"},
	} {
		_, err := Bind(in, c.views, c.full)
		if fault.KindOf(err) != c.kind || !strings.Contains(fmt.Sprint(err), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
