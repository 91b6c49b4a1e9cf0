// Package pit holds test vectors for point-in-time retrieval: small tables, one request, and the exact answer, one file
// for each rule of docs/semantics.md, named after the rule. README.md describes the files.
//
// The vectors are public so that a store outside this repository can be held to the same meaning. The package only reads
// them; whoever runs them decides how a View becomes a table and a Step a request. Package stores/storetest does that for
// stores.
package pit

import (
	"embed"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/flightd/flightd/internal/fault"
)

// Vector is one file: tables, the names they are used by, and requests with their answers.
type Vector struct {
	Name    string // of the file, without .pit
	Comment string // what the rule says
	Views   []View
	Aliases []Alias
	Steps   []Step
}

// View is a feature view and the rows of its source. Keys, times and features are mapped names, as in the configuration.
type View struct {
	Name         string
	Keys         []string
	Timestamp    string
	Created      string // "": none
	TTL          time.Duration
	Features     []string          // nil: every other column
	FieldMapping map[string]string // source column -> name
	Source       Table             // columns by the source's own names; each record is a part of the table
}

// Alias is a second name for a view, under which its join keys have other names among the entity rows.
type Alias struct {
	Name, View string
	JoinKeyMap map[string]string // join key of the view -> column of the entity rows
}

// Table is rows in order. Every column is nullable. Records may be none, and none of them is empty.
type Table struct {
	Schema  *arrow.Schema
	Records []arrow.Record
}

// Rows is the number of rows.
func (t Table) Rows() int64 {
	var n int64
	for _, rec := range t.Records {
		n += rec.NumRows()
	}
	return n
}

// Kind is what a step asks for.
type Kind string

// The kinds of requests.
const (
	KindHistorical Kind = "historical" // features of entity rows
	KindTimeline   Kind = "timeline"   // features without entity rows, along a window
	KindSnapshot   Kind = "snapshot"   // features without entity rows, as of the end of a window
	KindLatest     Kind = "latest"     // the newest row of every key
	KindAll        Kind = "all"        // every row
)

// Step is one request and what must come of it: either Want or Err.
type Step struct {
	Line int // of the file
	Kind Kind

	// Features are references, `view:feature` or `view`, in historical, timeline and snapshot; plain names in latest and
	// all, where nil means all features of View.
	Features []string
	View     string // latest and all

	Entities         Table  // historical
	Timestamp        string // historical: time column of the entity rows, "": to be found
	FullFeatureNames bool
	KnownAt          bool
	Report           []ViewReport // historical: the match report that must come, nil: not asked for
	Start, End       time.Time    // zero: no bound
	Parts            int          // not 0: asked in this many shares, whose answers together are Want

	Want      Table
	Unordered bool   // the order of the rows of Want is not defined
	Err       *Error // the request is refused
}

// Error is a refusal: an error of this kind (errors.Is(err, e.Kind)) that says all of these texts.
type Error struct {
	Kind  fault.Kind
	Texts []string
}

// ViewReport is what became of the entity rows in one view. The counts add up to the number of rows.
type ViewReport struct {
	View                                          string
	Matched, Expired, NotYet, UnknownKey, NullKey int64
}

// Use is a view as one step uses it: features of one view or alias, in request order.
type Use struct {
	Name       string // the alias, or the view's name
	View       View
	JoinKeyMap map[string]string
	Features   []string // nil: all
}

// Uses groups the features of a historical step, a timeline or a snapshot by view or alias, in the order of their first
// reference. It does not check the names of features. A name that is neither a view nor an alias gives a Use with a View
// that has no name.
func (v Vector) Uses(s Step) []Use {
	var uses []Use
	at := make(map[string]int)
	for _, ref := range s.Features {
		name, feature, one := strings.Cut(ref, ":")
		i, known := at[name]
		if !known {
			i, at[name] = len(uses), len(uses)
			uses = append(uses, v.use(name))
		}
		if one {
			uses[i].Features = append(uses[i].Features, feature)
		}
	}
	return uses
}

func (v Vector) use(name string) Use {
	u := Use{Name: name}
	view := name
	for _, a := range v.Aliases {
		if a.Name == name {
			view, u.JoinKeyMap = a.View, a.JoinKeyMap
		}
	}
	if i := slices.IndexFunc(v.Views, func(w View) bool { return w.Name == view }); i >= 0 {
		u.View = v.Views[i]
	}
	return u
}

//go:embed *.pit
var files embed.FS

// All returns all vectors in the order of their names. It panics if an embedded file is broken, which the tests of
// this package find.
func All() []Vector {
	entries, err := files.ReadDir(".")
	if err != nil {
		panic(err)
	}
	var all []Vector
	for _, e := range entries {
		v, err := Load(strings.TrimSuffix(e.Name(), ".pit"))
		if err != nil {
			panic(err)
		}
		all = append(all, v)
	}
	return all
}

// Load returns the vector of this name, such as p04-ttl-inclusive. A name that is not there is fs.ErrNotExist.
func Load(name string) (Vector, error) {
	text, err := files.ReadFile(name + ".pit")
	if err != nil {
		return Vector{}, fmt.Errorf("vector %q: %w", name, err)
	}
	return Parse(name, string(text))
}
