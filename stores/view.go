package stores

import (
	"slices"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
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

	// Schema is what the definitions say about the columns, under their mapped names; nil: nothing. The types of an answer
	// are the source's own; these serve for a source that holds nothing yet.
	Schema *arrow.Schema
}

// sourceSchema is the declared schema under the names of the source.
func (v *FeatureView) sourceSchema() *arrow.Schema {
	original := make(map[string]string, len(v.FieldMapping))
	for source, name := range v.FieldMapping {
		original[name] = source
	}
	fields := slices.Clone(v.Schema.Fields())
	for i, f := range fields {
		if source, ok := original[f.Name]; ok {
			fields[i].Name = source
		}
	}
	return arrow.NewSchema(fields, nil)
}

// FeatureService is a named list of features of several views.
type FeatureService struct {
	Name     string
	Features []FeatureRef
	Log      *LogTarget // nil: logged features have nowhere to go

	// Projections are Features with the views looked up, for services that use views under aliases or with other keys; nil:
	// there is nothing to them that Features does not say.
	Projections []ViewFeatures
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
	Derived     []string // columns that only repeat others: where earlier files of the destination lack one, it is not written
}
