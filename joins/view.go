package joins

import (
	"context"
	"slices"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
)

// Entities is the left side of a join: the entity rows of one request, held in memory for its length.
type Entities struct {
	Schema  *arrow.Schema
	Records []arrow.Record // any number of any size; lent for the length of the call
	// Time names the event time column: a timestamp or date column, or text in ISO 8601 (semantics P52).
	Time string
}

// Rows is the number of entity rows.
func (e Entities) Rows() int64 {
	var n int64
	for _, r := range e.Records {
		n += r.NumRows()
	}
	return n
}

// Slice is rows [lo, hi) of e, which share its memory.
func (e Entities) Slice(lo, hi int64) Entities {
	if lo == 0 && hi == e.Rows() {
		return e
	}
	cut := Entities{Schema: e.Schema, Time: e.Time}
	var at int64
	for _, rec := range e.Records {
		from, to := max(lo, at)-at, min(hi, at+rec.NumRows())-at
		if from < to {
			cut.Records = append(cut.Records, rec.NewSlice(from, to))
		}
		at += rec.NumRows()
	}
	return cut
}

// View is one feature view as a join sees it: columns by the names they have in Table.
type View struct {
	Name      string        // how errors and the report call it: the alias, if there is one
	Keys      []Key         // none: an entity-less view, joined on time alone
	EventTime string        // timestamp or date column of Table
	Created   string        // same, or "" if the view has none
	TTL       time.Duration // 0: never too old
	Features  []Feature
	Table     Table
}

// Key pairs a key column of a view's table with the column of the entity rows that it must equal.
type Key struct{ Entity, Source string }

// Feature is a column of a view's table and the name it has in the answer.
type Feature struct{ Source, Name string }

// Options are the settings of one call. The zero value is usable: one thread for each core, no budget, no report.
type Options struct {
	KnownAt bool    // candidates also need created <= entity time (semantics P16)
	Report  *Report // filled as the answer is ranged over, complete when it ends; nil: not wanted
	Threads int     // 0: GOMAXPROCS
	Budget  Budget  // nil: unlimited
	NoPrune bool    // read every part; for tests and for exact reports
	Trace   *Trace  // filled with what the call did; nil: not wanted

	// Indexes keeps indexes of tables whose parts do not change, for the next calls; nil: every call streams.
	Indexes *IndexCache

	// GatherBytes is how many bytes of features are held at once, on the way from a table to the answer; an answer that is
	// larger is put together in ranges of entity rows, each of which asks the tables again. 0: 256 MiB.
	GatherBytes int64
}

func (o Options) gatherBytes() int64 {
	if o.GatherBytes > 0 {
		return o.GatherBytes
	}
	return 256 << 20
}

// Budget lends memory. Reserve blocks or fails as its owner decides; an error ends the call. Every reservation is
// released when the range over the answer ends.
type Budget interface {
	Reserve(ctx context.Context, bytes int64) error
	Release(bytes int64)
}

// Starter is a Budget that can be told when work begins. Start reserves what the work is expected to take, before it holds
// anything; Reserve is for what it turns out to need beside that.
type Starter interface {
	Budget
	Start(ctx context.Context, bytes int64) error
}

// Report counts, for every view in request order, what became of the entity rows (semantics P91).
type Report struct {
	Views []ViewReport
}

// clone is a copy; of no report an empty one.
func (r *Report) clone() Report {
	if r == nil {
		return Report{}
	}
	return Report{Views: slices.Clone(r.Views)}
}

// add counts what became of more entity rows for the view with an index.
func (r *Report) add(view int, more ViewReport) {
	if view == len(r.Views) {
		r.Views = append(r.Views, more)
		return
	}
	r.Views[view].add(&more)
}

// ViewReport is the report of one view. The five counts add up to Rows.
type ViewReport struct {
	View                                                string
	Rows, Matched, Expired, NotYet, UnknownKey, NullKey int64
}
