package app

import (
	"context"
	"net"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"
)

// received is a collector of OpenTelemetry that keeps what comes.
type received struct {
	collector.UnimplementedTraceServiceServer
	requests chan *collector.ExportTraceServiceRequest
}

func (r *received) Export(_ context.Context, request *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	r.requests <- request
	return &collector.ExportTraceServiceResponse{}, nil
}

// TestTraces sends a span to where the environment says, and none if it says nothing.
func TestTraces(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "")
	t.Setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "")
	if provider, _, err := traces(t.Context()); provider != nil || err != nil {
		t.Errorf("without a collector: %v, %v", provider, err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &received{requests: make(chan *collector.ExportTraceServiceRequest, 1)}
	server := grpc.NewServer()
	collector.RegisterTraceServiceServer(server, r)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	defer func() {
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+listener.Addr().String())
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test")
	provider, stop, err := traces(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, span := provider.Tracer("test").Start(t.Context(), "a call")
	span.End()
	stop()
	request := <-r.requests
	resource := request.ResourceSpans[0]
	attributes := make(map[string]string)
	for _, a := range resource.Resource.Attributes {
		attributes[a.Key] = a.Value.GetStringValue()
	}
	if attributes["service.name"] != "flightd" || attributes["deployment.environment"] != "test" {
		t.Errorf("the resource is %v", attributes)
	}
	if name := resource.ScopeSpans[0].Spans[0].Name; name != "a call" {
		t.Errorf("the span is %q", name)
	}
}
