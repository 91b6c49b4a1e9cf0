package pit

import (
	"fmt"
	"strings"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
)

// newPart is the line that ends a record and begins the next.
const newPart = "--"

// parseTable reads a header, `name:type, ...`, and rows of cells in its order.
func parseTable(lines []line) (Table, error) {
	if len(lines) == 0 {
		return Table{}, fmt.Errorf("a table needs a header: name:type, name:type")
	}
	var fields []arrow.Field
	for _, cell := range split(lines[0].text) {
		name, kind, _ := strings.Cut(cell, ":")
		t, err := dataType(kind)
		if err != nil {
			return Table{}, fmt.Errorf("line %d: column %q: %w", lines[0].number, name, err)
		}
		fields = append(fields, arrow.Field{Name: name, Type: t, Nullable: true})
	}
	table := Table{Schema: arrow.NewSchema(fields, nil)}
	b := array.NewRecordBuilder(memory.DefaultAllocator, table.Schema)
	defer b.Release()
	rows := 0
	flush := func() {
		if rows > 0 {
			table.Records = append(table.Records, b.NewRecord())
		}
		rows = 0
	}
	for _, l := range lines[1:] {
		if l.text == newPart {
			flush()
			continue
		}
		if err := appendRow(b, fields, split(l.text)); err != nil {
			return Table{}, fmt.Errorf("line %d: %w", l.number, err)
		}
		rows++
	}
	flush()
	return table, nil
}

func appendRow(b *array.RecordBuilder, fields []arrow.Field, cells []string) error {
	if len(cells) != len(fields) {
		return fmt.Errorf("%d cells under a header of %d columns", len(cells), len(fields))
	}
	for i, cell := range cells {
		if err := appendCell(b.Field(i), cell); err != nil {
			return fmt.Errorf("column %q: %w", fields[i].Name, err)
		}
	}
	return nil
}

// split cuts a line at its commas, those in quotes and brackets apart, and trims the pieces.
func split(text string) []string {
	var cells []string
	start, depth, quoted := 0, 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case strings.IndexByte("[(<", c) >= 0:
			depth++
		case strings.IndexByte("])>", c) >= 0:
			depth--
		case c == ',' && depth == 0:
			cells = append(cells, strings.TrimSpace(text[start:i]))
			start = i + 1
		}
	}
	return append(cells, strings.TrimSpace(text[start:]))
}
