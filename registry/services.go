package registry

import (
	"maps"
	"slices"
	"strings"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/flightd/flightd/internal/fault"
	"github.com/flightd/flightd/internal/feastpb"
	"github.com/flightd/flightd/stores"
)

// service is a feature service.
type service struct {
	name        string
	projections []*projection
	log         *stores.LogTarget
	logURI      string
	logErr      error // why logged features cannot go anywhere; log is nil then
}

// projection is a view as a service uses it.
type projection struct {
	service  string
	view     string
	alias    string // "": none
	version  int    // -1: the promoted one
	keys     map[string]string
	features []*feastpb.FeatureSpecV2
}

// noVersion stands for the promoted version of a view.
const noVersion = -1

func (b *builder) service(p *project, spec *feastpb.FeatureServiceSpec) *service {
	s := &service{name: spec.GetName()}
	for _, f := range spec.GetFeatures() {
		at := &projection{
			service: s.name, view: f.GetFeatureViewName(), alias: f.GetFeatureViewNameAlias(), version: noVersion,
			keys: f.GetJoinKeyMap(), features: f.GetFeatureColumns(),
		}
		if f.VersionTag != nil {
			at.version = int(f.GetVersionTag())
		}
		s.projections = append(s.projections, at)
	}
	s.log, s.logURI, s.logErr = b.logTarget(p, s.name, spec.GetLoggingConfig())
	return s
}

// logDate is the column of logged features that is the date of another one, the time of logging.
const logDate = "__log_date"

// logTarget finds where the logged features of a service go.
func (b *builder) logTarget(p *project, service string, c *feastpb.LoggingConfig) (*stores.LogTarget, string, error) {
	if c.GetDestination() == nil {
		return nil, "", fault.New(fault.Precondition, "feature service %q must have logging_config set: its logged features have nowhere to go", service)
	}
	f := c.GetFileDestination()
	if f == nil {
		message := c.ProtoReflect()
		kind := strings.TrimSuffix(string(message.WhichOneof(message.Descriptor().Oneofs().ByName("destination")).Name()), "_destination")
		return nil, "", fault.New(fault.Unimplemented, "feature service %q logs to a destination of type %s, which is not served yet; files are", service, kind)
	}
	d := p.located[f.GetPath()]
	if d.err != nil {
		return nil, "", fault.New(fault.KindOf(d.err), "feature service %q: its logging destination: %w", service, d.err)
	}
	target := &stores.LogTarget{Store: d.store, Destination: d.source.String()}
	if slices.Contains(f.GetPartitionBy(), logDate) {
		target.Derived = []string{logDate} // Feast keeps the columns of partition_by in names of folders alone
	}
	return target, f.GetPath(), nil
}

// addAliases remembers the aliases that a service gives to views.
func (b *builder) addAliases(p *project, name string) {
	for _, at := range p.services[name].projections {
		key := viewAlias{at.view, at.alias}
		if at.alias != "" && !slices.Contains(p.aliases[key], at) {
			p.aliases[key] = append(p.aliases[key], at)
		}
	}
}

// keyMap is the join key map of a view under an alias. The alias travels without the service that it is of, so all
// services that use it must mean the same.
func (p *project) keyMap(view, alias string) (map[string]string, error) {
	var first *projection
	for _, at := range p.aliases[viewAlias{view, alias}] {
		if first == nil {
			first = at
			continue
		}
		if !maps.Equal(first.keys, at.keys) {
			return nil, fault.New(fault.Invalid, "feature view %q has the alias %q with one join key map in feature service %q and with another in %q; "+
				"which is meant cannot be known: give one of them another alias", view, alias, first.service, at.service)
		}
	}
	if first == nil {
		return nil, nil // an alias that no service has is a prefix and no more
	}
	return first.keys, nil
}

// service finds a feature service.
func (p *project) service(name string) (*service, error) {
	if s := p.services[name]; s != nil {
		return s, nil
	}
	if err := p.broken[aService][name]; err != nil {
		return nil, err
	}
	return nil, unknownService(name, p.name)
}

// native is the service as our own tickets use it; nil if a part of it cannot be served.
func (s *service) native(p *project) *stores.FeatureService {
	f := &stores.FeatureService{Name: s.name, Log: s.log}
	for _, at := range s.projections {
		v, err := p.versioned(at.view, at.version)
		if now := p.views[at.view]; err != nil || now == nil || now.feature == nil {
			return nil
		}
		features := []string{}
		for _, feature := range at.features {
			if !slices.Contains(v.feature.Features, feature.GetName()) {
				return nil
			}
			features = append(features, feature.GetName())
			f.Features = append(f.Features, stores.FeatureRef{View: at.view, Feature: feature.GetName()})
		}
		f.Projections = append(f.Projections, stores.ViewFeatures{View: v.feature, Alias: at.prefix(), JoinKeyMap: at.keys, Features: features})
	}
	if len(f.Projections) == 0 {
		return nil
	}
	return f
}

// prefix is what stands for the view in full feature names; "": its own name.
func (at *projection) prefix() string { return prefixOf(at.view, at.alias, at.version) }

// logSchema is the schema of the logged features of a service, as Feast's clients make them.
func (s *service) logSchema(p *project) *arrow.Schema {
	var fields []arrow.Field
	at := make(map[string]int)
	add := func(name string, t arrow.DataType) { // a key that two views share stands once
		if i, known := at[name]; known {
			fields[i].Type = t
			return
		}
		at[name] = len(fields)
		fields = append(fields, arrow.Field{Name: name, Type: t, Nullable: true})
	}
	for _, use := range s.projections {
		for _, f := range p.logKeys(use) {
			add(f.Name, logType(f.Type))
		}
		for _, f := range use.features {
			name := prefixName(use.view, use.alias, use.version) + "__" + f.GetName()
			add(name, logType(fieldType(f)))
			add(name+"__timestamp", &arrow.TimestampType{Unit: arrow.Second, TimeZone: "UTC"})
			add(name+"__status", arrow.PrimitiveTypes.Int32)
		}
	}
	add("__log_timestamp", utcMicros)
	add(logDate, arrow.FixedWidthTypes.Date32)
	add("__request_id", arrow.BinaryTypes.String)
	return arrow.NewSchema(fields, nil)
}

// logKeys are the columns of the log that say what was asked for: join keys, or the fields of an on-demand view's requests.
func (p *project) logKeys(use *projection) []arrow.Field {
	if v := p.onDemand[use.view]; v != nil {
		return v.Request
	}
	v := p.views[use.view]
	if v == nil || v.feature == nil {
		return nil
	}
	var fields []arrow.Field
	for _, key := range v.feature.Keys {
		name := key
		if mapped, ok := use.keys[key]; ok {
			name = mapped
		}
		fields = append(fields, arrow.Field{Name: name, Type: v.fields[key], Nullable: true})
	}
	return fields
}

// logType is the type that a declared type has in a log, where Feast writes times in seconds.
func logType(t arrow.DataType) arrow.DataType {
	switch t := t.(type) {
	case nil:
		return arrow.BinaryTypes.String
	case *arrow.TimestampType:
		return &arrow.TimestampType{Unit: arrow.Second}
	case *arrow.ListType:
		return arrow.ListOf(logType(t.Elem()))
	}
	return t
}
