package tickets

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files")

// TestGolden holds the canonical form fixed, byte for byte, and that it means the same as what it was made of.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
			call, _, _ := strings.Cut(filepath.Base(file), ".")
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			ticket, err := ParseCommand(Call(call), data)
			if err != nil {
				t.Fatal(err)
			}
			encoded, err := Encode(ticket)
			if err != nil {
				t.Fatal(err)
			}
			golden := strings.TrimSuffix(file, ".json") + ".golden"
			if *rewrite {
				if err := os.WriteFile(golden, encoded, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(encoded, want) {
				t.Errorf("encoded\n%s\nwant\n%s", encoded, want)
			}
			again, err := ParseCommand(Call(call), encoded)
			if err != nil || !reflect.DeepEqual(again, ticket) {
				t.Errorf("parsed again: %+v, %v", again, err)
			}
		})
	}
}

func TestParseValues(t *testing.T) {
	got, err := Parse([]byte(`{"historical": {"features": ["stats:rate", "stats@v2:a:b", "users"],
		"start": "2024-01-01T00:00:00.000000001", "end": "2024-02-01T00:00:00.5+02:00", "mode": "timeline",
		"full_feature_names": true, "part": [1, 4]}}`))
	if err != nil {
		t.Fatal(err)
	}
	want := &Ticket{Historical: &Historical{
		Features:         []FeatureRef{{"stats", "rate"}, {"stats@v2", "a:b"}, {View: "users"}},
		Start:            time.Date(2024, 1, 1, 0, 0, 0, 1, time.UTC),
		End:              time.Date(2024, 1, 31, 22, 0, 0, 500_000_000, time.UTC),
		Mode:             Timeline,
		FullFeatureNames: true,
		Part:             Part{1, 4},
	}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got.Historical, want.Historical)
	}
}

func TestParsePath(t *testing.T) {
	for _, c := range []struct {
		call Call
		path []string
		want string // the ticket, or the error
	}{
		{GetFlightInfo, []string{"stats"}, `{"all":{"view":"stats"}}`},
		{GetSchema, []string{"stats"}, `{"all":{"view":"stats"}}`},
		{DoPut, []string{"stats"}, `{"write":{"view":"stats"}}`},
		{DoExchange, []string{"stats"}, `ticket: DoExchange takes a command with the key historical, found the path ["stats"]`},
		{DoPut, nil, `ticket: a descriptor's path is the name of one feature view, found 0 names`},
		{DoPut, []string{"a", "b"}, `ticket: a descriptor's path is the name of one feature view, found 2 names`},
		{DoPut, []string{""}, `ticket: a descriptor's path is the name of one feature view, found an empty one`},
		{DoPut, []string{"\xff"}, `write.view: "\xff" is not UTF-8`},
	} {
		got := ""
		if ticket, err := ParsePath(c.call, c.path); err != nil {
			got = err.Error()
		} else if encoded, err := Encode(ticket); err != nil {
			t.Error(err)
		} else {
			got = string(encoded)
		}
		if got != c.want {
			t.Errorf("%s %q:\n got %s\nwant %s", c.call, c.path, got, c.want)
		}
	}
}

// TestFeast: whatever else is in it, a command with the key api is Feast's.
func TestFeast(t *testing.T) {
	for _, command := range []string{
		`{"command_id": "7f", "api": "get_historical_features", "feature_refs": ["a:b"], "start_date": null}`,
		`{"api": 3}`,
		`{"all": {"view": "stats"}, "api": ""}`,
	} {
		for _, call := range []Call{DoGet, GetFlightInfo, GetSchema, DoExchange, DoPut} {
			if _, err := ParseCommand(call, []byte(command)); !errors.Is(err, ErrFeast) {
				t.Errorf("%s %s: %v", call, command, err)
			}
		}
	}
	for _, command := range []string{`{"API": "x"}`, `{"all": {"view": "v", "api": "x"}}`, `{"api": "x"} {}`, `["api"]`} {
		var e *Error
		if _, err := ParseCommand(DoExchange, []byte(command)); !errors.As(err, &e) {
			t.Errorf("%s: %v", command, err)
		}
	}
}

