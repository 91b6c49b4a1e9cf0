package config

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/flightd/flightd/stores"
)

// Open opens every store and makes the catalog of the definitions. The returned function closes the stores; it is called
// when no request is running any more. After an error nothing is left open.
//
// Sources are named, not read: one that is missing or broken is an error of the requests that need it. One that the store
// cannot understand is a mistake in the configuration, an *Error, as those of Load are.
func (c *Config) Open(ctx context.Context) (*stores.Catalog, func() error, error) {
	opened := make(map[string]stores.OfflineStore, len(c.Stores))
	closeAll := func() error {
		var errs []error
		for _, s := range slices.Backward(c.Stores) {
			if store, ok := opened[s.Name]; ok {
				errs = append(errs, named("store", s.Name, store.Close()))
			}
		}
		return errors.Join(errs...)
	}
	var errs []error
	for _, s := range c.Stores {
		store, err := s.Config.Open(ctx)
		if err != nil {
			errs = append(errs, c.locate(join("stores", s.Name), err))
			continue
		}
		opened[s.Name] = store
	}
	if errs != nil {
		return nil, nil, errors.Join(append(errs, closeAll())...)
	}
	catalog, err := c.catalog(opened)
	if err != nil {
		return nil, nil, errors.Join(err, closeAll())
	}
	return catalog, closeAll, nil
}

// catalog binds the definitions to the opened stores.
func (c *Config) catalog(opened map[string]stores.OfflineStore) (*stores.Catalog, error) {
	var views []*stores.FeatureView
	var services []*stores.FeatureService
	var errs []error
	for _, v := range c.FeatureViews {
		source, err := opened[v.Store].Source(v.Source)
		if err != nil {
			errs = append(errs, c.mistake(join(join("feature_views", v.Name), "source"), err))
			continue
		}
		views = append(views, &stores.FeatureView{
			Name: v.Name, Keys: v.Keys, Timestamp: v.Timestamp, Created: v.Created, TTL: v.TTL, Features: v.Features,
			FieldMapping: v.FieldMapping, Store: opened[v.Store], Source: source,
		})
	}
	for _, s := range c.FeatureServices {
		service := &stores.FeatureService{Name: s.Name}
		for _, text := range s.Features {
			view, feature, _ := strings.Cut(text, ":")
			service.Features = append(service.Features, stores.FeatureRef{View: view, Feature: feature})
		}
		if s.Log != nil {
			service.Log = &stores.LogTarget{Store: opened[s.Log.Store], Destination: s.Log.Destination}
			if _, err := service.Log.Store.Source(s.Log.Destination); err != nil {
				errs = append(errs, c.mistake(join(join(join("feature_services", s.Name), "log"), "destination"), err))
			}
		}
		services = append(services, service)
	}
	if errs != nil {
		return nil, errors.Join(errs...)
	}
	return stores.NewCatalog(views, services)
}

// mistake is an error of the configuration that only an opened store could find.
func (c *Config) mistake(path string, err error) error {
	at := c.decoded.place(path)
	return &Error{File: c.decoded.file, Line: at.line, Column: at.column, Message: path + ": " + err.Error()}
}

// locate puts the file and line of a value before an error that it led to.
func (c *Config) locate(path string, err error) error {
	at := c.decoded.place(path)
	return fmt.Errorf("%s:%d:%d: %s: %w", c.decoded.file, at.line, at.column, path, err)
}

func named(what, name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %q: %w", what, name, err)
}
