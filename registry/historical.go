package registry

import (
	"slices"
	"time"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/flightd/flightd/internal/fault"
	"github.com/flightd/flightd/joins"
	"github.com/flightd/flightd/stores"
	"github.com/flightd/flightd/tickets"
)

// historical is a historical command while its names are looked up.
type historical struct {
	command *tickets.FeastHistorical
	project *project
	uses    map[string]viewAlias // what the first half of a reference means
	groups  []*group
	byUse   map[use]*group
	names   map[*view]map[string]bool // the features of a view
	read    *Read
	columns map[string]string // column of the answer -> what it is
}

// use is a view, or a version of it, under one name.
type use struct {
	viewAlias
	version int
}

// maxUses bounds the uses of views in one command: each is a join of its own.
const maxUses = 1000

// group are the features of one use of a view.
type group struct {
	use
	view  *view
	asked map[string]bool // Features as a set
	stores.ViewFeatures
}

// Historical looks up the names of a historical command. entities are the rows that came beside it; nil if it came without,
// and then the mode says which rows are meant, and now is the end of a range that has none.
func (s *Snapshot) Historical(c *tickets.FeastHistorical, entities *stores.Rows, mode stores.Mode, now time.Time) (*Read, error) {
	if entities == nil && c.EntitySQL != "" {
		return nil, fault.New(fault.Unimplemented, "entity_df_sql: entity rows as SQL are not run here; run the query yourself and give its rows as a data frame")
	}
	p, err := s.lookup(c.Project)
	if err != nil {
		return nil, err
	}
	h := &historical{
		command: c, project: p, uses: make(map[string]viewAlias), columns: make(map[string]string), read: &Read{features: []string{}},
		byUse: make(map[use]*group), names: make(map[*view]map[string]bool),
	}
	if err := h.findUses(); err != nil {
		return nil, err
	}
	for _, ref := range c.FeatureRefs {
		if err := h.reference(ref); err != nil {
			return nil, err
		}
	}
	if err := h.addInputs(); err != nil {
		return nil, err
	}
	h.groups = slices.DeleteFunc(h.groups, func(g *group) bool { return len(g.Features) == 0 }) // of which only keys were asked
	request := &stores.Historical{Entities: entities, FullFeatureNames: c.FullFeatureNames, KnownAt: c.KnownAt}
	if entities != nil {
		if request.Timestamp, err = h.checkEntities(entities.Schema); err != nil {
			return nil, err
		}
		h.read.utc = []string{request.Timestamp}
	} else if err := h.checkRange(request, mode, now); err != nil {
		return nil, err
	}
	for _, g := range h.groups {
		request.Features = append(request.Features, g.ViewFeatures)
		h.read.views = append(h.read.views, source{g.view.feature, g.view.uri})
	}
	h.read.Request = request
	return h.read, nil
}

// findUses learns which views go by which names. All of them must be there, asked for or not.
func (h *historical) findUses() error {
	for i, name := range h.command.FeatureViewNames {
		if h.project.views[name] == nil {
			if _, err := h.project.view(name); err != nil {
				return err
			}
		}
		alias := viewAlias{name, h.command.NameAliases[i]}
		called := alias.alias
		if called == "" {
			called = name
		}
		if other, taken := h.uses[called]; taken && other != alias {
			return fault.New(fault.Invalid, "name_aliases: both feature view %q and feature view %q go by the name %q; give one of them another alias",
				other.view, name, called)
		}
		h.uses[called] = alias
	}
	return nil
}

// reference looks up one feature.
func (h *historical) reference(ref tickets.FeastRef) error {
	alias, named := h.uses[ref.View]
	if !named {
		o, err := h.project.onDemandView(ref.View)
		if err != nil {
			return err
		}
		if o != nil {
			return h.output(o, ref)
		}
		alias = viewAlias{view: ref.View}
	}
	column, err := h.feature(use{alias, ref.Version}, ref.Feature)
	if err != nil || column == "" {
		return err
	}
	h.read.features = append(h.read.features, column)
	return h.claim(column, ref.String())
}

