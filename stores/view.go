package stores

import (
	"time"
)

// FeatureView describes the rows of a source as features: which columns are keys and times, and how long a value holds.
// Column names are mapped names: those the columns have after FieldMapping.
type FeatureView struct {
	Name         string
	Keys         []string          // join keys; none: an entity-less view
	Timestamp    string            // event time; the source's own name of a mapped column is understood too
	Created      string            // created time; "": the view has none
	TTL          time.Duration     // 0: never too old
	Features     []string          // nil: every other column of the source
	FieldMapping map[string]string // source column -> name
	Store        OfflineStore
	Source       DataSource
}

// FeatureService is a named list of features of several views.
type FeatureService struct {
	Name     string
	Features []FeatureRef
	Log      *LogTarget // nil: logged features have nowhere to go
}

// FeatureRef refers to one feature of a view, or to all of them.
type FeatureRef struct {
	View    string
	Feature string // "": all features of the view
}

func (r FeatureRef) String() string {
	if r.Feature == "" {
		return r.View
	}
	return r.View + ":" + r.Feature
}

// LogTarget is where the logged features of a service go.
type LogTarget struct {
	Store       OfflineStore
	Destination string
}
