package flightsvc

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow/flight"
	"google.golang.org/grpc/status"

	"github.com/flightd/flightd/testdata/pit"
)

// route is one way to ask for the rows of a step.
type route struct {
	name string
	ask  func(f *service, s pit.Step, ticket map[string]any) (answered, error)
}

var routes = []route{
	{"DoGet", func(f *service, s pit.Step, ticket map[string]any) (answered, error) {
		return f.get(context.Background(), request(ticketKind(s), withRows(f, s, ticket)))
	}},
	{"DoExchange", func(f *service, s pit.Step, ticket map[string]any) (answered, error) {
		if s.Kind != pit.KindHistorical {
			return f.get(context.Background(), request(ticketKind(s), ticket))
		}
		return f.exchange(context.Background(), request("historical", ticket), s.Entities)
	}},
	{"DoPut", func(f *service, s pit.Step, ticket map[string]any) (answered, error) {
		if s.Kind == pit.KindHistorical {
			id, err := f.stage(context.Background(), s.Entities)
			if err != nil {
				return answered{}, err
			}
			ticket["entity_rows_id"] = id
		}
		return f.get(context.Background(), request(ticketKind(s), ticket))
	}},
	{"GetFlightInfo", func(f *service, s pit.Step, ticket map[string]any) (answered, error) {
		return f.endpoints(withRows(f, s, ticket), s)
	}},
}

// TestVectors asks the service every question of testdata/pit in each way in which it can be asked.
func TestVectors(t *testing.T) {
	steps, unsaid := 0, 0
	for _, v := range pit.All() {
		t.Run(v.Name, func(t *testing.T) {
			f := serve(t, catalogOf(t, v), Limits{})
			for _, s := range v.Steps {
				if !sayable(v, s) {
					unsaid++
					continue
				}
				steps++
				for _, r := range routes {
					if err := f.step(r, s); err != nil {
						t.Errorf("%s.pit, line %d, by %s: %v", v.Name, s.Line, r.name, err)
					}
				}
			}
			f.idle()
		})
	}
	t.Logf("%d steps in %d ways, %d that no ticket can say", steps, len(routes), unsaid)
	if unsaid > 10 || steps < 10*unsaid {
		t.Errorf("%d of %d steps were left out", unsaid, steps+unsaid)
	}
}

// sayable reports whether a ticket can ask what a step asks: aliases and join key maps are there for Feast's clients.
func sayable(v pit.Vector, s pit.Step) bool {
	for _, use := range v.Uses(s) {
		if use.JoinKeyMap != nil || use.View.Name != "" && use.View.Name != use.Name {
			return false
		}
	}
	return true
}

func ticketKind(s pit.Step) string {
	switch s.Kind {
	case pit.KindLatest, pit.KindAll:
		return string(s.Kind)
	}
	return "historical"
}

// ticketOf is the request of a step without its entity rows. It is made of a map, so that it can be wrong.
func ticketOf(s pit.Step) map[string]any {
	ticket := make(map[string]any)
	set := func(key string, value any, given bool) {
		if given {
			ticket[key] = value
		}
	}
	pull := ticketKind(s) != "historical"
	set("view", s.View, pull)
	set("features", append([]string{}, s.Features...), !pull || s.Features != nil)
	set("mode", string(s.Kind), s.Kind == pit.KindTimeline || s.Kind == pit.KindSnapshot)
	set("start", s.Start.Format(time.RFC3339Nano), !s.Start.IsZero())
	set("end", s.End.Format(time.RFC3339Nano), !s.End.IsZero())
	set("timestamp", s.Timestamp, s.Timestamp != "")
	set("full_feature_names", true, s.FullFeatureNames)
	set("known_at", true, s.KnownAt)
	set("report", true, s.Report != nil)
	return ticket
}

func withRows(f *service, s pit.Step, ticket map[string]any) map[string]any {
	if s.Kind == pit.KindHistorical {
		ticket["entity_rows"] = ipcStream(f.t, s.Entities)
	}
	return ticket
}

