package flightsvc

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/flight"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"google.golang.org/protobuf/proto"

	"github.com/flightd/flightd/internal/arrowsize"
)

// sink keeps what an answer sends.
type sink struct{ messages []*flight.FlightData }

func (s *sink) SendMsg(m any) error {
	pieces := m.(*outbound).encode()
	defer pieces.Free()
	data := new(flight.FlightData)
	if err := proto.Unmarshal(pieces.Materialize(), data); err != nil {
		return err
	}
	s.messages = append(s.messages, data)
	return nil
}

func strs(n int, width int) arrow.Record {
	b := array.NewRecordBuilder(memory.DefaultAllocator, arrow.NewSchema([]arrow.Field{
		{Name: "n", Type: arrow.PrimitiveTypes.Int64}, {Name: "s", Type: arrow.BinaryTypes.String}}, nil))
	for i := range n {
		b.Field(0).(*array.Int64Builder).Append(int64(i))
		b.Field(1).(*array.StringBuilder).Append(strings.Repeat("x", width))
	}
	return b.NewRecord()
}

func TestPiecesHaveBatchSize(t *testing.T) {
	for _, c := range []struct{ rows, width int }{{0, 0}, {1, 0}, {200_000, 0}, {100_000, 100}, {10, 1 << 20}, {3, 6 << 20}} {
		rec := strs(c.rows, c.width)
		var next int64
		for piece := range pieces(rec, arrowsize.Rows(rec)) {
			n, size := piece.NumRows(), arrowsize.Record(piece)
			if n > maxBatchRows || size > maxBatchBytes && n > 1 {
				t.Errorf("%d rows of %d bytes: a piece has %d rows and %d bytes", c.rows, c.width, n, size)
			}
			for i := range int(n) {
				if got := piece.Column(0).(*array.Int64).Value(i); got != next {
					t.Fatalf("%d rows of %d bytes: row %d where %d is due", c.rows, c.width, got, next)
				}
				next++
			}
		}
		if next != int64(c.rows) {
			t.Errorf("%d rows of %d bytes: the pieces have %d rows", c.rows, c.width, next)
		}
	}
}

func TestAnswerMetadataTravelsWithTheLastBatch(t *testing.T) {
	report := func() []byte { return []byte("{}") }
	none := func() []byte { return nil }
	large := strs(40_000, 1)
	for _, c := range []struct {
		name    string
		records []arrow.Record
		last    func() []byte
		want    []int // metadata bytes of each message, the schema first
	}{
		{"no rows, no report", nil, none, []int{0}},
		{"no rows, report", nil, report, []int{0, 2}},
		{"rows", []arrow.Record{large, large}, none, []int{0, 0, 0}},
		{"rows and report", []arrow.Record{large, large}, report, []int{0, 0, 2}},
		{"few rows and report", []arrow.Record{strs(3, 1), strs(0, 1), strs(2, 1)}, report, []int{0, 2}},
	} {
		out := new(sink)
		pool := newPool(1 << 30)
		a := newAnswer(out, strs(0, 0).Schema(), pool.account(time.Second))
		if err := a.stream(t.Context(), sequence(c.records), c.last); err != nil {
			t.Fatal(err)
		}
		var got []int
		for _, m := range out.messages {
			got = append(got, len(m.AppMetadata))
			if len(m.DataHeader) == 0 {
				t.Errorf("%s: a message without a header, at which pyarrow would stop reading", c.name)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: metadata %v, want %v", c.name, got, c.want)
		}
		if pool.inUse.Load() != 0 {
			t.Errorf("%s: %d bytes are still taken", c.name, pool.inUse.Load())
		}
	}
}

// TestBuffersAreReleasedWhenTheyAreSent: a record whose memory is not Go's is let go of when gRPC has written it, however
// its message ends.
func TestBuffersAreReleasedWhenTheyAreSent(t *testing.T) {
	for name, send := range map[string]func(m *outbound) error{
		"written": func(m *outbound) error { m.encode().Free(); return nil },
		"refused": func(*outbound) error { return errStalled },
	} {
		allocator := memory.NewCheckedAllocator(memory.DefaultAllocator)
		b := array.NewRecordBuilder(allocator, arrow.NewSchema([]arrow.Field{{Name: "n", Type: arrow.PrimitiveTypes.Int64}}, nil))
		for i := range 100_000 {
			b.Field(0).(*array.Int64Builder).Append(int64(i))
		}
		rec := b.NewRecord()
		b.Release()
		a := newAnswer(sender(send), rec.Schema(), newPool(1<<30).account(time.Second))
		err := a.stream(t.Context(), sequence([]arrow.Record{rec, rec}), func() []byte { return nil })
		if (err != nil) != (name == "refused") {
			t.Errorf("%s: %v", name, err)
		}
		if allocator.CurrentAlloc() == 0 {
			t.Errorf("%s: the record was released by somebody who has not got it", name)
		}
		rec.Release()
		allocator.AssertSize(t, 0)
	}
}

// TestSlicesDoNotKeepLargeRecords: a batch that waits for its client must not hold what its producer has given back.
func TestSlicesDoNotKeepLargeRecords(t *testing.T) {
	for size, copied := range map[int]bool{8 << 10: false, 64 << 20: true} {
		rec := strs(64, size/64)
		first := rec.Column(1).Data().Buffers()[2].Bytes()
		var bodies [][]byte
		a := newAnswer(sender(func(m *outbound) error { bodies = append(bodies, m.body...); return nil }), rec.Schema(), newPool(1<<30).account(time.Second))
		if err := a.stream(t.Context(), sequence([]arrow.Record{rec}), func() []byte { return nil }); err != nil {
			t.Fatal(err)
		}
		inside := slices.ContainsFunc(bodies, func(b []byte) bool { return len(b) > 0 && &b[0] == &first[0] })
		if inside == copied {
			t.Errorf("a record of %d bytes: its buffers are sent themselves: %v", size, inside)
		}
	}
}

type sender func(m *outbound) error

func (s sender) SendMsg(m any) error { return s(m.(*outbound)) }
