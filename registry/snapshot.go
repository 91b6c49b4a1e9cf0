package registry

import (
	"cmp"
	"iter"
	"maps"
	"slices"

	"github.com/flightd/flightd/internal/fault"
	"github.com/flightd/flightd/internal/feastpb"
	"github.com/flightd/flightd/stores"
)

// Snapshot is a registry as it was at one moment, every project in it. It does not change; requests that begin later may
// see another one.
type Snapshot struct {
	own      string // the server's project
	absent   error  // why there is no registry; nil: there is one
	projects map[string]*project
	catalog  *stores.Catalog
	opener   *opener

	unsettled map[string]place // sources by URI whose place may change without a word in the registry
}

// project is one project of a registry, by name.
type project struct {
	name     string
	entities map[string]*feastpb.EntitySpecV2
	views    map[string]*view
	onDemand map[string]*OnDemandView
	labels   map[string]bool
	services map[string]*service
	sources  map[string]*dataSource
	located  map[string]*dataSource // by path: unnamed sources, saved datasets, logged features
	aliases  map[viewAlias][]*projection
	versions *versions
	broken   map[kind]map[string]error
}

type viewAlias struct{ view, alias string }

// builder makes a snapshot of objects.
type builder struct {
	opener   *opener
	snapshot *Snapshot
}

// versions indexes the history of a project's views.
func (b *builder) versions(d *definitions) *versions {
	later := &Snapshot{unsettled: make(map[string]place)} // what is made later cannot be watched any more
	vs := &versions{
		records: make(map[viewVersion]*feastpb.FeatureViewVersionRecord), made: make(map[viewVersion]*view),
		builder: &builder{opener: b.opener, snapshot: later},
	}
	for _, r := range d.versions {
		put(vs.records, viewVersion{r.GetFeatureViewName(), int(r.GetVersionNumber())}, r)
	}
	return vs
}

func newSnapshot(o *opener, own string, all *objects) (*Snapshot, error) {
	s := &Snapshot{own: own, projects: make(map[string]*project), opener: o, unsettled: make(map[string]place)}
	b := &builder{opener: o, snapshot: s}
	for name, d := range all.projects {
		s.projects[name] = b.project(name, d)
	}
	var err error
	s.catalog, err = s.nativeCatalog(all.projects[own])
	return s, err
}

// project indexes the objects of a project. Of two with one name the first counts, as for Feast.
func (b *builder) project(name string, d *definitions) *project {
	p := &project{
		name: name, entities: make(map[string]*feastpb.EntitySpecV2), views: make(map[string]*view), onDemand: make(map[string]*OnDemandView),
		labels: make(map[string]bool), services: make(map[string]*service), sources: make(map[string]*dataSource),
		located: make(map[string]*dataSource), aliases: make(map[viewAlias][]*projection),
		broken: make(map[kind]map[string]error),
	}
	p.versions = b.versions(d)
	for _, o := range d.broken {
		if p.broken[o.kind] == nil {
			p.broken[o.kind] = make(map[string]error)
		}
		p.broken[o.kind][o.name] = o.err
	}
	for _, e := range d.entities {
		put(p.entities, e.GetName(), e)
	}
	for _, v := range d.views {
		put(p.views, v.GetName(), b.view(p, specOf(v)))
	}
	for _, v := range d.streams {
		put(p.views, v.GetName(), b.view(p, streamSpecOf(v)))
	}
	for _, v := range d.onDemand {
		put(p.onDemand, v.GetSpec().GetName(), onDemandView(v))
	}
	for _, v := range d.labels {
		p.labels[v.GetName()] = true
	}
	b.locateSources(p, d)
	for _, s := range d.services {
		put(p.services, s.GetName(), b.service(p, s))
	}
	for _, s := range d.services { // in the order of the registry, so that messages are the same each time
		b.addAliases(p, s.GetName())
	}
	return p
}

// locateSources indexes data sources by name and, where clients know them by their path alone, by path.
func (b *builder) locateSources(p *project, d *definitions) {
	for _, s := range d.sources {
		source := b.dataSource(s)
		put(p.sources, source.name, source)
		if s.GetType() == feastpb.DataSource_BATCH_FILE {
			put(p.located, source.uri, source)
		}
	}
	for _, v := range slices.Concat(d.views, parents(d.views)) { // sources that only stand inside of a view
		if s := v.GetBatchSource(); s != nil && p.sources[s.GetName()] == nil {
			source := b.dataSource(s)
			put(p.sources, source.name, source)
		}
	}
	for _, s := range d.datasets {
		if f := s.GetStorage().GetFileStorage(); f != nil {
			put(p.located, f.GetUri(), b.fileAt(s.GetName(), f))
		}
	}
	for _, s := range d.services {
		if f := s.GetLoggingConfig().GetFileDestination(); f != nil {
			put(p.located, f.GetPath(), b.fileAt(f.GetPath(), &feastpb.DataSource_FileOptions{Uri: f.GetPath()}))
		}
	}
}

