package flightsvc

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"google.golang.org/grpc/codes"
)

// metrics are what a server counts of its calls. Labels have few values: names that a client chooses are in the log alone.
type metrics struct {
	registry *prometheus.Registry

	calls    *prometheus.CounterVec   // call, kind, code
	seconds  *prometheus.HistogramVec // call, kind
	stages   *prometheus.HistogramVec // kind, stage
	first    *prometheus.HistogramVec // kind
	rows     *prometheus.CounterVec   // direction
	bytes    *prometheus.CounterVec   // direction
	files    *prometheus.CounterVec   // outcome
	parts    *prometheus.CounterVec   // outcome
	stored   *prometheus.CounterVec   // outcome
	scanned  prometheus.Counter
	fetched  prometheus.Counter
	panics   prometheus.Counter
	requests *prometheus.CounterVec   // Feast's: method, status
	latency  *prometheus.HistogramVec // Feast's: method
	answered *prometheus.HistogramVec // Feast's: method
}

// seconds from a millisecond to the longest call.
var secondsBuckets = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 3600}

// newMetrics makes the metrics of a server.
func newMetrics(s *Server) *metrics {
	m := &metrics{registry: prometheus.NewRegistry()}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
		m.registry.MustRegister(c)
		return c
	}
	histogram := func(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
		h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
		m.registry.MustRegister(h)
		return h
	}
	m.calls = counter("flightd_calls_total", "Flight calls that have ended, by gRPC status code.", "call", "kind", "code")
	m.seconds = histogram("flightd_call_seconds", "How long calls took, waits and uploads included.", secondsBuckets, "call", "kind")
	m.stages = histogram("flightd_stage_seconds", "How long calls were in each of their stages: queue, receive, plan, work, send.", secondsBuckets, "kind", "stage")
	m.first = histogram("flightd_first_batch_seconds", "How long it took until the first record batch of an answer was ready to go.", secondsBuckets, "kind")
	m.rows = counter("flightd_rows_total", "Rows that were sent in answers, and rows that were written or staged.", "direction")
	m.bytes = counter("flightd_bytes_total", "Bytes of messages with rows that were sent and received.", "direction")
	m.files = counter("flightd_files_total", "Files of sources that calls have read, and skipped as a whole.", "outcome")
	m.parts = counter("flightd_parts_total", "Parts of sources (row groups) that calls have read and skipped.", "outcome")
	m.stored = counter("flightd_source_bytes_total", "Bytes, as they are stored, of columns that calls have read and skipped.", "outcome")
	m.scanned = counter("flightd_history_rows_total", "Feature rows that were looked at.").WithLabelValues()
	m.fetched = counter("flightd_fetched_rows_total", "Feature rows whose features were fetched by position.").WithLabelValues()
	m.panics = counter("flightd_panics_total", "Panics that were met in calls: bugs.").WithLabelValues()

	m.requests = counter("feast_offline_store_request_total", "Total offline store retrieval requests", "method", "status")
	m.latency = histogram("feast_offline_store_request_latency_seconds", "Latency of offline store retrieval operations in seconds",
		[]float64{.1, .5, 1, 5, 10, 30, 60, 120, 300, 600}, "method")
	m.answered = histogram("feast_offline_store_row_count", "Number of rows returned by offline store retrieval",
		[]float64{100, 1000, 10_000, 100_000, 500_000, 1_000_000, 5_000_000}, "method")

	m.state(s)
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// state registers what is looked at when somebody asks.
func (m *metrics) state(s *Server) {
	gauge := func(name, help string, value func() int64, labels ...string) {
		opts := prometheus.GaugeOpts{Name: name, Help: help}
		if len(labels) > 0 {
			opts.ConstLabels = prometheus.Labels{labels[0]: labels[1]}
		}
		m.registry.MustRegister(prometheus.NewGaugeFunc(opts, func() float64 { return float64(value()) }))
	}
	for name, g := range map[string]*gate{"reads": s.reads, "uploads": s.uploads, "plans": s.plans} {
		gauge("flightd_waiting_calls", "Calls that wait for a place among those that run (limits.concurrent).", g.waiting.Load, "gate", name)
		gauge("flightd_running_calls", "Calls that have a place among those that run (limits.concurrent).", g.inside.Load, "gate", name)
	}
	gauge("flightd_memory_reserved_bytes", "Bytes of limits.memory that calls and staged rows hold.", s.memory.inUse.Load)
	gauge("flightd_memory_limit_bytes", "limits.memory", func() int64 { return s.limits.Memory })
	gauge("flightd_staged_bytes", "Bytes of staged entity rows, part of those reserved.", s.staging.held)
	gauge("flightd_connections", "Connections of clients.", s.arrivals.open.Load)
	gauge("flightd_ready", "1 if calls are taken and the definitions can be read.", func() int64 {
		ctx, cancel := context.WithTimeout(s.closing, readyWithin)
		defer cancel()
		if s.Ready(ctx) == nil {
			return 1
		}
		return 0
	})
	if s.spill != nil {
		gauge("flightd_spilled_bytes", "Bytes of entity rows in limits.spill_dir.", s.spill.used.Load)
	}
	if s.indexes != nil {
		gauge("flightd_index_bytes", "Bytes of indexes that are kept (limits.index).", s.indexes.Bytes)
		m.registry.MustRegister(
			prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "flightd_index_built_total", Help: "Indexes that were built."},
				func() float64 { return float64(s.indexes.Built()) }),
			prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "flightd_index_hits_total", Help: "Times that an index has answered for parts of a call."},
				func() float64 { return float64(s.indexes.Hits()) }),
		)
	}
}

