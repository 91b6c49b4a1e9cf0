package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/flightd/flightd/internal/nearest"
)

func (c *Config) validateViews(d *decoder) {
	if len(c.FeatureViews) == 0 && !d.failed["feature_views"] {
		d.reportAt(d.place("feature_views"), "", "feature_views is needed, with at least one view; without one there is nothing to serve")
	}
	for _, v := range c.FeatureViews {
		path := join("feature_views", v.Name)
		d.name(path, v.Name, ":@")
		if d.failed[path] {
			continue
		}
		d.require(path, "source", v.Source)
		d.require(path, "timestamp", v.Timestamp)
		d.notEmpty(join(path, "created"), v.Created)
		d.require(path, "store", v.Store)
		c.validateStoreName(d, join(path, "store"), v.Store)
		d.names(join(path, "keys"), v.Keys)
		d.names(join(path, "features"), v.Features)
		if v.Features != nil && len(v.Features) == 0 && !d.failed[join(path, "features")] {
			d.report(join(path, "features"), "the list is empty; leave the key out if every other column is a feature")
		}
		v.validateTimes(d, path)
		v.validateMapping(d, path)
	}
}

func (c *Config) validateStoreName(d *decoder, path, name string) {
	var known []string
	for _, s := range c.Stores {
		if s.Name != "" {
			known = append(known, s.Name)
		}
	}
	if name != "" && !slices.Contains(known, name) && !d.failed["stores"] {
		d.report(path, "no store %s; %s", nearest.Quote(name), nearest.Hint(name, known))
	}
}

// validateTimes sees to it that no column has two of the roles that exclude each other.
func (v *FeatureView) validateTimes(d *decoder, path string) {
	if v.Created != "" && v.Created == v.Timestamp {
		d.report(join(path, "created"), "%s is the timestamp already; leave created out if the source has no such column", nearest.Quote(v.Created))
	}
	for i, key := range v.Keys {
		item := fmt.Sprintf("%s.keys[%d]", path, i)
		switch {
		case key == "":
		case key == v.Timestamp:
			d.report(item, "%s is the timestamp; a time is not a join key", nearest.Quote(key))
		case key == v.Created:
			d.report(item, "%s is the created time; a time is not a join key", nearest.Quote(key))
		}
	}
}

// validateMapping checks that no two columns get one name, and that no column is called by a name it no longer has. The
// two time columns may be: their old names are understood.
func (v *FeatureView) validateMapping(d *decoder, path string) {
	columns := make(map[string]string) // by the name they get
	for _, column := range slices.Sorted(maps.Keys(v.FieldMapping)) {
		item, name := join(join(path, "field_mapping"), column), v.FieldMapping[column]
		d.notEmpty(item, name)
		if column == "" {
			d.report(item, "the name of the column is empty")
		}
		if other, twice := columns[name]; twice && name != "" {
			d.report(item, "%s is the name of the column %s already", nearest.Quote(name), nearest.Quote(other))
		}
		columns[name] = column
	}
	check := func(key string, names []string) {
		for i, name := range names {
			if _, reused := columns[name]; v.FieldMapping[name] != "" && !reused {
				d.report(fmt.Sprintf("%s.%s[%d]", path, key, i), "the field_mapping calls this column %s; use that name",
					nearest.Quote(v.FieldMapping[name]))
			}
		}
	}
	check("keys", v.Keys)
	check("features", v.Features)
}

func (c *Config) validateServices(d *decoder) {
	for _, s := range c.FeatureServices {
		path := join("feature_services", s.Name)
		d.name(path, s.Name, "")
		if d.failed[path] {
			continue
		}
		switch features := join(path, "features"); {
		case !d.given(features):
			d.reportAt(d.place(path), path, "features is needed: a list of view:feature, or view for all of its features")
		case len(s.Features) == 0 && !d.failed[features]:
			d.report(features, "the list is empty")
		}
		d.names(join(path, "features"), s.Features)
		c.validateReferences(d, join(path, "features"), s.Features)
		if s.Log != nil && !d.failed[join(path, "log")] {
			d.require(join(path, "log"), "destination", s.Log.Destination)
			d.require(join(path, "log"), "store", s.Log.Store)
			c.validateStoreName(d, join(join(path, "log"), "store"), s.Log.Store)
		}
	}
}

// validateReferences looks up what a service refers to. Which features a view has is known here only if it lists them.
func (c *Config) validateReferences(d *decoder, path string, references []string) {
	known := make([]string, len(c.FeatureViews))
	for i, v := range c.FeatureViews {
		known[i] = v.Name
	}
	for i, text := range references {
		item := fmt.Sprintf("%s[%d]", path, i)
		view, feature, colon := strings.Cut(text, ":")
		at := slices.Index(known, view)
		switch {
		case d.failed[item]:
		case view == "" || colon && feature == "":
			d.report(item, "want view:feature, or view for all of its features, found %s", nearest.Quote(text))
		case at < 0 && !d.failed["feature_views"]:
			d.report(item, "no feature view %s; %s", nearest.Quote(view), nearest.Hint(view, known))
		case at < 0:
		case colon && slices.Contains(references, view):
			d.report(item, "all features of %s are listed already, by its name alone", nearest.Quote(view))
		case colon && c.FeatureViews[at].Features != nil && !slices.Contains(c.FeatureViews[at].Features, feature):
			d.report(item, "feature view %s has no feature %s; %s", nearest.Quote(view), nearest.Quote(feature),
				nearest.Hint(feature, c.FeatureViews[at].Features))
		}
	}
}
