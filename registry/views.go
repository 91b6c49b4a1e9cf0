package registry

import (
	"math"
	"slices"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/flightd/flightd/internal/fault"
	"github.com/flightd/flightd/internal/feastpb"
	"github.com/flightd/flightd/stores"
)

// Feast's stand-in for the entity of views that have none.
const (
	dummyEntity = "__dummy"
	dummyKey    = "__dummy_id"
)

// view is a feature view, batch feature view or stream feature view.
type view struct {
	name    string
	project string
	uri     string // of the source, for messages
	feature *stores.FeatureView
	fields  map[string]arrow.DataType // of features and keys, as declared; a nil type is not known
	err     error                     // why it cannot be read; feature is nil then
}

// viewSpec is what the messages of the different sorts of views have in common.
type viewSpec struct {
	name     string
	project  string // "": that of the registry's table
	entities []string
	features []*feastpb.FeatureSpecV2
	keys     []*feastpb.FeatureSpecV2
	ttl      *durationpb.Duration
	source   *feastpb.DataSource
	disabled bool
}

func specOf(s *feastpb.FeatureViewSpec) viewSpec {
	source := s.GetBatchSource()
	for parent := s; source == nil && len(parent.GetSourceViews()) > 0; { // derived, and nothing is kept of its own
		parent = parent.GetSourceViews()[0]
		source = parent.GetBatchSource()
	}
	return viewSpec{
		name: s.GetName(), entities: s.GetEntities(), features: s.GetFeatures(), keys: s.GetEntityColumns(), ttl: s.GetTtl(),
		source: source, disabled: s.GetDisabled(),
	}
}

func streamSpecOf(s *feastpb.StreamFeatureViewSpec) viewSpec {
	source := s.GetBatchSource()
	if source == nil {
		source = s.GetStreamSource()
	}
	return viewSpec{
		name: s.GetName(), entities: s.GetEntities(), features: s.GetFeatures(), keys: s.GetEntityColumns(), ttl: s.GetTtl(),
		source: source, disabled: s.GetDisabled(),
	}
}

// view makes a view of its message. A view that cannot be served is one with an error, which its name then gives.
func (b *builder) view(p *project, s viewSpec) *view {
	v := &view{name: s.name, project: p.name, fields: make(map[string]arrow.DataType)}
	v.feature, v.err = b.featureView(p, v, s)
	if v.err != nil {
		v.feature = nil
	}
	return v
}

func (b *builder) featureView(p *project, v *view, s viewSpec) (*stores.FeatureView, error) {
	for _, f := range s.features {
		v.fields[f.GetName()] = fieldType(f)
	}
	keys, err := b.joinKeys(p, v, s)
	if err != nil {
		return nil, err
	}
	ttl, err := ttlOf(s.ttl)
	switch {
	case s.disabled:
		return nil, fault.New(fault.Precondition, "Feature view '%s' is disabled; enable it and apply again", short(s.name))
	case err != nil:
		return nil, fault.New(fault.Precondition, "feature view %q: %w", s.name, err)
	case s.source == nil:
		return nil, fault.New(fault.Precondition, "feature view %q has no batch source, so its history is nowhere", s.name)
	}
	source := b.dataSource(s.source)
	v.uri = source.uri
	batch := batchOf(s.source)
	switch {
	case source.err != nil:
		return nil, fault.New(fault.KindOf(source.err), "feature view %q: %w", s.name, source.err)
	case batch.GetTimestampField() == "":
		return nil, fault.New(fault.Precondition, "feature view %q: its data source %q has no timestamp field", s.name, source.name)
	}
	f := &stores.FeatureView{
		Name: s.name, Keys: keys, Timestamp: batch.GetTimestampField(), Created: batch.GetCreatedTimestampColumn(), TTL: ttl,
		Features: []string{}, FieldMapping: batch.GetFieldMapping(), Store: source.store, Source: source.source,
	}
	for _, field := range s.features {
		if !slices.Contains(keys, field.GetName()) { // Feast lists the keys of stream feature views here, too
			f.Features = append(f.Features, field.GetName())
		}
	}
	f.Schema = v.schema(f)
	return f, nil
}

// joinKeys are the columns that identify a row. Registries from before they were written down have the entities' instead.
func (b *builder) joinKeys(p *project, v *view, s viewSpec) ([]string, error) {
	keys := []string{}
	for _, column := range s.keys {
		if column.GetName() != dummyKey {
			keys = append(keys, column.GetName())
			v.fields[column.GetName()] = fieldType(column)
		}
	}
	if len(keys) > 0 {
		return keys, nil
	}
	for _, name := range s.entities {
		if name == dummyEntity {
			continue
		}
		e, err := p.entity(name)
		if err != nil {
			return nil, err
		}
		key := e.GetJoinKey()
		if key == "" {
			key = name
		}
		keys = append(keys, key)
		v.fields[key] = valueType(e.GetValueType())
	}
	return keys, nil
}

// ttlOf is how long a value holds; what is longer than Go can say holds that long.
func ttlOf(d *durationpb.Duration) (time.Duration, error) {
	const most = math.MaxInt64 / int64(time.Second)
	switch {
	case d.GetSeconds() < 0 || d.GetNanos() < 0:
		return 0, fault.New(fault.Precondition, "its ttl is negative")
	case d.GetSeconds() >= most:
		return math.MaxInt64, nil
	}
	return d.AsDuration(), nil
}

// schema is what the view says about its columns: keys, features, and times. Columns whose type is not known are left out.
func (v *view) schema(f *stores.FeatureView) *arrow.Schema {
	mapped := func(column string) string {
		if name, ok := f.FieldMapping[column]; ok {
			return name
		}
		return column
	}
	var fields []arrow.Field
	add := func(name string, t arrow.DataType) {
		known := slices.ContainsFunc(fields, func(f arrow.Field) bool { return f.Name == name })
		if t != nil && !known {
			fields = append(fields, arrow.Field{Name: name, Type: t, Nullable: true})
		}
	}
	for _, name := range slices.Concat(f.Keys, f.Features) {
		add(name, v.fields[name])
	}
	add(mapped(f.Timestamp), utcMicros)
	if f.Created != "" {
		add(mapped(f.Created), utcMicros)
	}
	return arrow.NewSchema(fields, nil)
}
