package flightsvc

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"google.golang.org/grpc/metadata"
)

// metric is the value of a metric of a server, or of all with its name and these labels together; histograms count.
func metric(t *testing.T, s *Server, name string, labels ...string) (sum float64) {
	t.Helper()
	families, err := s.Metrics().Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
	metrics:
		for _, m := range family.GetMetric() {
			have := make(map[string]string)
			for _, l := range m.GetLabel() {
				have[l.GetName()] = l.GetValue()
			}
			for i := 0; i < len(labels); i += 2 {
				if have[labels[i]] != labels[i+1] {
					continue metrics
				}
			}
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return sum
}

// TestMetrics makes calls of several kinds and looks for each of them where it is counted.
func TestMetrics(t *testing.T) {
	f := serve(t, twoDays(t), Limits{Index: 1 << 20})
	ctx := t.Context()
	if _, err := f.get(ctx, []byte(`{"all": {"view": "stats", "start": "2024-01-02T00:00:00Z"}}`)); err != nil {
		t.Fatal(err)
	}
	if _, err := f.get(ctx, []byte(`{"all": {"view": "nothing"}}`)); err == nil {
		t.Fatal("a view that is not there was found")
	}
	if _, err := f.get(ctx, []byte(`{`)); err == nil {
		t.Fatal("half a ticket was taken")
	}
	if _, err := f.stage(ctx, many(5)); err != nil {
		t.Fatal(err)
	}
	f.idle()
	for _, want := range []struct {
		name   string
		value  float64
		labels []string
	}{
		{"flightd_calls_total", 1, []string{"call", "DoGet", "kind", "all", "code", "OK"}},
		{"flightd_calls_total", 1, []string{"call", "DoGet", "kind", "all", "code", "NotFound"}},
		{"flightd_calls_total", 1, []string{"call", "DoGet", "kind", "none", "code", "InvalidArgument"}},
		{"flightd_calls_total", 1, []string{"call", "DoPut", "kind", "entity_rows", "code", "OK"}},
		{"flightd_call_seconds", 2, []string{"call", "DoGet", "kind", "all"}},
		{"flightd_stage_seconds", 1, []string{"kind", "entity_rows", "stage", "receive"}},
		{"flightd_stage_seconds", 1, []string{"kind", "all", "stage", "send"}},
		{"flightd_first_batch_seconds", 1, []string{"kind", "all"}},
		{"flightd_rows_total", 3, []string{"direction", "sent"}},
		{"flightd_rows_total", 5, []string{"direction", "received"}},
		{"flightd_files_total", 1, []string{"outcome", "read"}},
		{"flightd_files_total", 1, []string{"outcome", "skipped"}},
		{"flightd_history_rows_total", 3, nil},
		{"flightd_memory_limit_bytes", 4 << 30, nil},
		{"flightd_connections", 1, nil},
		{"flightd_running_calls", 0, nil},
		{"flightd_waiting_calls", 0, nil},
		{"flightd_ready", 1, nil},
		{"flightd_index_built_total", 0, nil},
		{"feast_offline_store_request_total", 1, []string{"method", "to_arrow", "status", "success"}},
		{"feast_offline_store_row_count", 1, []string{"method", "to_arrow"}},
		{"feast_offline_store_request_latency_seconds", 1, []string{"method", "to_arrow"}},
	} {
		if have := metric(t, f.server, want.name, want.labels...); have != want.value {
			t.Errorf("%s%v is %v, want %v", want.name, want.labels, have, want.value)
		}
	}
	for _, name := range []string{"flightd_staged_bytes", "flightd_memory_reserved_bytes", "flightd_bytes_total", "go_goroutines", "process_resident_memory_bytes"} {
		if metric(t, f.server, name) <= 0 {
			t.Errorf("%s says nothing", name)
		}
	}
	f.server.staging.clear()
}

// TestMetricNames holds the names to the conventions of Prometheus. Feast's are what they are.
func TestMetricNames(t *testing.T) {
	f := serve(t, twoDays(t), Limits{Index: 1 << 20, SpillDir: t.TempDir()})
	if _, err := f.get(t.Context(), []byte(`{"all": {"view": "stats"}}`)); err != nil {
		t.Fatal(err)
	}
	f.idle()
	problems, err := testutil.GatherAndLint(f.server.Metrics())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if !strings.HasPrefix(p.Metric, "feast_") {
			t.Error(promlint.Problem(p))
		}
	}
}

