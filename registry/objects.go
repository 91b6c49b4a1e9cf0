package registry

import (
	"google.golang.org/protobuf/proto"

	"github.com/flightd/flightd/internal/fault"
	"github.com/flightd/flightd/internal/feastpb"
)

// objects is everything that a registry holds, by project, wherever it was read.
type objects struct {
	projects map[string]*definitions
}

// definitions are the objects of one project, each kind in the order of the registry.
type definitions struct {
	entities []*feastpb.EntitySpecV2
	views    []*feastpb.FeatureViewSpec
	streams  []*feastpb.StreamFeatureViewSpec
	onDemand []*feastpb.OnDemandFeatureView
	labels   []*feastpb.LabelViewSpec
	services []*feastpb.FeatureServiceSpec
	sources  []*feastpb.DataSource
	datasets []*feastpb.SavedDatasetSpec
	versions []*feastpb.FeatureViewVersionRecord

	broken []brokenObject
}

// brokenObject is one whose bytes are not what they should be. The others of its project are served.
type brokenObject struct {
	kind kind
	name string
	err  error
}

// kind is a namespace of objects: names of feature views are unique among all sorts of views.
type kind string

const (
	aView    kind = "feature view"
	aService kind = "feature service"
	aSource  kind = "data source"
	anEntity kind = "entity"
	anOther  kind = "object" // of no interest when it is broken
)

func (o *objects) project(name string) *definitions {
	if o.projects == nil {
		o.projects = make(map[string]*definitions)
	}
	d := o.projects[name]
	if d == nil {
		d = new(definitions)
		o.projects[name] = d
	}
	return d
}

// empty reports whether nothing has been applied yet. Projects alone are nothing.
func (o *objects) empty() bool {
	for _, d := range o.projects {
		if !d.empty() {
			return false
		}
	}
	return true
}

// empty reports whether the project has no objects. The history of views outlives a project and is none.
func (d *definitions) empty() bool {
	return len(d.entities)+len(d.views)+len(d.streams)+len(d.onDemand)+len(d.labels)+len(d.services)+len(d.sources)+len(d.datasets)+len(d.broken) == 0
}

// objectsOf sorts the contents of a registry file by project.
func objectsOf(r *feastpb.Registry) *objects {
	o := new(objects)
	for _, p := range r.GetProjects() {
		o.project(p.GetSpec().GetName())
	}
	for _, e := range r.GetEntities() {
		d := o.project(e.GetSpec().GetProject())
		d.entities = append(d.entities, e.GetSpec())
	}
	for _, v := range r.GetFeatureViews() {
		d := o.project(v.GetSpec().GetProject())
		d.views = append(d.views, v.GetSpec())
	}
	for _, v := range r.GetStreamFeatureViews() {
		d := o.project(v.GetSpec().GetProject())
		d.streams = append(d.streams, v.GetSpec())
	}
	for _, v := range r.GetOnDemandFeatureViews() {
		d := o.project(v.GetSpec().GetProject())
		d.onDemand = append(d.onDemand, v)
	}
	for _, v := range r.GetLabelViews() {
		d := o.project(v.GetSpec().GetProject())
		d.labels = append(d.labels, v.GetSpec())
	}
	for _, s := range r.GetFeatureServices() {
		d := o.project(s.GetSpec().GetProject())
		d.services = append(d.services, s.GetSpec())
	}
	for _, s := range r.GetDataSources() {
		d := o.project(s.GetProject())
		d.sources = append(d.sources, s)
	}
	for _, s := range r.GetSavedDatasets() {
		d := o.project(s.GetSpec().GetProject())
		d.datasets = append(d.datasets, s.GetSpec())
	}
	for _, v := range r.GetFeatureViewVersionHistory().GetRecords() {
		d := o.project(v.GetProjectId())
		d.versions = append(d.versions, v)
	}
	return o
}

// table is how a registry database keeps one kind of object: a name, a project, and the object's message.
type table struct {
	name   string // of the table
	id     string // column of the object's name
	proto  string // column of its message
	kind   kind
	accept func(d *definitions, message []byte) error
}

// tables are those that an offline server has a use for. Old databases lack some of them.
var tables = []table{
	{"projects", "project_name", "project_proto", anOther, func(*definitions, []byte) error { return nil }},
	{"entities", "entity_name", "entity_proto", anEntity, accept(func(d *definitions, e *feastpb.Entity) {
		d.entities = append(d.entities, e.GetSpec())
	})},
	{"data_sources", "data_source_name", "data_source_proto", aSource, accept(func(d *definitions, s *feastpb.DataSource) {
		d.sources = append(d.sources, s)
	})},
	{"feature_views", "feature_view_name", "feature_view_proto", aView, accept(func(d *definitions, v *feastpb.FeatureView) {
		d.views = append(d.views, v.GetSpec())
	})},
	{"stream_feature_views", "feature_view_name", "feature_view_proto", aView, accept(func(d *definitions, v *feastpb.StreamFeatureView) {
		d.streams = append(d.streams, v.GetSpec())
	})},
	{"on_demand_feature_views", "feature_view_name", "feature_view_proto", aView, accept(func(d *definitions, v *feastpb.OnDemandFeatureView) {
		d.onDemand = append(d.onDemand, v)
	})},
	{"label_views", "feature_view_name", "feature_view_proto", aView, accept(func(d *definitions, v *feastpb.LabelView) {
		d.labels = append(d.labels, v.GetSpec())
	})},
	{"feature_services", "feature_service_name", "feature_service_proto", aService, accept(func(d *definitions, s *feastpb.FeatureService) {
		d.services = append(d.services, s.GetSpec())
	})},
	{"saved_datasets", "saved_dataset_name", "saved_dataset_proto", anOther, accept(func(d *definitions, s *feastpb.SavedDataset) {
		d.datasets = append(d.datasets, s.GetSpec())
	})},
}

// message is a pointer to a message type.
type message[T any] interface {
	*T
	proto.Message
}

// accept makes the reader of a table's messages.
func accept[T any, M message[T]](add func(*definitions, M)) func(*definitions, []byte) error {
	return func(d *definitions, data []byte) error {
		m := M(new(T))
		if err := proto.Unmarshal(data, m); err != nil {
			return err
		}
		add(d, m)
		return nil
	}
}

// add takes a row of a table. A message that cannot be read is remembered under its name.
func (o *objects) add(t table, project, name string, data []byte) {
	d := o.project(project)
	if err := t.accept(d, data); err != nil {
		d.broken = append(d.broken, brokenObject{t.kind, name, fault.New(fault.DataLoss, "%s %q of project %q is broken in the registry: %v", t.kind, name, project, err)})
	}
}