// parents are the views inside of views.
func parents(views []*feastpb.FeatureViewSpec) (inside []*feastpb.FeatureViewSpec) {
	for _, v := range views {
		inside = append(inside, v.GetSourceViews()...)
	}
	return inside
}

// fileAt is a data source that is nothing but a file.
func (b *builder) fileAt(name string, f *feastpb.DataSource_FileOptions) *dataSource {
	return b.dataSource(&feastpb.DataSource{
		Name: name, Type: feastpb.DataSource_BATCH_FILE, Options: &feastpb.DataSource_FileOptions_{FileOptions: f},
	})
}

func put[K comparable, V any](m map[K]V, key K, value V) {
	if _, taken := m[key]; !taken {
		m[key] = value
	}
}

// sorted ranges over a map in the order of its keys.
func sorted[K cmp.Ordered, V any](m map[K]V) iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		for _, key := range slices.Sorted(maps.Keys(m)) {
			if !yield(key, m[key]) {
				return
			}
		}
	}
}

// Catalog is the server's own project as a catalog. Views that cannot be served are not in it, nor are services that use
// such a view or an on-demand view.
func (s *Snapshot) Catalog() *stores.Catalog { return s.catalog }

// Project is the server's own project.
func (s *Snapshot) Project() string { return s.own }

// Absent says why there is no registry; nil if there is one.
func (s *Snapshot) Absent() error { return s.absent }

func (s *Snapshot) nativeCatalog(d *definitions) (*stores.Catalog, error) {
	if d == nil {
		return stores.NewCatalog(nil, nil)
	}
	p := s.projects[s.own]
	var views []*stores.FeatureView
	listed := make(map[*view]bool)
	add := func(name string) {
		if v := p.views[name]; v.feature != nil && !listed[v] {
			listed[v] = true
			views = append(views, v.feature)
		}
	}
	for _, v := range d.views {
		add(v.GetName())
	}
	for _, v := range d.streams {
		add(v.GetName())
	}
	var services []*stores.FeatureService
	known := make(map[string]bool)
	for _, spec := range d.services {
		if known[spec.GetName()] {
			continue
		}
		known[spec.GetName()] = true
		if served := p.services[spec.GetName()].native(p); served != nil {
			services = append(services, served)
		}
	}
	return stores.NewCatalog(views, services)
}

// Unserved lists the views of the server's project that cannot be served, each with the reason.
func (s *Snapshot) Unserved() iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		p := s.projects[s.own]
		if p == nil {
			return
		}
		for name, v := range sorted(p.views) {
			if v.err != nil && !yield(name, v.err) {
				return
			}
		}
	}
}

// lookup finds a project; one that is not there has nothing in it.
func (s *Snapshot) lookup(name string) (*project, error) {
	if s.absent != nil {
		return nil, s.absent
	}
	if p := s.projects[name]; p != nil {
		return p, nil
	}
	return &project{name: name}, nil
}

// entity finds an entity.
func (p *project) entity(name string) (*feastpb.EntitySpecV2, error) {
	if e := p.entities[name]; e != nil {
		return e, nil
	}
	if err := p.broken[anEntity][name]; err != nil {
		return nil, err
	}
	return nil, unknownEntity(name, p.name)
}

// view finds a view that has rows of its own.
func (p *project) view(name string) (*view, error) {
	switch v := p.views[name]; {
	case v != nil && v.err != nil:
		return nil, v.err
	case v != nil:
		return v, nil
	case p.broken[aView][name] != nil:
		return nil, p.broken[aView][name]
	case p.labels[name]:
		return nil, fault.New(fault.Unimplemented, "%q is a label view; label views are not served yet", short(name))
	}
	return nil, unknownView(name, p.name)
}

// source finds a data source by name, or what a client calls by its path because it has no other name for it.
func (p *project) source(name string) (*dataSource, error) {
	s := p.sources[name]
	if s == nil {
		s = p.located[name]
	}
	switch {
	case s != nil && s.err != nil:
		return nil, s.err
	case s != nil:
		return s, nil
	case p.broken[aSource][name] != nil:
		return nil, p.broken[aSource][name]
	}
	return nil, unknownSource(name, p.name)
}
