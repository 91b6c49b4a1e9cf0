//go:build unix

package ondemand

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/flightd/flightd/internal/fault"
)

var int64s = arrow.NewSchema([]arrow.Field{{Name: "x", Type: arrow.PrimitiveTypes.Int64}}, nil)

func record(values ...int64) arrow.Record {
	b := array.NewRecordBuilder(memory.DefaultAllocator, int64s)
	defer b.Release()
	b.Field(0).(*array.Int64Builder).AppendValues(values, nil)
	return b.NewRecord()
}

func sequence(records ...arrow.Record) iter.Seq2[arrow.Record, error] {
	return func(yield func(arrow.Record, error) bool) {
		for _, rec := range records {
			if !yield(rec, nil) {
				return
			}
		}
	}
}

// bind asks a view for outputs that are all int64.
func bind(t testing.TB, outputs ...string) *Transformation {
	t.Helper()
	v := View{Name: "v", Definition: []byte("definition")}
	for _, o := range outputs {
		v.Outputs = append(v.Outputs, Output{o, arrow.PrimitiveTypes.Int64})
	}
	bound, err := Bind(int64s, []View{v}, false)
	if err != nil {
		t.Fatal(err)
	}
	return bound
}

// open makes a pool that is closed at the end of the test.
func open(t testing.TB, o Options) *Pool {
	p := New(o)
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// ask transforms one record and returns the values of the first output.
func ask(ctx context.Context, p *Pool, t *Transformation, values ...int64) (got []int64, err error) {
	for rec, err := range p.Apply(ctx, t, sequence(record(values...))) {
		if err != nil {
			return nil, err
		}
		got = append(got, rec.Column(1).(*array.Int64).Int64Values()...)
	}
	return got, nil
}

func TestApplyKeepsOrderAndRows(t *testing.T) {
	p, bound := open(t, fakeOptions("good")), bind(t, "y", "z")
	large := make([]int64, 200_000)
	for i := range large {
		large[i] = int64(i)
	}
	in := []arrow.Record{record(), record(7), record(8, 9), record(), record(large...), record(5), record(large[:batchRows]...), record()}
	var rows []int64
	var got, want []int64
	for rec, err := range p.Apply(t.Context(), bound, sequence(in...)) {
		if err != nil {
			t.Fatal(err)
		}
		if !rec.Schema().Equal(bound.Schema()) {
			t.Fatalf("schema %v, want %v", rec.Schema(), bound.Schema())
		}
		rows = append(rows, rec.NumRows())
		x, y, z := rec.Column(0).(*array.Int64), rec.Column(1).(*array.Int64), rec.Column(2).(*array.Int64)
		for i := range x.Len() {
			if y.Value(i) != x.Value(i)+1 || z.Value(i) != x.Value(i)+1 {
				t.Fatalf("outputs %d and %d of %d", y.Value(i), z.Value(i), x.Value(i))
			}
		}
		got = append(got, x.Int64Values()...)
	}
	for _, rec := range in {
		want = append(want, rec.Column(0).(*array.Int64).Int64Values()...)
	}
	if !slices.Equal(got, want) {
		t.Errorf("%d rows, %d were sent; or others", len(got), len(want))
	}
	if want := []int64{1, 2, batchRows, batchRows, batchRows, 200_000 - 3*batchRows, 1, batchRows}; !slices.Equal(rows, want) {
		t.Errorf("records of %v rows, want %v", rows, want)
	}
}

func TestWideRowsAreCutByBytes(t *testing.T) {
	in := arrow.NewSchema([]arrow.Field{{Name: "x", Type: arrow.PrimitiveTypes.Int64}, {Name: "s", Type: arrow.BinaryTypes.String}}, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, in)
	for i := range int64(300) {
		b.Field(0).(*array.Int64Builder).Append(i)
		b.Field(1).(*array.StringBuilder).Append(strings.Repeat("s", 10_000))
	}
	bound, err := Bind(in, []View{{Name: "v", Definition: []byte("d"), Outputs: []Output{{"y", arrow.PrimitiveTypes.Int64}}}}, false)
	if err != nil {
		t.Fatal(err)
	}
	o := fakeOptions("good")
	o.MaxMessage = 1 << 20
	p, rows := open(t, o), int64(0)
	for rec, err := range p.Apply(t.Context(), bound, sequence(b.NewRecord())) {
		if err != nil {
			t.Fatal(err)
		}
		if y := rec.Column(2).(*array.Int64).Value(0); rec.NumRows() > 53 || y != rows+1 {
			t.Fatalf("%d rows of 10 kB in one piece, output %d of row %d", rec.NumRows(), y, rows)
		}
		rows += rec.NumRows()
	}
	if rows != 300 {
		t.Errorf("%d rows of 300", rows)
	}
	o.MaxMessage = 9_000
	_, err = one(open(t, o).Apply(t.Context(), bound, sequence(b.NewRecord(), record300(b))))
	if !errors.Is(err, fault.Exhausted) || !strings.Contains(err.Error(), "at most 9000 are sent") {
		t.Errorf("a row larger than a message: %v", err)
	}
}

// record300 refills the builder with one row that is too large.
func record300(b *array.RecordBuilder) arrow.Record {
	b.Field(0).(*array.Int64Builder).Append(1)
	b.Field(1).(*array.StringBuilder).Append(strings.Repeat("s", 10_000))
	return b.NewRecord()
}

func one(records iter.Seq2[arrow.Record, error]) (n int64, err error) {
	for rec, err := range records {
		if err != nil {
			return n, err
		}
		n += rec.NumRows()
	}
	return n, nil
}

// TestLargeOutputsAreAskedForInParts: halves, until they fit. The fake answers with the number of rows of such a batch.
func TestLargeOutputsAreAskedForInParts(t *testing.T) {
	p, bound := open(t, fakeOptions("good")), bind(t, "y")
	var got, rows []int64
	for rec, err := range p.Apply(t.Context(), bound, sequence(record(swollen, 1, 2), record(3, 4, 5, 6), record(swollen, 8, 9, swollen), record(10))) {
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, rec.NumRows())
		got = append(got, rec.Column(1).(*array.Int64).Int64Values()...)
	}
	if !slices.Equal(rows, []int64{3, 4, 2, 2, 1}) || !slices.Equal(got, []int64{3, 3, 3, 4, 5, 6, 7, 2, 2, 10, swollen + 1, 11}) {
		t.Errorf("records of %v rows: %v", rows, got)
	}
}

