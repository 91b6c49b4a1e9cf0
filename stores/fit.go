package stores

import (
	"context"
	"errors"
	"iter"
	"regexp"
	"slices"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"github.com/flightd/flightd/internal/cast"
	"github.com/flightd/flightd/internal/fault"
	"github.com/flightd/flightd/internal/nearest"
)

// fitting makes records of a source's columns out of records that a client sent.
type fitting struct {
	schema  *arrow.Schema
	from    []int // for each column of schema: the client's column
	options WriteOptions
}

// indexColumn is the name of an unnamed index that pandas adds to a table. It is nobody's column.
var indexColumn = regexp.MustCompile(`^__index_level_\d+__$`)

// viewNames knows the two names of each column of a view.
type viewNames struct {
	view    *FeatureView
	options WriteOptions
}

// fit finds the columns of a source among those of a client.
func (n viewNames) fit(have, sent *arrow.Schema) (*fitting, error) {
	mapped := make([]string, len(have.Fields()))
	for i, f := range have.Fields() {
		mapped[i] = f.Name
		if name, ok := n.view.FieldMapping[f.Name]; ok {
			mapped[i] = name
		}
	}
	return fitColumns(have, sent, mapped, n.options)
}

// first is fit for a source that has no columns yet: those of the rows, under the source's names. What the view declares
// must be among them, and nothing else if it lists its features.
func (n viewNames) first(sent *arrow.Schema) (*fitting, error) {
	back := make(map[string]string)
	for source, name := range n.view.FieldMapping {
		back[name] = source
	}
	f := &fitting{options: n.options}
	var fields []arrow.Field
	var names []string
	for i, field := range sent.Fields() {
		if indexColumn.MatchString(field.Name) {
			continue
		}
		name := field.Name
		if mapped, ok := n.view.FieldMapping[name]; ok {
			name = mapped
		}
		if source, ok := back[name]; ok {
			field.Name = source
		}
		fields, names, f.from = append(fields, field), append(names, name), append(f.from, i)
	}
	f.schema = arrow.NewSchema(fields, nil)
	return f, n.declared(names, fields)
}

// declared checks the columns of a new source, by mapped name.
func (n viewNames) declared(names []string, fields []arrow.Field) error {
	v := n.view
	time := func(name string) string {
		if mapped, ok := v.FieldMapping[name]; ok && !slices.Contains(names, name) {
			return mapped
		}
		return name
	}
	want := append(slices.Concat(v.Keys, v.Features), time(v.Timestamp))
	if v.Created != "" {
		want = append(want, time(v.Created))
	}
	for _, name := range want {
		if !slices.Contains(names, name) {
			return fault.New(fault.Invalid, "column %q of the view is missing; %s", name, nearest.Hint(name, names))
		}
	}
	for i, name := range names {
		if slices.Contains(names[:i], name) {
			return fault.New(fault.Invalid, "two columns are called %s", nearest.Quote(name))
		}
		if v.Features != nil && !slices.Contains(want, name) {
			return fault.New(fault.Invalid, "the view has no column %s; %s", nearest.Quote(name), nearest.Hint(name, want))
		}
	}
	at := fields[slices.Index(names, time(v.Timestamp))]
	switch at.Type.ID() {
	case arrow.TIMESTAMP, arrow.DATE32, arrow.DATE64:
		return nil
	}
	return fault.New(fault.Invalid, "column %q is %s; the event time is a timestamp or a date", at.Name, at.Type)
}

// fitColumns finds columns under their own names or under others: all under the one or all under the other kind of name, if
// the options do not say that they may be mixed.
func fitColumns(have, sent *arrow.Schema, others []string, opt WriteOptions) (*fitting, error) {
	own := make([]string, len(have.Fields()))
	for i, f := range have.Fields() {
		own[i] = f.Name
	}
	if others == nil {
		others = own
	}
	f := &fitting{schema: have, options: opt}
	var err error
	for _, names := range [][]string{others, own} {
		if f.from, err = findColumns(sent, names, nil, opt.derived); err == nil {
			return f, f.castable(sent)
		}
	}
	if opt.MixedNames {
		if f.from, err = findColumns(sent, others, own, opt.derived); err == nil {
			return f, f.castable(sent)
		}
	}
	return nil, err
}

// findColumns is where each of the named columns is among those that were sent: under that name or under its second one.
// There are no others, except those that may be left out.
func findColumns(sent *arrow.Schema, names, second, optional []string) ([]int, error) {
	at, used := make([]int, len(names)), make(map[int]bool)
	var sentNames []string
	for _, f := range sent.Fields() {
		sentNames = append(sentNames, f.Name)
	}
	for i, name := range names {
		found := sent.FieldIndices(name)
		if second != nil && second[i] != name {
			found = slices.Concat(found, sent.FieldIndices(second[i]))
		}
		switch {
		case len(found) == 0:
			return nil, fault.New(fault.Invalid, "column %q is missing; %s", name, nearest.Hint(name, sentNames))
		case len(found) > 1 || used[found[0]]:
			return nil, fault.New(fault.Invalid, "column %q is there twice", name)
		}
		at[i], used[found[0]] = found[0], true
	}
	for i, name := range sentNames {
		if !used[i] && !indexColumn.MatchString(name) && !slices.Contains(optional, name) {
			return nil, fault.New(fault.Invalid, "the source has no column %s; %s", nearest.Quote(name), nearest.Hint(name, names))
		}
	}
	return at, nil
}