// step asks one question, in shares if the step says so, and compares the answer.
func (f *service) step(r route, s pit.Step) error {
	var got answered
	for part := range max(1, s.Parts) {
		ticket := ticketOf(s)
		if s.Parts > 0 && r.name != "GetFlightInfo" {
			ticket["part"] = []int{part, s.Parts}
		}
		a, err := r.ask(f, s, ticket)
		if s.Err != nil {
			return refusal(s.Err, err)
		}
		if err != nil {
			return err
		}
		got.Schema, got.Records, got.metadata = a.Schema, append(got.Records, a.Records...), append(got.metadata, a.metadata...)
		if r.name == "GetFlightInfo" {
			break
		}
	}
	if d := pit.Diff(s.Want, got.Table, s.Unordered || r.name == "GetFlightInfo" && s.Kind == pit.KindAll); d != "" {
		return fmt.Errorf("%s", d)
	}
	return checkReport(s, got.metadata)
}

func refusal(want *pit.Error, got error) error {
	code := codeOf[want.Kind]
	if status.Code(got) != code {
		return fmt.Errorf("got %v, want %s", got, code)
	}
	for _, text := range want.Texts {
		if !strings.Contains(status.Convert(got).Message(), text) {
			return fmt.Errorf("the message does not say %q: %v", text, got)
		}
	}
	return nil
}

// checkReport adds up the reports of the shares; of each, the report stands on the last batch alone.
func checkReport(s pit.Step, metadata [][]byte) error {
	sum := make(map[string]map[string]int64)
	for _, m := range metadata {
		var report struct {
			Views map[string]map[string]int64 `json:"views"`
		}
		if len(m) == 0 {
			continue
		}
		if err := json.Unmarshal(m, &report); err != nil {
			return fmt.Errorf("metadata %q: %w", m, err)
		}
		for view, counts := range report.Views {
			if sum[view] == nil {
				sum[view] = make(map[string]int64)
			}
			for key, n := range counts {
				sum[view][key] += n
			}
		}
	}
	want := make(map[string]map[string]int64)
	for _, r := range s.Report {
		want[r.View] = map[string]int64{"rows": s.Entities.Rows(), "matched": r.Matched, "expired": r.Expired, "not_yet": r.NotYet,
			"unknown_key": r.UnknownKey, "null_key": r.NullKey}
	}
	if !maps.EqualFunc(sum, want, maps.Equal) {
		return fmt.Errorf("match report\n  want %v\n  got  %v", want, sum)
	}
	if len(want) > 0 && len(metadata[len(metadata)-1]) == 0 {
		return fmt.Errorf("the last batch has no report")
	}
	return nil
}

// endpoints asks GetFlightInfo for three shares, fetches them, and holds the info to what it says of them.
func (f *service) endpoints(ticket map[string]any, s pit.Step) (all answered, err error) {
	kind := ticketKind(s)
	command := map[string]any{kind: ticket}
	if s.Kind != pit.KindLatest {
		command["parts"] = 3
	}
	data, err := json.Marshal(command)
	if err != nil {
		return all, err
	}
	info, err := f.client.GetFlightInfo(context.Background(), descriptor(data))
	if err != nil {
		return all, err
	}
	schema, err := flight.DeserializeSchema(info.Schema, nil)
	if err != nil {
		return all, err
	}
	if n := len(info.Endpoint); n < 1 || n > 3 {
		return all, fmt.Errorf("%d endpoints for 3 parts", n)
	}
	for _, e := range info.Endpoint {
		if len(e.Location) != 0 {
			return all, fmt.Errorf("an endpoint elsewhere: %v", e.Location)
		}
		a, err := f.get(context.Background(), e.Ticket.Ticket)
		if err != nil {
			return all, err
		}
		if !a.Schema.Equal(schema) {
			return all, fmt.Errorf("schema of the info\n%s\nand of the answer\n%s", schema, a.Schema)
		}
		all.Schema, all.Records, all.metadata = a.Schema, append(all.Records, a.Records...), append(all.metadata, a.metadata...)
	}
	known := s.Kind == pit.KindHistorical || s.Kind == pit.KindAll && s.Start.IsZero() && s.End.IsZero()
	if rows := all.Rows(); info.TotalRecords != rows && (known || info.TotalRecords != -1) {
		return all, fmt.Errorf("total_records is %d, there are %d rows", info.TotalRecords, rows)
	}
	return all, nil
}
