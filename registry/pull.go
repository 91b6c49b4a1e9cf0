package registry

import (
	"cmp"
	"slices"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/flightd/flightd/joins"
	"github.com/flightd/flightd/stores"
	"github.com/flightd/flightd/tickets"
)

// Pull looks up the source of a pull command: the latest rows of its keys, or all rows (semantics P72 to P76). Column names
// are the source's own, so the view that is made of them has no field mapping.
func (s *Snapshot) Pull(c *tickets.FeastPull, latest bool) (*Read, error) {
	p, err := s.lookup(s.own)
	if err != nil {
		return nil, err
	}
	d, err := p.source(c.DataSourceName)
	if err != nil {
		return nil, err
	}
	v := &stores.FeatureView{
		Name: d.name, Keys: distinct(c.JoinKeyColumns), Timestamp: c.TimestampField, Created: c.CreatedTimestampColumn,
		Features: distinct(c.FeatureNameColumns), Store: d.store, Source: d.source, Schema: p.rawSchema(d),
	}
	everything := len(v.Features) == 0
	if everything {
		v.Features = nil
	}
	r := &Read{views: []source{{v, d.uri}}, utc: []string{v.Timestamp, v.Created}, keys: v.Keys}
	window := joins.Window{Start: c.Start, End: c.End}
	switch {
	case len(v.Keys) == 0: // nothing tells one row from another, so none is left out
		r.Request, r.blank = &stores.All{View: v, Window: window, SourceOrder: everything}, dummyKey
	case latest:
		r.Request = &stores.Latest{View: v, Window: window, SourceOrder: everything}
	default:
		r.Request = &stores.All{View: v, Window: window, SourceOrder: everything}
	}
	return r, nil
}

// distinct leaves out what was said before.
func distinct(names []string) []string {
	once := make([]string, 0, len(names))
	seen := make(map[string]bool, len(names))
	for _, name := range names {
		if !seen[name] {
			seen[name] = true
			once = append(once, name)
		}
	}
	return once
}

// rawSchema is what a view says about the columns of a source, under the names that they have there; nil if no view does.
func (p *project) rawSchema(d *dataSource) *arrow.Schema {
	for _, v := range sorted(p.views) {
		if v.feature == nil || v.uri != d.uri || d.uri == "" {
			continue
		}
		fields := slices.Clone(v.feature.Schema.Fields())
		own := make(map[string]string) // two names may be exchanged, so each column is renamed once
		for from, to := range v.feature.FieldMapping {
			own[to] = from
		}
		for i := range fields {
			fields[i].Name = cmp.Or(own[fields[i].Name], fields[i].Name)
		}
		return arrow.NewSchema(fields, nil)
	}
	return nil
}
