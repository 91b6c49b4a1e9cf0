package registry

import (
	"time"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/flightd/flightd/internal/fault"
	"github.com/flightd/flightd/stores"
	"github.com/flightd/flightd/tickets"
)

// Write finds the view whose source a write appends to. Feast's clients rename columns by the view's field mapping before
// they send, so columns come under their mapped names or under the source's own.
func (s *Snapshot) Write(c *tickets.FeastWrite) (*stores.FeatureView, error) {
	p, err := s.lookup(s.own)
	if err != nil {
		return nil, err
	}
	v, err := p.view(c.FeatureView)
	if err != nil {
		return nil, err
	}
	return v.feature, nil
}

// LogWrite is a service with its destination, and the columns of its logged features as its definition has them.
type LogWrite struct {
	Service *stores.FeatureService // its Log is set
	Schema  *arrow.Schema
}

// Log finds where the logged features of a service go.
func (s *Snapshot) Log(c *tickets.FeastLog) (*LogWrite, error) {
	p, err := s.lookup(s.own)
	if err != nil {
		return nil, err
	}
	service, err := p.service(c.FeatureService)
	if err != nil {
		return nil, err
	}
	if service.logErr != nil {
		return nil, service.logErr
	}
	return &LogWrite{Service: &stores.FeatureService{Name: service.name, Log: service.log}, Schema: service.logSchema(p)}, nil
}

// Persist is the writing of a historical answer to a registered data source.
type Persist struct {
	Read           *Read
	Store          stores.OfflineStore
	Source         stores.DataSource
	Location       string // the destination's path as the client calls it
	AllowOverwrite bool
}

// Persist looks up the names of a persist command; the parameters are those of Historical. The destination must be
// registered under the name that the client sends, which is its path: so no other source can be overwritten.
func (s *Snapshot) Persist(c *tickets.FeastPersist, entities *stores.Rows, mode stores.Mode, now time.Time) (*Persist, error) {
	read, err := s.Historical(c.Historical, entities, mode, now)
	if err != nil {
		return nil, err
	}
	p, err := s.lookup(s.own)
	if err != nil {
		return nil, err
	}
	d := p.sources[c.DataSourceName]
	switch {
	case d == nil:
		return nil, unknownSource(c.DataSourceName, p.name)
	case d.err != nil:
		return nil, d.err
	}
	return &Persist{Read: read, Store: d.store, Source: d.source, Location: d.uri, AllowOverwrite: c.AllowOverwrite}, nil
}

// LocationExists is the error of a persist whose destination is there already and must not be overwritten.
func LocationExists(location string) error {
	return feastError(fault.AlreadyExists, "SavedDatasetLocationAlreadyExists", "Saved dataset location %s already exists.", short(location))
}
