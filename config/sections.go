package config

import (
	"reflect"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/flightd/flightd/internal/nearest"
	"github.com/flightd/flightd/stores"
)

func (s *Stores) decode(d *decoder, path string, node ast.Node) {
	for _, e := range d.entries(path, node) {
		store := Store{Name: e.key}
		d.decode(e.path, e.value, &store)
		*s = append(*s, store)
	}
}

func (v *FeatureViews) decode(d *decoder, path string, node ast.Node) {
	for _, e := range d.entries(path, node) {
		view := FeatureView{Name: e.key}
		d.decode(e.path, e.value, &view)
		*v = append(*v, view)
	}
}

func (s *FeatureServices) decode(d *decoder, path string, node ast.Node) {
	for _, e := range d.entries(path, node) {
		service := FeatureService{Name: e.key}
		d.decode(e.path, e.value, &service)
		*s = append(*s, service)
	}
}

// decode takes `type` out of the mapping and decodes the rest into what that type registered.
func (s *Store) decode(d *decoder, path string, node ast.Node) {
	entries := d.entries(path, node)
	at := slices.IndexFunc(entries, func(e entry) bool { return e.key == "type" })
	if at < 0 {
		if !d.failed[path] {
			d.reportAt(d.place(path), path, "type is needed; known: %s", strings.Join(stores.Types(), ", "))
		}
		return
	}
	d.decode(entries[at].path, entries[at].value, &s.Type)
	if d.failed[entries[at].path] {
		return
	}
	config, ok := stores.NewConfig(s.Type)
	if !ok {
		d.report(entries[at].path, "unknown store type %s; known: %s", nearest.Quote(s.Type), strings.Join(stores.Types(), ", "))
		return
	}
	mistakes := len(d.errs)
	d.fields(path, slices.Delete(entries, at, at+1), reflect.ValueOf(config).Elem())
	if len(d.errs) == mistakes {
		s.Config = config
	}
}
