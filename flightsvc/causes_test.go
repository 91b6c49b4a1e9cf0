package flightsvc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/flight"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/flightd/flightd/internal/fault"
)

// causes is what can go wrong in a store, and what its client sees of it.
var causes = []struct {
	err  error
	code codes.Code
	text string // what the message says; "": the text of the error
}{
	{fault.New(fault.Invalid, "bad column"), codes.InvalidArgument, ""},
	{fault.New(fault.NotFound, "no table"), codes.NotFound, ""},
	{fmt.Errorf("open x.parquet: %w", fs.ErrNotExist), codes.NotFound, ""},
	{fault.New(fault.Precondition, "no such column in the source"), codes.FailedPrecondition, ""},
	{fault.New(fault.AlreadyExists, "used before"), codes.AlreadyExists, ""},
	{fault.New(fault.Exhausted, "too much"), codes.ResourceExhausted, ""},
	{fault.New(fault.Busy, "cannot be reached"), codes.Unavailable, ""},
	{fault.New(fault.Busy, "cannot be reached: %w", context.DeadlineExceeded), codes.Unavailable, ""},
	{fault.New(fault.DataLoss, "x.parquet is broken"), codes.DataLoss, ""},
	{fault.New(fault.Unimplemented, "an encoding"), codes.Unimplemented, ""},
	{fmt.Errorf("not here: %w", errors.ErrUnsupported), codes.Unimplemented, ""},
	{fault.New(fault.Forbidden, "outside"), codes.PermissionDenied, ""},
	{fmt.Errorf("open: %w", fs.ErrPermission), codes.PermissionDenied, ""},
	{fmt.Errorf("the store's own wait: %w", context.Canceled), codes.Unavailable, "interrupted"},
	{fmt.Errorf("the store's own wait: %w", context.DeadlineExceeded), codes.DeadlineExceeded, ""},
	{errors.New("a secret of the store"), codes.Internal, "call id"},
	{io.EOF, codes.Internal, "call id"},
	{io.ErrUnexpectedEOF, codes.Internal, "call id"},
}

// TestCauses: the same class of error gives the same code, while planning and in the middle of an answer, in every call.
func TestCauses(t *testing.T) {
	for _, c := range causes {
		want := c.text
		if want == "" {
			want = c.err.Error()
		}
		plan := &scripted{schema: func(context.Context) error { return c.err }}
		f := serve(t, plan.catalog(t), Limits{})
		_, err := f.client.GetFlightInfo(t.Context(), descriptor(allOfStats))
		wantCode(t, fmt.Sprintf("GetFlightInfo, %v", c.err), err, c.code, want)
		_, err = f.client.GetSchema(t.Context(), descriptor(joinStats))
		wantCode(t, fmt.Sprintf("GetSchema, %v", c.err), err, c.code, want)
		_, err = f.get(t.Context(), allOfStats)
		wantCode(t, fmt.Sprintf("DoGet, %v", c.err), err, c.code, want)
		f.idle()

		scan := new(scripted)
		scan.scan = func(_ context.Context, yield func(arrow.Record, error) bool) {
			if yield(scan.rows.Records[0], nil) {
				yield(nil, c.err)
			}
		}
		f = serve(t, scan.catalog(t), Limits{})
		_, err = f.get(t.Context(), allOfStats)
		wantCode(t, fmt.Sprintf("DoGet, in the middle, %v", c.err), err, c.code, want)
		_, err = f.exchange(t.Context(), joinStats, entities(t, "1, 10:00"))
		wantCode(t, fmt.Sprintf("DoExchange, in the middle, %v", c.err), err, c.code, want)
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("the client sees %v", err)
		}
		if !f.logged(strings.ReplaceAll(c.err.Error(), `"`, `\"`)) {
			t.Errorf("the log does not have %v", c.err)
		}
		f.idle()
	}
}

// A panic ends its own call, is logged with its stack, and nothing else.
func TestPanicsAreContained(t *testing.T) {
	where := "Schema"
	store := new(scripted)
	store.schema = func(context.Context) error {
		if where == "Schema" {
			panic("in Schema")
		}
		return nil
	}
	store.scan = func(_ context.Context, yield func(arrow.Record, error) bool) {
		if where == "Scan" {
			panic("in Scan") // in a goroutine of the join
		}
		for _, rec := range store.rows.Records {
			yield(rec, nil)
		}
	}
	f := serve(t, store.catalog(t), Limits{})
	for _, where = range []string{"Schema", "Scan"} {
		for name, call := range map[string]func() error{
			"DoGet": func() error { _, err := f.get(t.Context(), allOfStats); return err },
			"DoExchange": func() error {
				_, err := f.exchange(t.Context(), joinStats, entities(t, "1, 10:00"))
				return err
			},
		} {
			err := call()
			wantCode(t, name+" with a panic in "+where, err, codes.Internal, "call id")
			if strings.Contains(status.Convert(err).Message(), "in "+where) {
				t.Errorf("the client sees the panic: %v", err)
			}
			if !f.logged("in " + where) {
				t.Errorf("the log does not have the panic in %s", where)
			}
		}
		f.idle()
	}
	f.log.clear() // these were not bugs
	where = ""
	if _, err := f.get(t.Context(), allOfStats); err != nil {
		t.Errorf("after the panics: %v", err)
	}
}

