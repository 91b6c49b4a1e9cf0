package stores

import (
	"github.com/flightd/flightd/internal/fault"
	"github.com/flightd/flightd/joins"
	"github.com/flightd/flightd/tickets"
)

// Resolve looks up the names of a read ticket. entities are the entity rows that came beside the ticket; nil if it asks
// for none.
func (c *Catalog) Resolve(t *tickets.Ticket, entities *Rows) (Request, error) {
	switch {
	case t.Historical != nil:
		return c.historical(t.Historical, entities)
	case t.Latest != nil:
		v, err := c.View(t.Latest.View)
		if err != nil {
			return nil, err
		}
		return &Latest{View: v, Features: t.Latest.Features, Window: joins.Window{Start: t.Latest.Start, End: t.Latest.End}}, nil
	case t.All != nil:
		v, err := c.View(t.All.View)
		if err != nil {
			return nil, err
		}
		return &All{
			View: v, Features: t.All.Features,
			Window: joins.Window{Start: t.All.Start, End: t.All.End}, Share: joins.Share(t.All.Part),
		}, nil
	}
	return nil, fault.New(fault.Invalid, "%s is not a read", t.Kind())
}

func (c *Catalog) historical(t *tickets.Historical, entities *Rows) (*Historical, error) {
	features, err := c.features(t)
	if err != nil {
		return nil, err
	}
	return &Historical{
		Features: features, Entities: entities, Timestamp: t.Timestamp,
		Window: joins.Window{Start: t.Start, End: t.End}, Mode: Mode(t.Mode),
		FullFeatureNames: t.FullFeatureNames, KnownAt: t.KnownAt, Report: t.Report, Share: joins.Share(t.Part),
	}, nil
}

// features are those that the ticket lists, itself or through a service.
func (c *Catalog) features(t *tickets.Historical) ([]ViewFeatures, error) {
	if t.FeatureService != "" {
		s, err := c.Service(t.FeatureService)
		if err != nil {
			return nil, err
		}
		if s.Projections != nil {
			return s.Projections, nil
		}
		return c.group(s.Features)
	}
	refs := make([]FeatureRef, len(t.Features))
	for i, f := range t.Features {
		refs[i] = FeatureRef(f)
	}
	return c.group(refs)
}

// group puts features of one view together: views in the order of their first reference, features in request order.
func (c *Catalog) group(refs []FeatureRef) ([]ViewFeatures, error) {
	var groups []ViewFeatures
	at := make(map[string]int)
	for _, ref := range refs {
		i, known := at[ref.View]
		if !known {
			v, err := c.View(ref.View)
			if err != nil {
				return nil, err
			}
			at[ref.View] = len(groups)
			groups = append(groups, ViewFeatures{View: v})
			i = len(groups) - 1
		} else if ref.Feature == "" || groups[i].Features == nil {
			return nil, fault.New(fault.Invalid, "all features of %q are requested, and some of them once more; "+
				"name the view alone or its features, not both", ref.View)
		}
		if ref.Feature != "" {
			groups[i].Features = append(groups[i].Features, ref.Feature)
		}
	}
	if len(groups) == 0 {
		return nil, fault.New(fault.Invalid, "no features are requested")
	}
	return groups, nil
}
