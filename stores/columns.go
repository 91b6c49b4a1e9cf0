package stores

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/flightd/flightd/internal/fault"
	"github.com/flightd/flightd/internal/nearest"
	"github.com/flightd/flightd/joins"
)

// boundView is a feature view bound to one snapshot of its source: every mapped name has a source column.
type boundView struct {
	*FeatureView
	table    joins.Table
	fields   map[string]arrow.Field // mapped name -> field of the source
	names    []string               // mapped names in source order
	created  string                 // mapped name, "": none
	time     string                 // mapped name
	features []string               // mapped names
}

// bind opens the view's source and finds the columns that the view declares. It reads no rows.
func bind(ctx context.Context, v *FeatureView) (*boundView, error) {
	table, err := openTable(ctx, v.Store, v.Source)
	if errors.Is(err, ErrNoColumns) && v.Schema != nil {
		table, err = emptyTable{v.sourceSchema()}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("feature view %q: %w", v.Name, err)
	}
	b := &boundView{FeatureView: v, table: table, fields: make(map[string]arrow.Field)}
	if err := b.findColumns(table.Schema()); err != nil {
		return nil, fmt.Errorf("feature view %q: %w", v.Name, err)
	}
	return b, joins.CheckView(b.joinView(v.Name, nil))
}

// findColumns applies the field mapping and checks that every declared column is there.
func (b *boundView) findColumns(schema *arrow.Schema) error {
	ambiguous := make(map[string]string)
	for _, f := range schema.Fields() {
		name := f.Name
		if mapped, ok := b.FieldMapping[f.Name]; ok {
			name = mapped
		}
		if other, taken := b.fields[name]; taken {
			ambiguous[name] = other.Name
			continue
		}
		b.fields[name] = f
		b.names = append(b.names, name)
	}
	var err error
	if b.time, err = b.timeColumn("timestamp", b.Timestamp); err != nil {
		return err
	}
	if b.Created != "" {
		if b.created, err = b.timeColumn("created", b.FeatureView.Created); err != nil {
			return err
		}
	}
	for _, key := range b.Keys {
		if _, ok := b.fields[key]; !ok {
			return b.missing("join key", key)
		}
	}
	b.features = b.Features
	if b.features == nil {
		b.features = b.otherColumns()
	}
	for _, f := range b.features {
		if _, ok := b.fields[f]; !ok {
			return b.missing("feature", f)
		}
	}
	for _, name := range slices.Concat(b.Keys, b.features, []string{b.time, b.created}) {
		if other, twice := ambiguous[name]; twice {
			return fault.New(fault.Precondition, "source %s has more than one column that is called %q here (one is %q); "+
				"rename one in the source or by field_mapping", b.Source, name, other)
		}
	}
	return nil
}

// timeColumn finds a time column by its mapped name or, because a mapping may rename times too, by the source's own.
func (b *boundView) timeColumn(role, name string) (string, error) {
	if _, ok := b.fields[name]; ok {
		return name, nil
	}
	if mapped, ok := b.FieldMapping[name]; ok {
		if f, ok := b.fields[mapped]; ok && f.Name == name {
			return mapped, nil
		}
	}
	return "", b.missing(role, name)
}

// otherColumns are the features of a view that does not list them.
func (b *boundView) otherColumns() []string {
	features := []string{}
	for _, name := range b.names {
		if name != b.time && name != b.created && !slices.Contains(b.Keys, name) {
			features = append(features, name)
		}
	}
	return features
}

func (b *boundView) missing(role, name string) error {
	return &fault.Error{Kind: fault.Precondition, Err: &MissingColumnError{Source: b.Source.String(), Role: role, Column: name, Have: b.names}}
}

// pick checks requested features against the declared ones; nil means all of them.
func (b *boundView) pick(requested []string) ([]string, error) {
	if requested == nil {
		return b.features, nil
	}
	if len(requested) == 0 {
		return nil, fault.New(fault.Invalid, "the list of features of %q is empty; leave it out for all of them", b.Name)
	}
	for i, f := range requested {
		if slices.Contains(requested[:i], f) {
			return nil, fault.New(fault.Invalid, "feature %q of %q is requested twice", f, b.Name)
		}
		if !slices.Contains(b.features, f) {
			return nil, fault.New(fault.NotFound, "feature view %q has no feature %s; %s",
				b.Name, nearest.Quote(f), nearest.Hint(f, b.features))
		}
	}
	return requested, nil
}

// column is the source's name of a mapped column.
func (b *boundView) column(name string) string { return b.fields[name].Name }

// joinView describes the bound view to package joins, without features.
func (b *boundView) joinView(name string, joinKeyMap map[string]string) joins.View {
	v := joins.View{Name: name, EventTime: b.column(b.time), TTL: b.TTL, Table: b.table}
	if b.created != "" {
		v.Created = b.column(b.created)
	}
	for _, key := range b.Keys {
		entity := key
		if mapped, ok := joinKeyMap[key]; ok {
			entity = mapped
		}
		v.Keys = append(v.Keys, joins.Key{Entity: entity, Source: b.column(key)})
	}
	return v
}

// pullColumns are the columns of latest and all: keys, features, timestamp, created, each once (semantics P72).
func (b *boundView) pullColumns(requested []string) ([]joins.Feature, error) {
	features, err := b.pick(requested)
	if err != nil {
		return nil, err
	}
	names := slices.Concat(b.Keys, features)
	for _, name := range []string{b.time, b.created} {
		if name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	var columns []joins.Feature
	seen := make(map[string]bool)
	for _, name := range names {
		if !seen[name] {
			seen[name] = true
			columns = append(columns, joins.Feature{Source: b.column(name), Name: name})
		}
	}
	return columns, nil
}
