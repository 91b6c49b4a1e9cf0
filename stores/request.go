package stores

import (
	"github.com/flightd/flightd/joins"
)

// Request is a question with all names resolved: one of *Historical, *Latest and *All.
type Request interface {
	// Views are the feature views that the answer is made of, in request order.
	Views() []*FeatureView
}

// Mode says which entity rows a historical request without entity rows stands for.
type Mode string

// The modes of a request without entity rows (semantics P60 and P61).
const (
	Timeline Mode = "timeline" // one row for each distinct keys and time in the window
	Snapshot Mode = "snapshot" // one row for each distinct keys in the window, features as of its end
)

// Historical asks for the features of entity rows as they were known at each row's time.
type Historical struct {
	Features         []ViewFeatures
	Entities         *Rows  // nil: Window and Mode say which rows
	Timestamp        string // event time column of the entity rows; "": found by semantics P51
	Window           joins.Window
	Mode             Mode
	FullFeatureNames bool
	KnownAt          bool
	Report           bool
	Share            joins.Share
}

// ViewFeatures are the features asked of one view, which may be there under an alias and with other names for its keys.
type ViewFeatures struct {
	View       *FeatureView
	Alias      string            // "": the view's own name
	JoinKeyMap map[string]string // join key of the view -> column of the entity rows; absent keys keep their name
	Features   []string          // in answer order; nil: all
}

// Name is how the view is called in full feature names, reports and messages.
func (v ViewFeatures) Name() string {
	if v.Alias != "" {
		return v.Alias
	}
	return v.View.Name
}

// Latest asks for the newest row of every distinct key tuple in a window.
type Latest struct {
	View     *FeatureView
	Features []string // nil: all
	Window   joins.Window

	SourceOrder bool // columns stand as in the source, not keys first
}

// All asks for every row in a window.
type All struct {
	View     *FeatureView
	Features []string // nil: all
	Window   joins.Window
	Share    joins.Share

	SourceOrder bool // columns stand as in the source, not keys first
}

// Views implements Request.
func (r *Historical) Views() []*FeatureView {
	views := make([]*FeatureView, len(r.Features))
	for i, f := range r.Features {
		views[i] = f.View
	}
	return views
}

// Views implements Request.
func (r *Latest) Views() []*FeatureView { return []*FeatureView{r.View} }

// Views implements Request.
func (r *All) Views() []*FeatureView { return []*FeatureView{r.View} }