// stage is what a call is busy with. What is none of the others is work: the join, or a write.
type stage int

const (
	queueing stage = iota
	receiving
	planning
	sending
	working
	stageCount
)

var stageNames = [stageCount]string{"queue", "receive", "plan", "send", "work"}

// in adds the time until the returned function is called to a stage.
func (c *call) in(s stage) (out func()) {
	start := time.Now()
	return func() { c.spent[s].Add(int64(time.Since(start))) }
}

// planned is in for planning, without the messages that are received meanwhile.
func (c *call) planned() (out func()) {
	start, others := time.Now(), c.spent[receiving].Load()+c.spent[queueing].Load()
	return func() {
		others = c.spent[receiving].Load() + c.spent[queueing].Load() - others
		c.spent[planning].Add(int64(time.Since(start)) - others)
	}
}

// stages are how long a call of a given length was in each stage.
func (c *call) stages(took time.Duration) (all [stageCount]time.Duration) {
	rest := took
	for s := range working {
		all[s] = time.Duration(c.spent[s].Load())
		rest -= all[s]
	}
	all[working] = max(0, rest)
	return all
}

// ended counts a call.
func (m *metrics) ended(c *call, code codes.Code, took time.Duration) {
	kind := c.kind
	if kind == "" {
		kind = "none"
	}
	m.calls.WithLabelValues(c.method, kind, code.String()).Inc()
	m.seconds.WithLabelValues(c.method, kind).Observe(took.Seconds())
	for s, spent := range c.stages(took) {
		if spent > 0 {
			m.stages.WithLabelValues(kind, stageNames[s]).Observe(spent.Seconds())
		}
	}
	if c.first > 0 {
		m.first.WithLabelValues(kind).Observe(c.first.Seconds())
	}
	direction := "sent"
	if c.method == "DoPut" {
		direction = "received"
	}
	m.rows.WithLabelValues(direction).Add(float64(c.rows))
	if direction == "sent" {
		m.bytes.WithLabelValues("sent").Add(float64(c.bytes))
	}
	m.bytes.WithLabelValues("received").Add(float64(c.came.Load()))
	if t := c.trace; t != nil {
		m.files.WithLabelValues("read").Add(float64(t.FilesRead))
		m.files.WithLabelValues("skipped").Add(float64(t.FilesSkipped))
		m.parts.WithLabelValues("read").Add(float64(t.PartsRead))
		m.parts.WithLabelValues("skipped").Add(float64(t.PartsSkipped))
		m.stored.WithLabelValues("read").Add(float64(t.BytesRead))
		m.stored.WithLabelValues("skipped").Add(float64(t.BytesSkipped))
		m.scanned.Add(float64(t.RowsRead))
		m.fetched.Add(float64(t.Fetched))
		m.feast(c, code, took)
	}
}

// feast counts a retrieval as Feast's own server does, so that dashboards made for that go on.
func (m *metrics) feast(c *call, code codes.Code, took time.Duration) {
	const method = "to_arrow"
	status := "success"
	if code != codes.OK {
		status = "error"
	}
	m.requests.WithLabelValues(method, status).Inc()
	m.latency.WithLabelValues(method).Observe(took.Seconds())
	m.answered.WithLabelValues(method).Observe(float64(c.rows))
}

// Ready says why calls should not be sent here now: the server has not begun to take them or does not any more, or its
// definitions cannot be read. A store that does not answer is no reason: others may.
func (s *Server) Ready(ctx context.Context) error {
	switch {
	case s.closing.Err() != nil:
		return errDraining
	case !s.serving.Load():
		return errors.New("the server does not take calls yet")
	}
	_, err := s.catalog(ctx)
	return err
}

// readyWithin is how long the definitions may take to be read before the server is not ready.
const readyWithin = 2 * time.Second

// Metrics are what the server counts, for Prometheus.
func (s *Server) Metrics() prometheus.Gatherer { return s.metrics.registry }