// What is not offered says so, and nothing breaks that is offered.
func TestUnimplemented(t *testing.T) {
	catalog, _ := parsed(t, stats)
	f := serve(t, catalog, Limits{})
	ctx := t.Context()

	handshake, err := f.client.Handshake(ctx)
	if err != nil {
		t.Fatal(err)
	}
	_, err = handshake.Recv()
	wantCode(t, "Handshake", err, codes.Unimplemented, "login")
	_, err = f.client.PollFlightInfo(ctx, descriptor(allOfStats))
	wantCode(t, "PollFlightInfo", err, codes.Unimplemented)
	for _, method := range []string{"/arrow.flight.protocol.FlightService/Nothing", "/nothing.Service/Do", "/nothing"} {
		wantCode(t, method, f.conn.Invoke(ctx, method, &flight.Empty{}, &flight.Empty{}), codes.Unimplemented)
	}

	action, err := f.client.DoAction(ctx, &flight.Action{Type: "flightd.explian"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = action.Recv()
	wantCode(t, "an unknown action", err, codes.Unimplemented, "flightd.explian", "flightd.explain")

	put, err := f.client.DoPut(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := send(put, []byte(`{"api": "offline_write_batch"}`), entities(t, "1, 10:00")); err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	_, err = put.Recv()
	wantCode(t, "a write of Feast's", err, codes.Unimplemented, "--feast-repo")
	for _, command := range []string{`{"api": "get_historical_features"}`, `{"api": 1, "all": {"view": "stats"}}`} {
		_, err := f.client.GetFlightInfo(ctx, descriptor([]byte(command)))
		wantCode(t, command, err, codes.Unimplemented, "Feast")
		_, err = f.get(ctx, []byte(command))
		wantCode(t, command, err, codes.Unimplemented, "Feast")
		_, err = f.exchange(ctx, []byte(command), entities(t, "1, 10:00"))
		wantCode(t, command, err, codes.Unimplemented, "Feast")
	}
	f.idle()
}

// One line for each call, whatever becomes of it, with what it cost.
func TestOneLogLineForEachCall(t *testing.T) {
	catalog, _ := parsed(t, stats)
	f := serve(t, catalog, Limits{})
	ctx := t.Context()
	for _, c := range []struct {
		call func() error
		say  []string
	}{
		{func() error { _, err := f.get(ctx, allOfStats); return err },
			[]string{`"call":"DoGet"`, `"kind":"all"`, `"views":["stats"]`, `"rows":2`, `"code":"OK"`, `"rows_read":2`}},
		{func() error { _, err := f.exchange(ctx, joinStats, entities(t, "1, 10:00")); return err },
			[]string{`"call":"DoExchange"`, `"kind":"historical"`, `"rows":1`, `"code":"OK"`}},
		{func() error { _, err := f.get(ctx, []byte(`{"all": {"view": "stat"}}`)); return err },
			[]string{`"call":"DoGet"`, `"kind":"all"`, `"code":"NotFound"`, `no feature view`}},
		{func() error { _, err := f.get(ctx, []byte(`{`)); return err }, []string{`"call":"DoGet"`, `"kind":""`, `"code":"InvalidArgument"`}},
		{func() error { _, err := f.client.GetSchema(ctx, descriptor(joinStats)); return err },
			[]string{`"call":"GetSchema"`, `"kind":"historical"`, `"views":["stats"]`, `"code":"OK"`}},
		{func() error { _, err := f.stage(ctx, entities(t, "1, 10:00")); return err },
			[]string{`"call":"DoPut"`, `"kind":"entity_rows"`, `"rows":1`, `"code":"OK"`}},
		{func() error { _, err := f.client.PollFlightInfo(ctx, descriptor(allOfStats)); return err },
			[]string{`"call":"PollFlightInfo"`, `"code":"Unimplemented"`}},
	} {
		f.log.clear()
		_ = c.call()
		f.await("the log line", func() bool { return len(f.log.all()) > 0 })
		f.idle()
		lines := f.log.all()
		if len(lines) != 1 {
			t.Errorf("%d lines: %s", len(lines), lines)
		}
		for _, text := range c.say {
			if !strings.Contains(lines[0], text) {
				t.Errorf("the line does not say %s: %s", text, lines[0])
			}
		}
	}
}