// feature adds a feature of a view to the request and returns the name of its column; "" if that is there anyway: Feast
// lists the keys of some views among their features, and under its own name a key is a column of the entity rows.
func (h *historical) feature(u use, name string) (string, error) {
	v, err := h.project.versioned(u.view, u.version)
	if err != nil {
		return "", err
	}
	isKey := slices.Contains(v.feature.Keys, name)
	if !isKey && !h.has(v, name) {
		return "", unknownFeature(name, u.view, v.feature.Features)
	}
	g, err := h.group(u, v)
	if err != nil {
		return "", err
	}
	if isKey && !h.command.FullFeatureNames {
		return "", nil
	}
	if isKey && !slices.Contains(g.View.Features, name) {
		with := *g.View
		with.Features = append(slices.Clip(with.Features), name)
		g.View = &with
	}
	g.Features, g.asked[name] = append(g.Features, name), true
	return h.column(prefixName(u.view, u.alias, u.version), name), nil
}

func (h *historical) has(v *view, feature string) bool {
	names := h.names[v]
	if names == nil {
		names = setOf(v.feature.Features)
		h.names[v] = names
	}
	return names[feature]
}

// group is where the features of a use go.
func (h *historical) group(u use, v *view) (*group, error) {
	if g := h.byUse[u]; g != nil {
		return g, nil
	}
	if len(h.groups) == maxUses {
		return nil, fault.New(fault.Invalid, "more than %d uses of feature views in one command, where a view counts anew under each name "+
			"(with_name); ask for some of them in a command of their own", maxUses)
	}
	keys, err := h.project.keyMap(u.view, u.alias)
	if err != nil {
		return nil, err
	}
	g := &group{use: u, view: v, asked: make(map[string]bool)}
	g.ViewFeatures = stores.ViewFeatures{View: v.feature, Alias: prefixOf(u.view, u.alias, u.version), JoinKeyMap: keys}
	h.groups, h.byUse[u] = append(h.groups, g), g
	return g, nil
}

func (h *historical) column(view, feature string) string {
	if h.command.FullFeatureNames {
		return view + "__" + feature
	}
	return feature
}

// claim refuses a second column of a name.
func (h *historical) claim(column, what string) error {
	if other, taken := h.columns[column]; taken {
		return collision("Two columns of the answer would be called %s: %s and %s. Ask for full feature names (full_feature_names=True), "+
			"or give one of the views another name (with_name).", short(column), short(other), short(what))
	}
	h.columns[column] = what
	return nil
}

// output adds a feature of an on-demand view.
func (h *historical) output(o *OnDemandView, ref tickets.FeastRef) error {
	switch {
	case ref.Version != noVersion:
		return fault.New(fault.Unimplemented, "%s: versions of on-demand feature views are not served yet", short(ref.String()))
	case o.disabled:
		return fault.New(fault.Precondition, "On demand feature view '%s' is disabled; enable it and apply again", short(o.Name))
	}
	names := fieldNames(arrow.NewSchema(o.Outputs, nil))
	if !slices.Contains(names, ref.Feature) {
		return unknownFeature(ref.Feature, o.Name, names)
	}
	at := slices.IndexFunc(h.read.OnDemand, func(r OnDemandRead) bool { return r.View == o })
	if at < 0 {
		at, h.read.OnDemand = len(h.read.OnDemand), append(h.read.OnDemand, OnDemandRead{View: o})
	}
	column := h.column(ref.View, ref.Feature)
	r := &h.read.OnDemand[at]
	r.Outputs = append(r.Outputs, OnDemandOutput{ref.Feature, column})
	return h.claim(column, ref.String())
}