// TestReady: a server is ready between the beginning of its work and that of its end, while its definitions can be read.
func TestReady(t *testing.T) {
	idle, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := idle.Ready(t.Context()); err == nil {
		t.Error("a server that does not take calls yet is ready")
	}
	f := serve(t, twoDays(t), Limits{})
	f.await("a server that is ready", func() bool { return f.server.Ready(t.Context()) == nil })
	f.drain()
	f.await("one that is not ready any more", func() bool { return f.server.Ready(t.Context()) != nil })
}

// TestSpans: a call is a span of its caller's trace, with what the log says of it.
func TestSpans(t *testing.T) {
	made := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(made))
	f := serve(t, twoDays(t), Limits{}, func(s *Server) { s.tracer = provider.Tracer("test") })
	const trace, parent = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	ctx := metadata.AppendToOutgoingContext(t.Context(), "traceparent", "00-"+trace+"-"+parent+"-01")
	if _, err := f.get(ctx, []byte(`{"all": {"view": "stats"}}`)); err != nil {
		t.Fatal(err)
	}
	if _, err := f.get(t.Context(), []byte(`{"all": {"view": "nothing"}}`)); err == nil {
		t.Fatal("a view that is not there was found")
	}
	f.idle()
	f.await("two spans", func() bool { return len(made.GetSpans()) == 2 })
	first, second := made.GetSpans()[0], made.GetSpans()[1]
	if first.SpanContext.TraceID().String() != trace || first.Parent.SpanID().String() != parent || !first.Parent.IsRemote() {
		t.Errorf("the span is of the trace %s under %s", first.SpanContext.TraceID(), first.Parent.SpanID())
	}
	if first.Name != "arrow.flight.protocol.FlightService/DoGet" || !first.EndTime.After(first.StartTime) || len(first.Events) != 1 {
		t.Errorf("the span is %q, %d events, from %s to %s", first.Name, len(first.Events), first.StartTime, first.EndTime)
	}
	attributes := make(map[string]string)
	for _, a := range first.Attributes {
		attributes[string(a.Key)] = a.Value.Emit()
	}
	for key, want := range map[string]string{
		"rpc.system": "grpc", "rpc.method": "DoGet", "rpc.grpc.status_code": "0", "flightd.kind": "all", "flightd.views": `["stats"]`,
		"flightd.rows": "6", "flightd.files_read": "2", "flightd.call_id": f.calls("DoGet", 2)[0]["id"].(string),
	} {
		if attributes[key] != want {
			t.Errorf("%s is %q, want %q", key, attributes[key], want)
		}
	}
	if id := f.calls("DoGet", 2)[0]["trace_id"]; id != trace {
		t.Errorf("the log line has the trace %v", id)
	}
	if second.Parent.IsValid() || second.SpanContext.TraceID() == first.SpanContext.TraceID() {
		t.Error("a call without a trace is in one of another's")
	}
}

// TestStages: the stages of a call add up to its time, and a client that is slow to read shows as sending.
func TestStages(t *testing.T) {
	c := &call{}
	c.in(queueing)()
	func() {
		defer c.planned()()
		defer c.in(receiving)()
		time.Sleep(20 * time.Millisecond)
	}()
	all := c.stages(time.Second)
	sum := time.Duration(0)
	for _, spent := range all {
		sum += spent
	}
	if sum != time.Second || all[receiving] < 20*time.Millisecond || all[planning] > 10*time.Millisecond || all[working] < 900*time.Millisecond {
		t.Errorf("the stages are %v", all)
	}
}
