package stores_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/flightd/flightd/internal/fault"
	"github.com/flightd/flightd/joins"
	"github.com/flightd/flightd/stores"
	"github.com/flightd/flightd/stores/memstore"
	"github.com/flightd/flightd/tickets"
)

var rideColumns = arrow.NewSchema([]arrow.Field{
	{Name: "rate", Type: arrow.PrimitiveTypes.Float32, Nullable: true},
	{Name: "ts", Type: arrow.FixedWidthTypes.Timestamp_us, Nullable: true},
	{Name: "drv", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
	{Name: "trips", Type: arrow.PrimitiveTypes.Int32, Nullable: true},
}, nil)

// rides is a store with one table, and a view of it.
func rides(t *testing.T) *stores.FeatureView {
	t.Helper()
	b := array.NewRecordBuilder(memory.DefaultAllocator, rideColumns)
	for i := range 3 {
		b.Field(0).(*array.Float32Builder).Append(float32(i))
		b.Field(1).(*array.TimestampBuilder).Append(arrow.Timestamp(i))
		b.Field(2).(*array.Int64Builder).Append(int64(i % 2))
		b.Field(3).(*array.Int32Builder).Append(int32(10 * i))
	}
	s := memstore.New()
	if err := s.Put("rides", rideColumns, b.NewRecord()); err != nil {
		t.Fatal(err)
	}
	return &stores.FeatureView{
		Name: "rides", Keys: []string{"driver"}, Timestamp: "ts", FieldMapping: map[string]string{"drv": "driver"}, Store: s, Source: memstore.Source("rides"),
	}
}

func columnNames(s *arrow.Schema) string {
	var names []string
	for _, f := range s.Fields() {
		names = append(names, f.Name)
	}
	return strings.Join(names, " ")
}

func TestSourceOrder(t *testing.T) {
	v := rides(t)
	for want, r := range map[string]stores.Request{
		"driver rate trips ts":  &stores.All{View: v},
		"rate ts driver trips":  &stores.All{View: v, SourceOrder: true},
		"rate ts driver trips ": &stores.Latest{View: v, SourceOrder: true},
		"ts driver trips":       &stores.Latest{View: v, SourceOrder: true, Features: []string{"trips"}},
	} {
		job, err := stores.Plan(context.Background(), r, stores.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got := columnNames(job.Schema()); got != strings.TrimSpace(want) {
			t.Errorf("%+v: %s, want %s", r, got, want)
		}
		for _, rec := range answer(t, job) {
			if i := rec.Schema().FieldIndices("trips")[0]; rec.Column(i).(*array.Int32).Value(0)%10 != 0 {
				t.Errorf("%+v: trips %v", r, rec.Column(i))
			}
		}
	}
}

// unfilled is a store whose sources hold nothing yet.
type unfilled struct{ stores.OfflineStore }

func (unfilled) Schema(context.Context, stores.DataSource) (*arrow.Schema, error) {
	return nil, fault.New(fault.Precondition, "the folder is empty, so %w", stores.ErrNoColumns)
}

// TestDeclaredColumns: a source that holds nothing is one without rows if its columns are declared, and an error if not.
func TestDeclaredColumns(t *testing.T) {
	v := rides(t)
	entities := stores.Rows{Schema: arrow.NewSchema([]arrow.Field{
		{Name: "driver", Type: arrow.PrimitiveTypes.Int64}, {Name: "event_timestamp", Type: arrow.FixedWidthTypes.Timestamp_us},
	}, nil), Len: 1}
	b := array.NewRecordBuilder(memory.DefaultAllocator, entities.Schema)
	b.Field(0).(*array.Int64Builder).Append(1)
	b.Field(1).(*array.TimestampBuilder).Append(5)
	rec := b.NewRecord()
	entities.Records = func(yield func(arrow.Record, error) bool) { yield(rec, nil) }
	request := &stores.Historical{Features: []stores.ViewFeatures{{View: v, Features: []string{"trips"}}}, Entities: &entities}

	v.Store = unfilled{v.Store}
	if _, err := stores.Plan(context.Background(), request, stores.Options{}); fault.KindOf(err) != fault.Precondition || !errors.Is(err, stores.ErrNoColumns) {
		t.Fatalf("without declared columns: %v", err)
	}
	v.Schema = arrow.NewSchema([]arrow.Field{
		{Name: "driver", Type: arrow.PrimitiveTypes.Int64}, {Name: "trips", Type: arrow.PrimitiveTypes.Int32}, {Name: "ts", Type: arrow.FixedWidthTypes.Timestamp_us},
	}, nil)
	job, err := stores.Plan(context.Background(), request, stores.Options{})
	if err != nil {
		t.Fatal(err)
	}
	got := answer(t, job)[0]
	if f := got.Schema().Field(2); f.Name != "trips" || f.Type != arrow.PrimitiveTypes.Int32 || got.Column(2).NullN() != 1 {
		t.Errorf("got %v", got)
	}
	job, err = stores.Plan(context.Background(), &stores.All{View: v, Window: joins.Window{End: time.Now()}}, stores.Options{})
	if err != nil || columnNames(job.Schema()) != "driver trips ts" || len(answer(t, job)) != 0 {
		t.Errorf("all: %v, %v", job, err)
	}
	if job, err = stores.Plan(context.Background(), &stores.Latest{View: v}, stores.Options{}); err != nil || len(answer(t, job)) != 0 {
		t.Errorf("latest: %v", err)
	}
}

// TestProjections: a service may use one view twice, with other keys.
func TestProjections(t *testing.T) {
	v := rides(t)
	projections := []stores.ViewFeatures{
		{View: v, Alias: "from", JoinKeyMap: map[string]string{"driver": "a"}, Features: []string{"rate"}},
		{View: v, Alias: "to", JoinKeyMap: map[string]string{"driver": "b"}, Features: []string{"rate"}},
	}
	c, err := stores.NewCatalog([]*stores.FeatureView{v}, []*stores.FeatureService{{
		Name: "both", Features: []stores.FeatureRef{{View: "rides", Feature: "rate"}}, Projections: projections,
	}})
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.Resolve(&tickets.Ticket{Historical: &tickets.Historical{FeatureService: "both", FullFeatureNames: true}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, f := range got.(*stores.Historical).Features {
		names = append(names, f.Name())
	}
	if !slices.Equal(names, []string{"from", "to"}) {
		t.Errorf("got %v", names)
	}
}

func TestMissingColumn(t *testing.T) {
	v := rides(t)
	v.Keys = []string{"drover"}
	_, err := stores.Plan(context.Background(), &stores.All{View: v}, stores.Options{})
	var missing *stores.MissingColumnError
	if !errors.As(err, &missing) || missing.Role != "join key" || missing.Column != "drover" || fault.KindOf(err) != fault.Precondition {
		t.Fatalf("%v", err)
	}
	if want := `source rides has no column "drover" (join key of the view); did you mean "driver"?`; missing.Error() != want {
		t.Errorf("%v, want %s", missing, want)
	}
}
