package ipcguard

import (
	"slices"
	"strings"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/flightd/flightd/internal/fault"
)

// field is a field of the schema with what arrow.Field lacks for decoding: where its dictionary comes from.
type field struct {
	arrow.Field
	parent   *field
	children []*field
	dict     *dictionary // of a dictionary-encoded field; what is below it is in dict.values
}

// path names a field in messages: its name and those of the fields around it, shortened.
func (f *field) path() string {
	var names []string
	for ; f != nil; f = f.parent {
		name := f.Name
		if len(name) > 40 {
			name = name[:40] + "…"
		}
		names = append(names, name)
	}
	if len(names) > 6 {
		names = append(names[:5], "…", names[len(names)-1])
	}
	slices.Reverse(names)
	return strings.ToValidUTF8(strings.Join(names, "."), "")
}

// schemaDecoder turns a schema message into fields and collects the dictionaries that they refer to.
type schemaDecoder struct {
	fields int
	dicts  map[int64]*dictionary
}

// decode reads a schema. Extension types are never looked up: their storage is read, and their name and parameters stay
// in the field's metadata, where a writer sends them on.
func (d *schemaDecoder) decode(t table) (*arrow.Schema, []*field, error) {
	if endianness := t.i16(0, 0); endianness != 0 {
		return nil, nil, fault.New(fault.Unimplemented, "the rows are big-endian; send little-endian Arrow")
	}
	fields, err := d.children(t.tables(1), nil, 1)
	metadata := metadataOf(t, 2)
	if t.f.err != nil {
		return nil, nil, t.f.err
	}
	if err != nil {
		return nil, nil, err
	}
	return arrow.NewSchema(arrowFields(fields), &metadata), fields, nil
}

func arrowFields(fields []*field) []arrow.Field {
	all := make([]arrow.Field, len(fields))
	for i, f := range fields {
		all[i] = f.Field
	}
	return all
}

func (d *schemaDecoder) children(tables []table, parent *field, depth int) ([]*field, error) {
	if len(tables) > 0 && depth > maxNesting {
		return nil, fault.New(fault.Exhausted, "column %.60q: its type is nested more than %d deep", parent.path(), maxNesting)
	}
	if d.fields += len(tables); d.fields > maxFields {
		return nil, fault.New(fault.Exhausted, "the schema has more than %d fields", maxFields)
	}
	fields := make([]*field, len(tables))
	for i, t := range tables {
		f, err := d.field(t, parent, depth)
		if err != nil {
			return nil, err
		}
		fields[i] = f
	}
	return fields, nil
}

func (d *schemaDecoder) field(t table, parent *field, depth int) (*field, error) {
	f := &field{parent: parent}
	f.Name, f.Nullable, f.Metadata = t.text(0), t.bool(1), metadataOf(t, 6)
	children, err := d.children(t.tables(5), f, depth+1)
	if err != nil {
		return nil, err
	}
	parameters, present := t.sub(3)
	kind := t.u8(2)
	if t.f.err == nil && !present {
		t.f.fail(fault.Invalid, "field %.60q has no type", f.path())
	}
	if t.f.err != nil {
		return nil, t.f.err
	}
	if f.Type, err = typeOf(kind, parameters, children); err != nil {
		return nil, fault.New(fault.KindOf(err), "column %.200q: %w", f.path(), err)
	}
	if t.f.err != nil {
		return nil, t.f.err
	}
	encoding, ok := t.sub(4)
	if !ok {
		f.children = children
		return f, t.f.err
	}
	return f, d.encode(f, encoding, children)
}

// encode makes f a dictionary-encoded field whose values have the type that f had so far.
func (d *schemaDecoder) encode(f *field, encoding table, children []*field) error {
	values := &field{Field: f.Field, parent: f.parent, children: children}
	var index arrow.DataType = arrow.PrimitiveTypes.Int32
	if t, ok := encoding.sub(1); ok {
		var err error
		if index, err = intType(t); err != nil {
			return fault.New(fault.KindOf(err), "column %.200q: the dictionary index: %w", f.path(), err)
		}
	}
	id, ordered := encoding.i64(0), encoding.bool(2)
	if encoding.f.err != nil {
		return encoding.f.err
	}
	f.Type = &arrow.DictionaryType{IndexType: index, ValueType: values.Type, Ordered: ordered}
	if f.dict = d.dicts[id]; f.dict == nil {
		f.dict = &dictionary{id: id, values: values}
		d.dicts[id] = f.dict
	} else if !sameLayout(f.dict.values, values) {
		return fault.New(fault.Invalid, "column %.200q: it shares dictionary %d with a column of another type", f.path(), id)
	}
	return nil
}

// sameLayout reports whether arrays of a can stand for arrays of b.
func sameLayout(a, b *field) bool {
	return a.dict == b.dict && arrow.TypeEqual(a.Type, b.Type) && slices.EqualFunc(a.children, b.children, sameLayout)
}

func metadataOf(t table, slot int) arrow.Metadata {
	var keys, values []string
	for _, pair := range t.tables(slot) {
		keys = append(keys, pair.text(0))
		values = append(values, pair.bytes(1))
	}
	return arrow.NewMetadata(keys, values)
}