// castable checks the kinds of types before a row is read.
func (f *fitting) castable(sent *arrow.Schema) error {
	for i, at := range f.from {
		if from, to := sent.Field(at).Type, f.schema.Field(i).Type; !arrow.TypeEqual(from, to) && !cast.Possible(from, to) {
			return fault.New(fault.Invalid, "column %q is %s, and %s in the source; types are cast within a kind only (numbers, times, text)",
				sent.Field(at).Name, from, to)
		}
	}
	return nil
}

// rows are the client's rows as rows of the source.
func (f *fitting) rows(ctx context.Context, sent Rows) Rows {
	return Rows{Schema: f.schema, Len: sent.Len, Records: f.records(ctx, sent)}
}

func (f *fitting) records(ctx context.Context, sent Rows) iter.Seq2[arrow.Record, error] {
	return func(yield func(arrow.Record, error) bool) {
		var before int64
		for rec, err := range sent.Records {
			if err != nil {
				yield(nil, err)
				return
			}
			if !f.pieces(ctx, rec, before, yield) {
				return
			}
			before += rec.NumRows()
		}
	}
}

// The size of the records that are made: a value takes more memory in another type, and a null or an entry of a dictionary
// far more than it did on its way here.
const (
	pieceRows  = 4096
	pieceBytes = 4 << 20
)

// pieces makes the rows of one record. It returns false when there is no more to do.
func (f *fitting) pieces(ctx context.Context, rec arrow.Record, before int64, yield func(arrow.Record, error) bool) bool {
	most := int64(pieceRows)
	if !f.casts(rec) {
		most = rec.NumRows()
	}
	for lo := int64(0); lo < rec.NumRows(); {
		n := min(most, rec.NumRows()-lo)
		piece := rec.NewSlice(lo, lo+n)
		for n > 1 && f.bytes(piece) > pieceBytes {
			piece.Release()
			n /= 2
			piece = rec.NewSlice(lo, lo+n)
		}
		more, err := f.piece(ctx, piece, before+lo, yield)
		piece.Release()
		if err != nil {
			yield(nil, err)
		}
		if err != nil || !more {
			return false
		}
		lo += n
	}
	return true
}

// piece makes the rows of a piece; those before come to before. A single row that takes more than a piece should is reserved,
// and as much again, for what is built moves when it grows.
func (f *fitting) piece(ctx context.Context, piece arrow.Record, before int64, yield func(arrow.Record, error) bool) (more bool, err error) {
	if bytes := 2 * f.bytes(piece); bytes > 2*pieceBytes && f.options.Budget != nil {
		if err := f.options.Budget.Reserve(ctx, bytes); err != nil {
			return false, err
		}
		defer f.options.Budget.Release(bytes)
	}
	made, err := f.record(piece, before)
	if err != nil {
		return false, err
	}
	defer made.Release()
	return yield(made, nil), nil
}

// casts reports whether a column of a record has another type than it is to have.
func (f *fitting) casts(rec arrow.Record) bool {
	for i, at := range f.from {
		if !arrow.TypeEqual(rec.Column(at).DataType(), f.schema.Field(i).Type) {
			return true
		}
	}
	return false
}

// bytes is what the columns of a record take when they have been cast.
func (f *fitting) bytes(rec arrow.Record) (n int64) {
	for i, at := range f.from {
		if col := rec.Column(at); !arrow.TypeEqual(col.DataType(), f.schema.Field(i).Type) {
			n += cast.Bytes(col, f.schema.Field(i).Type)
		}
	}
	return n
}

// record makes one record, which is the caller's; before is the number of rows that came before it.
func (f *fitting) record(rec arrow.Record, before int64) (arrow.Record, error) {
	columns := make([]arrow.Array, 0, len(f.from))
	defer func() {
		for _, c := range columns {
			c.Release()
		}
	}()
	for i, at := range f.from {
		to := f.schema.Field(i).Type
		column, err := cast.Array(rec.Column(at), to, cast.Options{RoundFloats: f.options.RoundFloats})
		var bad *cast.Error
		if errors.As(err, &bad) {
			return nil, fault.New(fault.Invalid, "column %q, row %d: %s (%s) %s as %s, which the source has",
				rec.Schema().Field(at).Name, before+int64(bad.Row)+1, bad.Value, rec.Column(at).DataType(), bad.Reason, to)
		}
		if err != nil {
			return nil, fault.New(fault.Invalid, "column %q: %w", rec.Schema().Field(at).Name, err)
		}
		columns = append(columns, column)
	}
	return array.NewRecord(f.schema, columns, rec.NumRows()), nil
}
