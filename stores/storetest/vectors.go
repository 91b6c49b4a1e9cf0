package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/flightd/flightd/joins"
	"github.com/flightd/flightd/stores"
	"github.com/flightd/flightd/testdata/pit"
)

// A vector is a question of testdata/pit: the meaning of a retrieval. Each is asked of the store as it is, and again with its
// abilities hidden.

// vectorChecks are the vectors as checks, and what is said of those that cannot be put to the store.
func (h Harness) vectorChecks() (checks []check, left leftOut) {
	for _, v := range pit.All() {
		told, reason := h.told(v)
		if reason != "" {
			left = append(left, omission{v.Name, reason})
			continue
		}
		checks = append(checks, check{name: v.Name, sentence: "docs/semantics.md: " + v.Comment, run: func(t *testing.T, h Harness) error {
			return h.runVector(t, told)
		}})
	}
	return checks, left
}

func (h Harness) runVector(t *testing.T, v pit.Vector) error {
	tables := make(map[string]Table)
	for _, w := range v.Views {
		tables[w.Name] = Table(w.Source)
	}
	store, err := h.openAll(t, tables)
	if err != nil {
		return err
	}
	var problems []error
	for abilities, store := range map[string]stores.OfflineStore{"all abilities": store, "abilities hidden": hidden{store}} {
		catalog, err := h.catalog(store, v)
		if err != nil {
			return err
		}
		for _, s := range v.Steps {
			if err := runStep(t.Context(), h, catalog, v, s); err != nil {
				problems = append(problems, fmt.Errorf("%s.pit, line %d, %s: %w", v.Name, s.Line, abilities, err))
			}
		}
	}
	return errors.Join(problems...)
}

// catalog makes the feature views of a vector.
func (h Harness) catalog(store stores.OfflineStore, v pit.Vector) (*stores.Catalog, error) {
	var views []*stores.FeatureView
	for _, w := range v.Views {
		src, err := store.Source(h.sourceText(w.Name))
		if err != nil {
			return nil, err
		}
		views = append(views, &stores.FeatureView{
			Name: w.Name, Keys: w.Keys, Timestamp: w.Timestamp, Created: w.Created, TTL: w.TTL, Features: w.Features,
			FieldMapping: w.FieldMapping, Store: store, Source: src,
		})
	}
	return stores.NewCatalog(views, nil)
}

// runStep asks one question and compares the answer.
func runStep(ctx context.Context, h Harness, catalog *stores.Catalog, v pit.Vector, s pit.Step) error {
	got := pit.Table{}
	var report []pit.ViewReport
	for part := range max(1, s.Parts) {
		share := joins.Share{}
		if s.Parts > 0 {
			share = joins.Share{Index: part, Of: s.Parts}
		}
		answer, counts, err := ask(ctx, catalog, v, s, share)
		if s.Err != nil {
			return refusal(s.Err, err)
		}
		if err != nil {
			return err
		}
		got.Schema, got.Records, report = answer.Schema, append(got.Records, answer.Records...), counts
	}
	if d := pit.Diff(s.Want, got, s.Unordered || h.Unordered); d != "" {
		return errors.New(d)
	}
	if s.Report != nil && !slices.Equal(s.Report, report) {
		return fmt.Errorf("match report\n  want %+v\n  got  %+v", s.Report, report)
	}
	return nil
}

func refusal(want *pit.Error, got error) error {
	if !errors.Is(got, want.Kind) {
		return fmt.Errorf("got %v, want an error of the kind %q", got, want.Kind)
	}
	for _, text := range want.Texts {
		if !strings.Contains(got.Error(), text) {
			return fmt.Errorf("the error does not say %q: %v", text, got)
		}
	}
	return nil
}

func ask(ctx context.Context, catalog *stores.Catalog, v pit.Vector, s pit.Step, share joins.Share) (pit.Table, []pit.ViewReport, error) {
	request, err := requestOf(catalog, v, s, share)
	if err != nil {
		return pit.Table{}, nil, err
	}
	job, err := stores.Plan(ctx, request, stores.Options{})
	if err != nil {
		return pit.Table{}, nil, err
	}
	answer := pit.Table{Schema: job.Schema()}
	for rec, err := range job.Records(ctx) {
		if err != nil {
			return answer, nil, err
		}
		rec.Retain()
		answer.Records = append(answer.Records, rec)
	}
	var report []pit.ViewReport
	if job.Report != nil {
		for _, r := range job.Report.Views {
			report = append(report, pit.ViewReport{View: r.View, Matched: r.Matched, Expired: r.Expired, NotYet: r.NotYet,
				UnknownKey: r.UnknownKey, NullKey: r.NullKey})
		}
	}
	return answer, report, nil
}

func requestOf(catalog *stores.Catalog, v pit.Vector, s pit.Step, share joins.Share) (stores.Request, error) {
	window := joins.Window{Start: s.Start, End: s.End}
	switch s.Kind {
	case pit.KindLatest, pit.KindAll:
		view, err := catalog.View(s.View)
		if err != nil {
			return nil, err
		}
		if s.Kind == pit.KindLatest {
			return &stores.Latest{View: view, Features: s.Features, Window: window}, nil
		}
		return &stores.All{View: view, Features: s.Features, Window: window, Share: share}, nil
	}
	r := &stores.Historical{
		Timestamp: s.Timestamp, Window: window, Mode: stores.Mode(s.Kind), FullFeatureNames: s.FullFeatureNames, KnownAt: s.KnownAt,
		Report: s.Report != nil, Share: share,
	}
	for _, use := range v.Uses(s) {
		name := use.View.Name
		if name == "" {
			name = use.Name
		}
		view, err := catalog.View(name)
		if err != nil {
			return nil, err
		}
		f := stores.ViewFeatures{View: view, JoinKeyMap: use.JoinKeyMap, Features: use.Features}
		if use.Name != view.Name {
			f.Alias = use.Name
		}
		r.Features = append(r.Features, f)
	}
	if s.Kind == pit.KindHistorical {
		r.Entities = &stores.Rows{Schema: s.Entities.Schema, Len: s.Entities.Rows(), Records: func(yield func(arrow.Record, error) bool) {
			for _, rec := range s.Entities.Records {
				if !yield(rec, nil) {
					return
				}
			}
		}}
	}
	return r, nil
}
