package ipcguard

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/flightd/flightd/internal/fault"
)

func ExampleNewReader() {
	rec := sample(&testing.B{}, "trips", p.Int64, `[1, null, 3]`)
	stream := write(&testing.B{}, []arrow.Record{rec})

	r, err := NewReader(context.Background(), Bytes(stream), Limits{Message: 1 << 20})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer r.Release()
	for rec, err := range r.Records() {
		fmt.Println(rec.Column(0), rec.Column(0).NullN(), err)
	}
	// Output: [1 (null) 3] 1 <nil>
}

// A panic is an error of ours; what it said is only there for the log.
func TestPanic(t *testing.T) {
	r := &Reader{messages: 3}
	err := r.contain(func() error { panic("secret of a library") })
	if err.Error() != "Arrow message 3 cannot be read" || fault.KindOf(err) != fault.Invalid {
		t.Errorf("%v", err)
	}
	var hidden *concealed
	if !errors.As(err, &hidden) || !strings.Contains(hidden.Unwrap().Error(), "secret of a library") {
		t.Error("the log does not see the panic")
	}
}

// Records may be read by several goroutines at once; the race detector looks on.
func TestShared(t *testing.T) {
	for _, rec := range allSamples(t) {
		_, recs, err := read(Bytes(write(t, []arrow.Record{rec, rec})), Limits{})
		if err != nil {
			t.Fatal(err)
		}
		var readers sync.WaitGroup
		for range 2 {
			readers.Go(func() {
				for _, rec := range recs {
					for _, col := range rec.Columns() {
						walk(t, col)
						col.NullN()
					}
				}
			})
		}
		readers.Wait()
	}
}

// broken is a source that ends with an error of its own, as a client does that goes away.
type broken struct {
	flightSource
	err error
}

func (b *broken) Next() (metadata, body []byte, err error) {
	if metadata, body, err = b.flightSource.Next(); err == io.EOF {
		err = b.err
	}
	return metadata, body, err
}

// Errors of the source and of the budget reach the caller as they are.
func TestForeignErrors(t *testing.T) {
	rec := sample(t, "x", p.Int64, `[1]`)
	messages := split(t, write(t, []arrow.Record{rec}))
	gone := errors.New("the client is gone")
	if _, recs, err := read(&broken{messages, gone}, Limits{}); err != gone || len(recs) != 1 {
		t.Errorf("%d records, %v", len(recs), err)
	}
	if _, _, err := read(&broken{nil, gone}, Limits{}); err != gone {
		t.Error(err)
	}
	if _, _, err := read(&flightSource{}, Limits{}); err != io.EOF {
		t.Errorf("an empty source: %v", err)
	}
	_, _, err := read(&messages, Limits{Budget: &account{}})
	var kind *fault.Error
	if !errors.As(err, &kind) || err.Error() != "the budget of the test is spent" {
		t.Errorf("%v", err)
	}
}

// Breaking off leaves the rest to be read.
func TestBreak(t *testing.T) {
	rec := sample(t, "x", p.Int64, `[1]`)
	r, err := NewReader(t.Context(), Stream(bytes.NewReader(write(t, []arrow.Record{rec, rec, rec}))), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	for range r.Records() {
		break
	}
	n := 0
	for range r.Records() {
		n++
	}
	if n != 2 {
		t.Errorf("%d records after the first", n)
	}
}

// FuzzReader: go test -fuzz=FuzzReader ./internal/ipcguard
func FuzzReader(f *testing.F) {
	for _, stream := range mutationSeeds(f) {
		f.Add(stream)
	}
	f.Fuzz(func(t *testing.T, stream []byte) {
		budget := &account{limit: 64 << 20}
		_, recs, err := read(Bytes(stream), Limits{Budget: budget})
		if err != nil && err != io.EOF {
			checkText(t, err)
		}
		for _, rec := range recs {
			for _, col := range rec.Columns() {
				walk(t, col)
			}
			rewrite(t, rec)
		}
		if budget.held != 0 {
			t.Errorf("%d bytes stay reserved", budget.held)
		}
	})
}