// addInputs adds the features that on-demand views read and that the request does not name itself. Feast's clients name
// them all.
func (h *historical) addInputs() error {
	for _, o := range h.read.OnDemand {
		for _, in := range o.View.Inputs {
			for _, name := range in.Features {
				u := use{viewAlias{view: in.View}, noVersion}
				if g := h.byUse[u]; g != nil && g.asked[name] {
					continue
				}
				column, err := h.feature(u, name)
				if err != nil {
					return err
				}
				if column == "" {
					continue
				}
				h.read.hidden = append(h.read.hidden, column)
				if err := h.claim(column, "feature "+name+" of "+in.View+", which "+o.View.Name+" reads"); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// checkEntities finds what is wrong with the columns of the entity rows, in Feast's words, and returns the one with the
// event time.
func (h *historical) checkEntities(schema *arrow.Schema) (string, error) {
	at, err := joins.EntityTime(schema, "")
	if err != nil {
		return "", noEventTime()
	}
	if f, _ := schema.FieldsByName(at); !isTime(f[0].Type) {
		return "", notATime(fault.New(fault.Invalid, "column %q is %s", at, f[0].Type))
	}
	wanted, missing := []string{at}, []string{}
	for _, g := range h.groups {
		for _, key := range g.view.feature.Keys {
			if mapped, ok := g.JoinKeyMap[key]; ok {
				key = mapped
			}
			wanted = append(wanted, key)
			if !schema.HasField(key) {
				missing = append(missing, key)
			}
		}
	}
	if len(missing) > 0 {
		return "", missingEntityColumns(wanted, missing)
	}
	for _, o := range h.read.OnDemand {
		for _, f := range o.View.Request {
			if !schema.HasField(f.Name) {
				return "", missingRequestField(f.Name, o.View.Name)
			}
		}
	}
	for _, f := range schema.Fields() {
		if pandasIndex.MatchString(f.Name) {
			continue
		}
		if err := h.claim(f.Name, "a column of the entity rows"); err != nil && h.columns[f.Name] != "a column of the entity rows" {
			return "", err
		}
	}
	return at, nil
}

// isTime reports whether a column of the entity rows may hold event times.
func isTime(t arrow.DataType) bool {
	if d, ok := t.(*arrow.DictionaryType); ok {
		t = d.ValueType
	}
	switch t.ID() {
	case arrow.TIMESTAMP, arrow.DATE32, arrow.DATE64, arrow.STRING, arrow.LARGE_STRING:
		return true
	}
	return false
}

// checkRange fills in the time range of a request without entity rows.
func (h *historical) checkRange(r *stores.Historical, mode stores.Mode, now time.Time) error {
	for _, o := range h.read.OnDemand {
		if len(o.View.Request) > 0 {
			return missingRequestField(o.View.Request[0].Name, o.View.Name)
		}
	}
	if len(h.groups) == 0 {
		return fault.New(fault.Invalid, "without entity rows at least one feature of a feature view is needed")
	}
	r.Mode, r.Window = mode, joins.Window{Start: h.command.Start, End: h.command.End}
	if r.Window.End.IsZero() {
		r.Window.End = now
	}
	if r.Window.Start.After(r.Window.End) {
		return fault.New(fault.Invalid, "start_date: %s is after the end, %s", r.Window.Start.Format(time.RFC3339), r.Window.End.Format(time.RFC3339))
	}
	return nil
}

// onDemandView finds an on-demand view by its name, or by an alias that a service gives it; nil if there is none.
func (p *project) onDemandView(name string) (*OnDemandView, error) {
	if o := p.onDemand[name]; o != nil {
		return o, nil
	}
	var found *OnDemandView
	for key := range p.aliases {
		if o := p.onDemand[key.view]; key.alias == name && o != nil {
			if found != nil && found != o {
				return nil, fault.New(fault.Invalid, "the alias %q means more than one on-demand feature view, in different feature services", short(name))
			}
			found = o
		}
	}
	return found, nil
}
