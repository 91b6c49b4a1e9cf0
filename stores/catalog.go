package stores

import (
	"fmt"

	"github.com/flightd/flightd/internal/fault"
	"github.com/flightd/flightd/internal/nearest"
)

// Catalog is one consistent set of definitions. It does not change once made; a newer set is another Catalog.
type Catalog struct {
	views    []*FeatureView
	services []*FeatureService
	view     map[string]*FeatureView
	service  map[string]*FeatureService
	empty    error // why there is nothing in it; nil: nothing is to be said about that
}

// EmptyCatalog is a catalog without definitions. Who looks something up in it learns why there are none.
func EmptyCatalog(why error) *Catalog { return &Catalog{empty: why} }

// NewCatalog makes a catalog of definitions in the order in which they are to be listed. A name used twice, and a
// service that refers to a view that is not there, are errors.
func NewCatalog(views []*FeatureView, services []*FeatureService) (*Catalog, error) {
	c := &Catalog{
		views: views, services: services,
		view: make(map[string]*FeatureView, len(views)), service: make(map[string]*FeatureService, len(services)),
	}
	for _, v := range views {
		if c.view[v.Name] != nil {
			return nil, fault.New(fault.Invalid, "feature view %q is defined twice", v.Name)
		}
		c.view[v.Name] = v
	}
	for _, s := range services {
		if c.service[s.Name] != nil {
			return nil, fault.New(fault.Invalid, "feature service %q is defined twice", s.Name)
		}
		for _, ref := range s.Features {
			if _, err := c.View(ref.View); err != nil {
				return nil, fmt.Errorf("feature service %q: %w", s.Name, err)
			}
		}
		c.service[s.Name] = s
	}
	return c, nil
}

// Views lists the feature views in definition order.
func (c *Catalog) Views() []*FeatureView { return c.views }

// Services lists the feature services in definition order.
func (c *Catalog) Services() []*FeatureService { return c.services }

// View finds a feature view; an unknown name is NOT_FOUND with the nearest one.
func (c *Catalog) View(name string) (*FeatureView, error) {
	if v := c.view[name]; v != nil {
		return v, nil
	}
	if c.empty != nil {
		return nil, c.empty
	}
	known := make([]string, len(c.views))
	for i, v := range c.views {
		known[i] = v.Name
	}
	return nil, fault.New(fault.NotFound, "no feature view %s; %s", nearest.Quote(name), nearest.Hint(name, known))
}

// Service finds a feature service; an unknown name is NOT_FOUND with the nearest one.
func (c *Catalog) Service(name string) (*FeatureService, error) {
	if s := c.service[name]; s != nil {
		return s, nil
	}
	if c.empty != nil {
		return nil, c.empty
	}
	known := make([]string, len(c.services))
	for i, s := range c.services {
		known[i] = s.Name
	}
	return nil, fault.New(fault.NotFound, "no feature service %s; %s", nearest.Quote(name), nearest.Hint(name, known))
}
