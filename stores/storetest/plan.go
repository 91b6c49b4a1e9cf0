package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/flightd/flightd/stores"
)

var planChecks = []check{
	{"plan", "A planned job knows its schema, and holds nothing before it is ranged over and after it is left.", needsPlan, checkPlan},
}

// requests are one question of each kind about a history.
func (o *one) requests() map[string]stores.Request {
	view := &stores.FeatureView{
		Name: "stats", Keys: []string{"driver_id"}, Timestamp: "event_timestamp", Store: o.OfflineStore, Source: o.src,
	}
	end := time.UnixMicro(base + 1000*step).UTC()
	timeline := &stores.Historical{Features: []stores.ViewFeatures{{View: view, Features: []string{"note"}}}, Mode: stores.Timeline}
	timeline.Window.Start, timeline.Window.End = time.UnixMicro(base).UTC(), end
	historical := &stores.Historical{Features: timeline.Features, FullFeatureNames: true}
	historical.Entities = rowsOfRecord(o.table.columns("driver_id", "event_timestamp").Records[0])
	return map[string]stores.Request{
		"all": &stores.All{View: view}, "latest": &stores.Latest{View: view}, "timeline": timeline, "historical": historical,
	}
}

// plansAny says whether the store answers any kind of request itself.
func (o *one) plansAny(ctx context.Context) bool {
	planner, ok := o.OfflineStore.(stores.PlanningStore)
	if !ok {
		return false
	}
	for _, r := range o.requests() {
		if _, err := planner.Plan(ctx, r); !errors.Is(err, errors.ErrUnsupported) {
			return true
		}
	}
	return false
}

// checkPlan asks the store's own Plan. What it leaves to package joins is tested through its tables. The answers are
// compared with those of package joins by the vectors and the random questions.
func checkPlan(t *testing.T, h Harness) error {
	s, err := h.open(t, history(20, 500))
	if err != nil {
		return err
	}
	planner := s.OfflineStore.(stores.PlanningStore)
	for kind, r := range s.requests() {
		job, err := planner.Plan(t.Context(), r) // whatever a store keeps open, it now has
		if errors.Is(err, errors.ErrUnsupported) {
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %w", kind, err)
		}
		if err := readJob(t.Context(), job); err != nil {
			return fmt.Errorf("%s: %w", kind, err)
		}
		if err := leaveJob(t, planner, r); err != nil {
			return fmt.Errorf("%s: %w", kind, err)
		}
	}
	return nil
}

// readJob reads a job to its end.
func readJob(ctx context.Context, job *stores.RetrievalJob) error {
	_, err := read(job.Records(ctx), job.Schema().Fields())
	return err
}

// leaveJob plans and does not read, plans and reads one record, plans and reads with a context that has ended.
func leaveJob(t *testing.T, planner stores.PlanningStore, r stores.Request) error {
	defer uncollected()()
	before := held()
	for range 10 {
		if _, err := planner.Plan(t.Context(), r); err != nil {
			return err
		}
	}
	if err := before.settled(); err != nil {
		return fmt.Errorf("planned, not read: %w", err)
	}
	for range 10 {
		job, err := planner.Plan(t.Context(), r)
		if err != nil {
			return err
		}
		for _, err := range job.Records(t.Context()) {
			if err != nil {
				return err
			}
			break
		}
	}
	if err := before.settled(); err != nil {
		return fmt.Errorf("left at the first record: %w", err)
	}
	job, err := planner.Plan(t.Context(), r)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := readJob(ctx, job); !errors.Is(err, context.Canceled) {
		return fmt.Errorf("read with a context that has ended: %v", err)
	}
	return before.settled()
}
