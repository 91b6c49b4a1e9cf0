// Package tickets is the wire form of flightd's questions and writes: the JSON that stands in a Flight ticket or in the
// command of a Flight descriptor.
//
// Decoding is strict, because a misspelt key that is silently ignored gives a wrong answer and not an error: unknown
// keys, keys given twice, wrong types, null, and anything after the object are refused, each with the name of the key.
// Everything that can be known without looking at the catalog is checked here, so a Ticket that Parse, ParseCommand or
// ParsePath returned is valid in itself; whether its names exist is for others to say.
//
// A ticket holds names, times and at most entity rows; never paths, statements or credentials. The package depends on
// the standard library alone, so that a Go client can use it too.
package tickets

import (
	"strings"
	"time"
)

// Ticket is one question or one write. Exactly one of the pointers is set.
type Ticket struct {
	Historical *Historical `json:"historical,omitempty"`
	Latest     *Latest     `json:"latest,omitempty"`
	All        *All        `json:"all,omitempty"`

	// The writes, commands of DoPut.
	Write      *Write      `json:"write,omitempty"`
	Log        *Log        `json:"log,omitempty"`
	EntityRows *EntityRows `json:"entity_rows,omitempty"`

	// Parts is into how many shares GetFlightInfo is asked to cut Historical or All; 0: not asked.
	Parts int `json:"parts,omitempty"`
}

// Historical asks for features of entity rows as they were known at each row's time.
//
// The rows come in one of four ways: EntityRows, EntityRowsID, streamed by DoExchange (then none of the fields about
// rows is set), or from the views themselves (then End is set, and perhaps Start and Mode).
type Historical struct {
	Features       []FeatureRef `json:"features,omitempty"`        // in answer order; or
	FeatureService string       `json:"feature_service,omitempty"` // exactly one of the two is set

	EntityRows   []byte `json:"entity_rows,omitempty"`    // an Arrow IPC stream; nil: none here
	EntityRowsID string `json:"entity_rows_id,omitempty"` // what DoPut answered; "": none

	Start time.Time `json:"start,omitzero"` // inclusive, UTC; zero: not given
	End   time.Time `json:"end,omitzero"`   // inclusive, UTC; zero: not given
	Mode  Mode      `json:"mode,omitempty"` // "" means Timeline when End is set

	Timestamp        string `json:"timestamp,omitempty"` // event time column of the entity rows; "": to be found
	FullFeatureNames bool   `json:"full_feature_names,omitempty"`
	KnownAt          bool   `json:"known_at,omitempty"` // only values created at or before the entity time
	Report           bool   `json:"report,omitempty"`   // end the answer with a match report
	Part             Part   `json:"part,omitzero"`
}

// Mode says which rows a Historical without entity rows stands for.
type Mode string

// The modes.
const (
	Timeline Mode = "timeline" // one row for each distinct keys and time in the window
	Snapshot Mode = "snapshot" // one row for each distinct keys in the window, as of its end
)

// Latest asks for the newest row of every distinct key tuple of a view.
type Latest struct {
	View     string    `json:"view"`
	Features []string  `json:"features,omitempty"` // nil: all
	Start    time.Time `json:"start,omitzero"`     // inclusive, UTC; zero: no bound
	End      time.Time `json:"end,omitzero"`       // inclusive, UTC; zero: no bound
}

// All asks for every row of a view.
type All struct {
	View     string    `json:"view"`
	Features []string  `json:"features,omitempty"` // nil: all
	Start    time.Time `json:"start,omitzero"`     // inclusive, UTC; zero: no bound
	End      time.Time `json:"end,omitzero"`       // inclusive, UTC; zero: no bound
	Part     Part      `json:"part,omitzero"`
}

// Part is the Index-th of Of disjoint shares of an answer, counted from 0. The zero value is the whole answer.
type Part struct{ Index, Of int }

// FeatureRef refers to one feature of a view, or to all of them. Its text is "view:feature" or "view".
type FeatureRef struct {
	View    string // may end in a version: "view@v2"
	Feature string // "": all features of the view
}

// ParseFeatureRef reads "view:feature" or "view". A view's name holds no colon, a feature's may.
func ParseFeatureRef(text string) (FeatureRef, error) {
	view, feature, colon := strings.Cut(text, ":")
	switch {
	case view == "":
		return FeatureRef{}, errorf("", "%s names no view; a feature is written view:feature, all features of a view just view", quote(text))
	case colon && feature == "":
		return FeatureRef{}, errorf("", "%s names no feature after the colon; all features of the view are written %s", quote(text), quote(view))
	case !versionIsWellFormed(view):
		return FeatureRef{}, errorf("", "%s has a malformed version; a version is written view@v2:feature", quote(text))
	}
	return FeatureRef{View: view, Feature: feature}, nil
}

// versionIsWellFormed reports whether view is a name alone or a name and a version, "@v" and a number.
func versionIsWellFormed(view string) bool {
	name, version, at := strings.Cut(view, "@")
	if !at {
		return true
	}
	digits, v := strings.CutPrefix(version, "v")
	return name != "" && v && digits != "" && strings.Trim(digits, "0123456789") == ""
}

func (r FeatureRef) String() string {
	if r.Feature == "" {
		return r.View
	}
	return r.View + ":" + r.Feature
}

// Write appends the uploaded rows to the source of a view.
type Write struct {
	View      string `json:"view"`
	RequestID string `json:"request_id,omitempty"` // makes a repeated write a duplicate; "": it is not remembered
}

// Log appends the uploaded rows to where the logged features of a service go.
type Log struct {
	FeatureService string `json:"feature_service"`
	RequestID      string `json:"request_id,omitempty"`
}

// EntityRows stages the uploaded rows for a later Historical.EntityRowsID.
type EntityRows struct{}

// Kind is the key that stands for the ticket on the wire: "historical", "latest", ...; "" if none is set.
func (t *Ticket) Kind() string {
	if kinds := t.kinds(); len(kinds) > 0 {
		return kinds[0]
	}
	return ""
}

// kinds lists the keys of all pointers that are set; a valid ticket has one.
func (t *Ticket) kinds() (set []string) {
	for _, k := range []struct {
		key string
		set bool
	}{
		{"historical", t.Historical != nil}, {"latest", t.Latest != nil}, {"all", t.All != nil},
		{"write", t.Write != nil}, {"log", t.Log != nil}, {"entity_rows", t.EntityRows != nil},
	} {
		if k.set {
			set = append(set, k.key)
		}
	}
	return set
}