func TestNothingBeforeRanging(t *testing.T) {
	p, bound := open(t, fakeOptions("good")), bind(t, "y")
	read := false
	source := func(yield func(arrow.Record, error) bool) { read = true }
	records := p.Apply(t.Context(), bound, source)
	if read || len(p.all) != 0 {
		t.Error("something was read or started")
	}
	if n, err := one(records); n != 0 || err != nil || !read || len(p.all) != 0 {
		t.Errorf("no rows: %d rows, %v, %d processes", n, err, len(p.all))
	}
}

func TestErrorsOfTheSourceAndLeaving(t *testing.T) {
	p, bound := open(t, fakeOptions("good")), bind(t, "y")
	broken := errors.New("broken source")
	source := func(yield func(arrow.Record, error) bool) {
		_ = yield(record(1), nil) && yield(nil, broken)
	}
	if _, err := one(p.Apply(t.Context(), bound, source)); !errors.Is(err, broken) {
		t.Errorf("%v, want the source's error", err)
	}
	released := false
	endless := func(yield func(arrow.Record, error) bool) {
		defer func() { released = true }()
		for yield(record(make([]int64, batchRows)...), nil) {
		}
	}
	for _, err := range p.Apply(t.Context(), bound, endless) {
		if err != nil {
			t.Fatal(err)
		}
		break
	}
	if !released {
		t.Error("the source was not left")
	}
	if got, err := ask(t.Context(), p, bound, 1); err != nil || !slices.Equal(got, []int64{2}) {
		t.Errorf("afterwards: %v, %v", got, err)
	}
}