// TestEncodeRefuses: a ticket made by hand is checked like one that was sent.
func TestEncodeRefuses(t *testing.T) {
	stats := []FeatureRef{{View: "stats"}}
	for _, c := range []struct {
		ticket Ticket
		want   string
	}{
		{Ticket{}, "ticket: exactly one of the keys historical, latest, all, write, log and entity_rows is needed, found none"},
		{Ticket{All: &All{View: "v"}, Write: &Write{View: "v"}}, "found all and write"},
		{Ticket{All: &All{}}, "all.view: it is needed"},
		{Ticket{All: &All{View: "\xff"}}, `all.view: "\xff" is not UTF-8`},
		{Ticket{All: &All{View: "v", Features: []string{"a", ""}}}, "all.features[1]: it is needed"},
		{Ticket{All: &All{View: "v", Part: Part{4, 4}}}, "all.part: want [i, n]"},
		{Ticket{All: &All{View: "v", End: time.Date(12000, 1, 1, 0, 0, 0, 0, time.UTC)}}, "all.end: the time is not within"},
		{Ticket{All: &All{View: "v"}, Parts: -1}, "parts: want 1 to 65536, found -1"},
		{Ticket{Historical: &Historical{Features: []FeatureRef{{Feature: "f"}}}}, "historical.features[0]: \":f\" names no view"},
		{Ticket{Historical: &Historical{Features: stats, EntityRows: []byte{}}}, "historical.entity_rows: it is empty"},
		{Ticket{Historical: &Historical{Features: stats, EntityRows: make([]byte, MaxBytes)}}, "ticket: it is 5592"},
		{Ticket{Log: &Log{}}, "log.feature_service: it is needed"},
	} {
		if _, err := Encode(&c.ticket); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v:\n got %v\nwant %s", c.ticket, err, c.want)
		}
	}
}

func TestKind(t *testing.T) {
	for kind, ticket := range map[string]*Ticket{
		"historical": {Historical: &Historical{}}, "latest": {Latest: &Latest{}}, "all": {All: &All{}},
		"write": {Write: &Write{}}, "log": {Log: &Log{}}, "entity_rows": {EntityRows: &EntityRows{}}, "": {},
	} {
		if got := ticket.Kind(); got != kind {
			t.Errorf("got %q, want %q", got, kind)
		}
	}
}

// FuzzParse: no input panics; what parses is JSON, and its canonical form means the same to the same call.
func FuzzParse(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.json")
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	for _, c := range refused {
		f.Add([]byte(c.ticket))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, call := range []Call{DoGet, GetFlightInfo, GetSchema, DoExchange, DoPut} {
			ticket, err := ParseCommand(call, data)
			if err != nil {
				var e *Error
				if !errors.Is(err, ErrFeast) && !errors.As(err, &e) {
					t.Fatalf("error of type %T: %v", err, err)
				}
				if len(err.Error()) > 4096 {
					t.Fatalf("a message of %d bytes", len(err.Error()))
				}
				continue
			}
			if !json.Valid(data) {
				t.Fatalf("took what is not JSON")
			}
			encoded, err := Encode(ticket)
			if err != nil {
				t.Fatalf("took what Encode refuses: %v", err)
			}
			again, err := ParseCommand(call, encoded)
			if err != nil || !reflect.DeepEqual(again, ticket) {
				t.Fatalf("%+v became %+v (%v) by way of %s", ticket, again, err, encoded)
			}
		}
	})
}

func TestInlineRowsOfTheGreatestSize(t *testing.T) {
	rows := bytes.Repeat([]byte{7}, (MaxBytes-64)/4*3)
	data := []byte(`{"historical":{"features":["v"],"entity_rows":"` + base64.StdEncoding.EncodeToString(rows) + `"}}`)
	ticket, err := Parse(data)
	if err != nil || !bytes.Equal(ticket.Historical.EntityRows, rows) {
		t.Fatalf("%d bytes: %v", len(data), err)
	}
	over := append(data, bytes.Repeat([]byte(" "), MaxBytes+1-len(data))...)
	if _, err := Parse(over); err == nil || !strings.HasPrefix(err.Error(), "ticket: it is 4194305 bytes long; at most 4194304") {
		t.Errorf("one byte too long: %v", err)
	}
}

// What is not a ticket is refused without keeping its values: many small ones take much more memory than their bytes.
func TestRefusalsTakeLittle(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(10)) // what is let go does not count
	many := []byte(`{"k":0`)
	for len(many) < MaxBytes-20 {
		many = fmt.Appendf(many, `,"%x":1`, len(many))
	}
	many = append(many, '}')
	before, most := inUse(), uint64(0)
	refused, sampled := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(sampled)
		for {
			most = max(most, inUse())
			select {
			case <-refused:
				return
			case <-time.After(time.Millisecond):
			}
		}
	}()
	_, err := ParseCommand(DoGet, many)
	close(refused)
	<-sampled
	var refusal *Error
	if !errors.As(err, &refusal) {
		t.Errorf("%d bytes: %v", len(many), err)
	}
	if taken := int64(most) - int64(before); taken > 3*MaxBytes {
		t.Errorf("%d bytes took %d to refuse", len(many), taken)
	}
}

// inUse is how much of the heap is in use.
func inUse() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
