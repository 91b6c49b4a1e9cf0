package registry

import (
	"errors"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/flightd/flightd/internal/feastpb"
	"github.com/flightd/flightd/stores"
	"github.com/flightd/flightd/tickets"
)

// FuzzRegistry: no bytes panic, what is taken can be asked for everything in it, and errors of names stay with the names.
func FuzzRegistry(f *testing.F) {
	for _, file := range registryFiles {
		data := readFile(f, file.path)
		f.Add(data)
		r := new(feastpb.Registry)
		if err := proto.Unmarshal(data, r); err != nil {
			f.Fatal(err)
		}
		for i := range r.GetFeatureViews() { // small ones are mutated to more effect
			small := &feastpb.Registry{
				RegistrySchemaVersion: "1", FeatureViews: r.GetFeatureViews()[i : i+1], Projects: r.GetProjects(),
				FeatureServices: r.GetFeatureServices()[i%len(r.GetFeatureServices()):][:1], FeatureViewVersionHistory: r.GetFeatureViewVersionHistory(),
			}
			data, err := proto.Marshal(small)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, fresh := range []bool{true, false} {
			all, err := parseRegistry(data, nil, fresh)
			if err != nil {
				if !errors.Is(err, errUnfinished) {
					t.Fatalf("%T %v", err, err)
				}
				continue
			}
			o := newOpener("/repo", nil, files)
			for own := range all.projects {
				s, err := newSnapshot(o, own, all)
				if err != nil {
					t.Fatal(err)
				}
				askForEverything(t, s)
			}
			if err := o.close(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func askForEverything(t *testing.T, s *Snapshot) {
	describe(s)
	for name, p := range s.projects {
		for key := range p.versions.records {
			if v, err := p.versioned(key.view, key.version); (v == nil) == (err == nil) {
				t.Fatalf("%v: %v, %v", key, v, err)
			}
		}
		for view := range p.views {
			for key := range p.aliases {
				c := &tickets.FeastHistorical{
					Project: name, FeatureViewNames: []string{view, key.view}, NameAliases: []string{"", key.alias}, FullFeatureNames: true,
					FeatureRefs: []tickets.FeastRef{{View: view, Version: noVersion, Feature: "rate"}, {View: key.alias, Version: noVersion, Feature: "rate"}},
				}
				s.Historical(c, entityRows("driver_id", "rate"), stores.Timeline, time.Time{}) //nolint:errcheck // it must only not panic
			}
		}
	}
	for source := range s.projects[s.own].sources {
		s.Pull(&tickets.FeastPull{DataSourceName: source, TimestampField: "t"}, true) //nolint:errcheck // it must only not panic
	}
	for service := range s.projects[s.own].services {
		s.Log(&tickets.FeastLog{FeatureService: service}) //nolint:errcheck // it must only not panic
	}
}

// FuzzConfig: no text panics, and what is taken is complete.
func FuzzConfig(f *testing.F) {
	f.Add(goldenYAML)
	f.Add(machineDump)
	f.Add("project: p\nregistry: {registry_type: sql, path: 'postgresql://u:p@h:1/d?a=b', sqlalchemy_config_kwargs: {connect_args: {x: 1}}}\n")
	f.Add("project: p\nregistry: {registry_type: sql, path: 'sqlite:///x.db'}\nauth: {type: no_auth}\noffline_store: {type: duckdb}\n")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parseConfig("/repo", "f.yaml", text)
		if err == nil && (c.Project == "" || c.registry.kind == "" || c.registry.path == "" && c.registry.dsn == "" || offlineStores[c.Offline] == nil) {
			t.Fatalf("%+v of %q", c, text)
		}
	})
}