func TestRecordsAreAsAnnounced(t *testing.T) {
	p, bound := open(t, fakeOptions("good")), bind(t, "y")
	other := arrow.NewSchema([]arrow.Field{{Name: "x", Type: arrow.BinaryTypes.String}}, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, other)
	b.Field(0).(*array.StringBuilder).Append("x")
	if _, err := one(p.Apply(t.Context(), bound, sequence(b.NewRecord()))); err == nil || !strings.Contains(err.Error(), `column "x" is utf8, int64 was announced`) {
		t.Errorf("%v", err)
	}
}

func TestOneWorkerServesManyRequests(t *testing.T) {
	p, bound := open(t, fakeOptions("good")), bind(t, "pid")
	first, err := ask(t.Context(), p, bound, 1)
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if again, err := ask(t.Context(), p, bound, 1); err != nil || again[0] != first[0] {
			t.Fatalf("process %v, %v; the first was %d", again, err, first)
		}
	}
}

// TestManyDefinitions: the worker keeps some of them, and gets the others again. The fake panics if one is missing.
func TestManyDefinitions(t *testing.T) {
	p := open(t, fakeOptions("good"))
	for round := range 3 {
		for i := range maxLoaded + 20 {
			views := []View{}
			for k := range 1 + i%3 {
				name := fmt.Sprintf("view%d", (i+k)%(maxLoaded+20))
				views = append(views, View{Name: name, Definition: []byte(name), Outputs: []Output{{fmt.Sprint("y", k), arrow.PrimitiveTypes.Int64}}})
			}
			bound, err := Bind(int64s, views, false)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := ask(t.Context(), p, bound, 1); err != nil || got[0] != 2 {
				t.Fatalf("round %d, view %d: %v, %v", round, i, got, err)
			}
		}
	}
}

func TestWorkersAreBounded(t *testing.T) {
	o := fakeOptions("good")
	o.Workers = 2
	p, bound := open(t, o), bind(t, "y")
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			if _, err := ask(t.Context(), p, bound, slow); err != nil {
				t.Error(err)
			}
			p.mu.Lock()
			defer p.mu.Unlock()
			if len(p.all) > 2 {
				t.Errorf("%d processes", len(p.all))
			}
		})
	}
	wg.Wait()
}

func TestIdleWorkersEnd(t *testing.T) {
	o := fakeOptions("good")
	o.Idle = 10 * time.Millisecond
	p, bound := open(t, o), bind(t, "pid")
	first, err := ask(t.Context(), p, bound, 1)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the idle process ends", func() bool { return isGone(first[0]) })
	if second, err := ask(t.Context(), p, bound, 1); err != nil || second[0] == first[0] {
		t.Errorf("process %v, %v; the one before was %v", second, err, first)
	}
}

func TestCloseEndsEverything(t *testing.T) {
	silent := make(chan struct{}, 1)
	o := fakeOptions("good")
	o.Stderr = func(string) { silent <- struct{}{} }
	p, bound := open(t, o), bind(t, "y")
	busy := make(chan error)
	go func() {
		_, err := ask(t.Context(), p, bound, silence)
		busy <- err
	}()
	<-silent
	waiting := make(chan error)
	go func() {
		_, err := ask(t.Context(), p, bound, 1)
		waiting <- err
	}()
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	_, late := ask(t.Context(), p, bound, 1)
	for who, err := range map[string]error{"at work": <-busy, "waiting": <-waiting, "late": late} {
		if !errors.Is(err, fs.ErrClosed) || fault.KindOf(err) != fault.Busy {
			t.Errorf("%s: %v", who, err)
		}
	}
	if len(p.all) != 0 {
		t.Errorf("%d processes are left", len(p.all))
	}
}

// eventually waits for what must come, as long as the test may run.
func eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	for !done() {
		select {
		case <-t.Context().Done():
			t.Fatal("never: " + what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}
