package filestore

import (
	"slices"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/flightd/flightd/internal/fault"
	"github.com/flightd/flightd/internal/nearest"
)

// layout is the schema that the files of a table have together, and where each of its columns is in each file.
type layout struct {
	schema  *arrow.Schema
	index   map[string]int // column of schema by name
	columns [][]int        // for each file and column of schema: the file's column; notInFile
	folders []*partitionColumn
	from    []string // for each column of schema: a file that has it with this type
}

// notInFile marks a column that a file does not have: it is null there, or comes from the folder.
const notInFile = -1

// unify makes one schema of those of all files (semantics P87): columns in the order in which they are first met, then
// the folders' (P86). Which column is null in some file is nobody's business, so every one may be null.
func unify(files []openFile) (*layout, error) {
	l := &layout{index: make(map[string]int), columns: make([][]int, len(files))}
	var fields []arrow.Field
	for i, f := range files {
		if i > 0 && sameFields(f.schema, files[i-1].schema) { // parts of one writer, of which there may be many
			l.columns[i] = l.columns[i-1]
			continue
		}
		var err error
		if fields, err = l.add(fields, i, f.file); err != nil {
			return nil, err
		}
	}
	for _, c := range partitionColumns(files) {
		if _, ok := l.index[c.name]; ok {
			continue
		}
		l.index[c.name] = len(fields)
		fields = append(fields, arrow.Field{Name: c.name, Type: c.typ, Nullable: true})
		l.folders = append(l.folders, c)
	}
	for i, columns := range l.columns {
		if missing := len(fields) - len(columns); missing > 0 {
			l.columns[i] = slices.Concat(columns, slices.Repeat([]int{notInFile}, missing))
		}
	}
	l.schema = arrow.NewSchema(fields, nil)
	return l, nil
}

// sameFields says whether two files have the same columns in the same order.
func sameFields(a, b *arrow.Schema) bool {
	return a == b || slices.EqualFunc(a.Fields(), b.Fields(), func(a, b arrow.Field) bool { return a.Name == b.Name && arrow.TypeEqual(a.Type, b.Type) })
}

// add merges the columns of one more file into fields.
func (l *layout) add(fields []arrow.Field, i int, f *file) ([]arrow.Field, error) {
	columns := slices.Repeat([]int{notInFile}, len(fields))
	for j, field := range f.footer.Schema().Fields() {
		at, known := l.index[field.Name]
		if known && columns[at] != notInFile {
			return nil, fault.New(fault.Precondition, "%q has two columns called %s", f.path, nearest.Quote(field.Name))
		}
		if !known {
			at = len(fields)
			l.index[field.Name] = at
			fields = append(fields, arrow.Field{Name: field.Name, Type: field.Type, Nullable: true})
			l.from = append(l.from, f.path)
			columns = append(columns, notInFile)
		}
		columns[at] = j
		typ, ok := wider(fields[at].Type, field.Type)
		if !ok {
			return nil, fault.New(fault.Precondition, "column %s is %s in %q and %s in %q; the files of a source must agree on it",
				nearest.Quote(field.Name), fields[at].Type, l.from[at], field.Type, f.path)
		}
		if !arrow.TypeEqual(typ, fields[at].Type) {
			fields[at].Type, l.from[at] = typ, f.path
		}
	}
	l.columns[i] = columns
	return fields, nil
}

// wider is the type that holds every value of both; not ok if there is none that the rules allow.
func wider(a, b arrow.DataType) (arrow.DataType, bool) {
	switch {
	case arrow.TypeEqual(a, b):
		return a, true
	case a.ID() == arrow.NULL:
		return b, true
	case converts(a, b):
		return b, true
	case converts(b, a):
		return a, true
	}
	return sameShape(a, b)
}

// converts says whether every value of one type is one of another that is wider, and convert can make it so.
func converts(from, to arrow.DataType) bool {
	if from.ID() == arrow.NULL {
		return true
	}
	switch to := to.(type) {
	case *arrow.TimestampType:
		from, ok := from.(*arrow.TimestampType)
		return ok && from.TimeZone == to.TimeZone && from.Unit <= to.Unit
	case *arrow.DurationType:
		from, ok := from.(*arrow.DurationType)
		return ok && from.Unit <= to.Unit
	case *arrow.Float64Type:
		return from.ID() == arrow.FLOAT32
	case *arrow.LargeStringType:
		return from.ID() == arrow.STRING
	case *arrow.LargeBinaryType:
		return from.ID() == arrow.BINARY
	}
	if fromUnit, ok := timeUnit(from); ok {
		toUnit, ok := timeUnit(to)
		return ok && fromUnit <= toUnit
	}
	if !arrow.IsInteger(from.ID()) || !arrow.IsInteger(to.ID()) {
		return false
	}
	fromBits, toBits := from.(arrow.FixedWidthDataType).BitWidth(), to.(arrow.FixedWidthDataType).BitWidth()
	sameSign := arrow.IsSignedInteger(from.ID()) == arrow.IsSignedInteger(to.ID())
	return fromBits < toBits && (sameSign || arrow.IsSignedInteger(to.ID()))
}

// timeUnit is the unit of a time of day.
func timeUnit(t arrow.DataType) (arrow.TimeUnit, bool) {
	switch t := t.(type) {
	case *arrow.Time32Type:
		return t.Unit, true
	case *arrow.Time64Type:
		return t.Unit, true
	}
	return 0, false
}

// noColumn is the error for a column that is not in the schema.
func (l *layout) noColumn(name string) error {
	names := make([]string, len(l.schema.Fields()))
	for i, f := range l.schema.Fields() {
		names[i] = f.Name
	}
	return fault.New(fault.Precondition, "no column %s; %s", nearest.Quote(name), nearest.Hint(name, names))
}
