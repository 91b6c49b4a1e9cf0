package rowfile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/flightd/flightd/cmd/flightd/internal/cells"
)

// Columns is what is known of the columns of a CSV file before it is read. The others are what their values look like.
type Columns struct {
	Types map[string]Typed
	Time  string // a column that can only be times; "": none
}

// Typed is a type and where it comes from, for messages.
type Typed struct {
	Type arrow.DataType
	Why  string
}

// Records of a CSV file have at most this many rows, and fewer if these are long.
const (
	csvRows  = 64 << 10
	csvBytes = 8 << 20
)

// openCSV reads the file twice: first for the types of its columns, which every value must fit, then for the values. An
// empty value is null.
func openCSV(ctx context.Context, f *os.File, path string, columns func() (Columns, error)) (*Rows, error) {
	l := &lines{path: path, file: f}
	if err := l.rewind(); err != nil {
		return nil, err
	}
	known, err := columns()
	if err != nil {
		return nil, err
	}
	schema, rows, err := l.survey(ctx, known)
	if err != nil {
		return nil, err
	}
	records := func(yield func(arrow.Record, error) bool) {
		if err := l.read(ctx, schema, known, func(rec arrow.Record) bool { return yield(rec, nil) }); err != nil {
			yield(nil, err)
		}
	}
	return &Rows{Schema: schema, Len: rows, Records: records, close: f.Close}, nil
}

// survey finds the types of the columns and counts the rows.
func (l *lines) survey(ctx context.Context, known Columns) (*arrow.Schema, int64, error) {
	guesses := make([]guess, len(l.names))
	fixed := make([]arrow.DataType, len(l.names))
	for i, name := range l.names {
		fixed[i] = csvType(known.Types[name].Type)
	}
	rows := int64(0)
	for ; ; rows++ {
		row, err := l.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil && rows%csvRows == 0 {
			err = ctx.Err()
		}
		if err != nil {
			return nil, 0, err
		}
		for i, value := range row {
			value = strings.TrimSpace(value)
			switch {
			case value == "" || fixed[i] != nil:
			case l.names[i] != known.Time:
				guesses[i].see(value)
			case !guesses[i].time(value):
				return nil, 0, l.bad(i, value, "not a time like 2024-01-31T12:00:00Z (ISO 8601; without an offset it is UTC)")
			}
		}
	}
	fields := make([]arrow.Field, len(l.names))
	for i, name := range l.names {
		t := fixed[i]
		switch {
		case t != nil:
		case name == known.Time:
			t = guesses[i].timestamp()
		default:
			t = guesses[i].typ()
		}
		fields[i] = arrow.Field{Name: name, Type: t, Nullable: true}
	}
	return arrow.NewSchema(fields, nil), rows, nil
}

// read yields the rows as records, from the first row on.
func (l *lines) read(ctx context.Context, schema *arrow.Schema, known Columns, yield func(arrow.Record) bool) error {
	if err := l.rewind(); err != nil {
		return err
	}
	if !slices.EqualFunc(l.names, schema.Fields(), func(name string, f arrow.Field) bool { return name == f.Name }) {
		return fmt.Errorf("%s: the file has changed while it was read", l.path)
	}
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	puts := make([]put, len(l.names))
	for i := range puts {
		puts[i] = putOf(b.Field(i))
	}
	flush := func() bool {
		rec := b.NewRecord()
		defer rec.Release()
		return yield(rec)
	}
	rows, bytes := 0, 0
	for {
		row, err := l.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		for i, value := range row {
			bytes += len(value)
			if err := l.put(i, value, b.Field(i), puts[i], known); err != nil {
				return err
			}
		}
		if rows++; rows == csvRows || bytes > csvBytes {
			if err := ctx.Err(); err != nil {
				return err
			}
			if !flush() {
				return nil
			}
			rows, bytes = 0, 0
		}
	}
	if rows > 0 {
		flush()
	}
	return nil
}

// put appends one value to its column.
func (l *lines) put(i int, value string, b array.Builder, put put, known Columns) error {
	text := b.Type().ID() == arrow.STRING || b.Type().ID() == arrow.BINARY
	if !text {
		value = strings.TrimSpace(value)
	}
	switch {
	case value == "":
		b.AppendNull()
	case text && !utf8.ValidString(value):
		return l.bad(i, value, "not UTF-8; save the file as UTF-8")
	case !put(value):
		why := "not of the type " + cells.TypeName(b.Type())
		if want, ok := known.Types[l.names[i]]; ok { // it may be narrower than what is read
			why = "not of the type " + cells.TypeName(want.Type) + " (" + want.Why + ")"
		}
		return l.bad(i, value, why)
	}
	return nil
}

// bad names the place of a value that cannot be used.
func (l *lines) bad(column int, value, why string) error {
	line, _ := l.csv.FieldPos(column)
	if len(value) > 40 {
		value = strings.ToValidUTF8(value[:40], "") + "…"
	}
	return fmt.Errorf("%s: line %d, column %s: %q is %s", l.path, line, l.names[column], value, why)
}
