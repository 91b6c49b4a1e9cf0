package flightsvc

import (
	"context"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	otelcodes "go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
)

// carrier reads the context of a trace from the metadata of a call (W3C Trace Context).
type carrier metadata.MD

// Get implements propagation.TextMapCarrier.
func (c carrier) Get(key string) string {
	if values := metadata.MD(c).Get(key); len(values) > 0 {
		return values[0]
	}
	return ""
}

// Set implements propagation.TextMapCarrier.
func (c carrier) Set(key, value string) { metadata.MD(c).Set(key, value) }

// Keys implements propagation.TextMapCarrier.
func (c carrier) Keys() (all []string) {
	for key := range c {
		all = append(all, key)
	}
	return all
}

// traced begins the span of a call, in the trace of its caller if it has one.
func (s *Server) traced(ctx context.Context, c *call, method string) context.Context {
	if s.tracer == nil {
		return ctx
	}
	if md, ok := metadata.FromIncomingContext(ctx); ok {
		ctx = propagation.TraceContext{}.Extract(ctx, carrier(md))
	}
	name := strings.TrimPrefix(method, "/")
	service, short, _ := strings.Cut(name, "/")
	ctx, c.span = s.tracer.Start(ctx, name, trace.WithSpanKind(trace.SpanKindServer), trace.WithTimestamp(c.start), trace.WithAttributes(
		attribute.String("rpc.system", "grpc"), attribute.String("rpc.service", service), attribute.String("rpc.method", short),
		attribute.String("flightd.call_id", c.id),
	))
	return ctx
}

// endSpan ends the span of a call with what its log line says, as far as that has few bytes.
func (c *call) endSpan(code codes.Code, took time.Duration, err error) {
	if c.span == nil {
		return
	}
	c.span.SetAttributes(
		attribute.Int("rpc.grpc.status_code", int(code)), attribute.String("flightd.kind", c.kind), attribute.StringSlice("flightd.views", c.views),
		attribute.Int64("flightd.rows", c.rows), attribute.Int64("flightd.bytes", c.bytes), attribute.Int64("flightd.memory", c.memory.peak.Load()),
	)
	for s, spent := range c.stages(took) {
		c.span.SetAttributes(attribute.Float64("flightd.seconds."+stageNames[s], spent.Seconds()))
	}
	if t := c.trace; t != nil {
		c.span.SetAttributes(attribute.Int64("flightd.files_read", t.FilesRead), attribute.Int64("flightd.files_skipped", t.FilesSkipped),
			attribute.Int64("flightd.history_rows", t.RowsRead))
	}
	if c.first > 0 {
		c.span.AddEvent("first batch", trace.WithTimestamp(c.start.Add(c.first)))
	}
	switch code {
	case codes.OK:
	case codes.Unknown, codes.DeadlineExceeded, codes.Unimplemented, codes.Internal, codes.Unavailable, codes.DataLoss: // the server's fault
		c.span.SetStatus(otelcodes.Error, statusText(err))
	}
	c.span.End(trace.WithTimestamp(c.start.Add(took)))
}

func statusText(err error) string {
	if err == nil {
		return ""
	}
	return clip(err.Error())
}
