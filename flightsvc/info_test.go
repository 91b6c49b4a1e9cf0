package flightsvc

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow/flight"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/flightd/flightd/internal/fault"
	"github.com/flightd/flightd/stores"
	"github.com/flightd/flightd/stores/memstore"
	"github.com/flightd/flightd/testdata/pit"
	"github.com/flightd/flightd/tickets"
)

// info asks for shares of a request.
func (f *service) info(request map[string]any, parts int) (*flight.FlightInfo, error) {
	request["parts"] = parts
	command, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	return f.client.GetFlightInfo(context.Background(), descriptor(command))
}

// Shares repeat the entity rows, so there are no more than a bounded number of bytes holds, nor more than there are rows.
func TestEndpointsAreBounded(t *testing.T) {
	catalog, _ := parsed(t, stats)
	f := serve(t, catalog, Limits{})
	historical := func(rows pit.Table) map[string]any {
		return map[string]any{"historical": map[string]any{"features": []string{"stats:f"}, "entity_rows": ipcStream(t, rows)}}
	}
	id, err := f.stage(t.Context(), many(100_000))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		request map[string]any
		parts   int
		least   int
		most    int
	}{
		{"few rows inline", historical(entities(t, "1, 10:00", "2, 10:00", "3, 10:00")), 65_536, 3, 3},
		{"no rows inline", historical(pit.Table{Schema: many(1).Schema}), 65_536, 1, 1},
		{"much inline", historical(many(150_000)), 65_536, 4, 8},
		{"two shares of much", historical(many(150_000)), 2, 2, 2},
		{"staged", map[string]any{"historical": map[string]any{"features": []string{"stats:f"}, "entity_rows_id": id}}, 65_536, 65_536, 65_536},
		{"no entity rows", map[string]any{"historical": map[string]any{"features": []string{"stats:f"}, "end": "2024-02-01T00:00:00Z"}}, 1000, 1000, 1000},
		{"all", map[string]any{"all": map[string]any{"view": "stats"}}, 65_536, 65_536, 65_536},
	} {
		info, err := f.info(c.request, c.parts)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		bytes := 0
		for i, e := range info.Endpoint {
			bytes += len(e.Ticket.Ticket)
			if i > 2 && i < len(info.Endpoint)-1 {
				continue
			}
			ticket, err := tickets.Parse(e.Ticket.Ticket)
			if err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			part := tickets.Part{}
			if ticket.All != nil {
				part = ticket.All.Part
			} else {
				part = ticket.Historical.Part
			}
			if want := (tickets.Part{Index: i, Of: len(info.Endpoint)}); len(info.Endpoint) > 1 && part != want || ticket.Parts != 0 {
				t.Errorf("%s: ticket %d asks for %v", c.name, i, part)
			}
		}
		if n := len(info.Endpoint); n < c.least || n > c.most || bytes > infoBytes {
			t.Errorf("%s: %d endpoints of %d bytes, want %d to %d", c.name, n, bytes, c.least, c.most)
		}
		f.idle()
	}
}

// listed is what ListFlights says.
func (f *service) listed() (all []*flight.FlightInfo, err error) {
	stream, err := f.client.ListFlights(context.Background(), &flight.Criteria{})
	if err != nil {
		return nil, err
	}
	for {
		info, err := stream.Recv()
		if err == io.EOF {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		all = append(all, info)
	}
}

// manyViews is a catalog of n views and as many services; every tenth source is not there.
func manyViews(t testing.TB, n int) *stores.Catalog {
	t.Helper()
	v, err := pit.Parse("stats", stats)
	if err != nil {
		t.Fatal(err)
	}
	store := memstore.New()
	var views []*stores.FeatureView
	var services []*stores.FeatureService
	for i := range n {
		name := fmt.Sprintf("view_%d", i)
		if i%10 != 9 {
			if err := store.Put(name, v.Views[0].Source.Schema, v.Views[0].Source.Records...); err != nil {
				t.Fatal(err)
			}
		}
		views = append(views, &stores.FeatureView{Name: name, Keys: []string{"key"}, Timestamp: "ts", Store: store, Source: memstore.Source(name)})
		services = append(services, &stores.FeatureService{Name: fmt.Sprintf("service_%d", i), Features: []stores.FeatureRef{{View: name}}})
	}
	catalog, err := stores.NewCatalog(views, services)
	if err != nil {
		t.Fatal(err)
	}
	return catalog
}

// One entry for each view and each service, in their order; one whose source cannot be read has an empty schema and says
// why; every ticket can be used as it is.
func TestListFlights(t *testing.T) {
	f := serve(t, manyViews(t, 30), Limits{})
	all, err := f.listed()
	if err != nil || len(all) != 60 {
		t.Fatalf("%d entries, %v", len(all), err)
	}
	for i, info := range all {
		path := []string{fmt.Sprintf("view_%d", i)}
		if i >= 30 {
			path = []string{"feature_service", fmt.Sprintf("service_%d", i-30)}
		}
		if d := info.FlightDescriptor; d.Type != flight.DescriptorPATH || !slices.Equal(d.Path, path) {
			t.Errorf("entry %d is %v, want the path %v", i, d, path)
		}
		schema, err := flight.DeserializeSchema(info.Schema, nil)
		if err != nil {
			t.Fatal(err)
		}
		var about listing
		if err := json.Unmarshal(info.AppMetadata, &about); err != nil {
			t.Fatal(err)
		}
		if broken := i%10 == 9; broken != (len(schema.Fields()) == 0) || broken != (about.Error != "") {
			t.Errorf("entry %d has the schema %s and the error %q", i, schema, about.Error)
		}
		if i >= 30 {
			if len(info.Endpoint) != 0 {
				t.Errorf("a service cannot be fetched without entity rows, and has the endpoints %v", info.Endpoint)
			}
			continue
		}
		if want := `{"all":{"view":"` + path[0] + `"}}`; string(info.Endpoint[0].Ticket.Ticket) != want {
			t.Errorf("entry %d has the ticket %s", i, info.Endpoint[0].Ticket.Ticket)
		}
		if i%10 == 9 {
			_, err := f.get(t.Context(), info.Endpoint[0].Ticket.Ticket)
			wantCode(t, path[0], err, codes.NotFound, path[0])
		} else if info.TotalRecords != 2 {
			t.Errorf("entry %d has %d records", i, info.TotalRecords)
		}
	}
	f.idle()
}

// A list of many views is one call that holds nothing, and fails only if the catalog does.
func TestListFlightsOfManyViews(t *testing.T) {
	f := serve(t, manyViews(t, 3000), Limits{})
	all, err := f.listed()
	if err != nil || len(all) != 6000 {
		t.Fatalf("%d entries, %v", len(all), err)
	}
	f.idle()
	if lines := f.log.all(); len(lines) != 1 || !strings.Contains(lines[0], `"call":"ListFlights"`) {
		t.Errorf("the log has %d lines", len(lines))
	}
	stream, err := f.client.ListFlights(t.Context(), &flight.Criteria{}, grpc.MaxCallRecvMsgSize(1)) // a client that leaves
	if err != nil {
		t.Fatal(err)
	}
	if _, err = stream.Recv(); err == nil {
		t.Error("nothing was received, and there is no error")
	}
	f.idle()

	f.server.catalog = func(context.Context) (*stores.Catalog, error) {
		return nil, fault.New(fault.Busy, "the definitions are being read")
	}
	_, err = f.listed()
	wantCode(t, "without a catalog", err, codes.Unavailable, "definitions")
}

// Schemas are those of the answers; without entity rows a historical command has the feature columns alone.
func TestSchemas(t *testing.T) {
	catalog, _ := parsed(t, stats)
	f := serve(t, catalog, Limits{})
	for command, want := range map[string][]string{
		`{"all": {"view": "stats"}}`:                                                                {"key", "f", "ts"},
		`{"latest": {"view": "stats", "features": ["f"]}}`:                                          {"key", "f", "ts"},
		`{"historical": {"features": ["stats:f"]}}`:                                                 {"f"},
		`{"historical": {"features": ["stats"], "full_feature_names": true}}`:                       {"stats__f"},
		`{"historical": {"features": ["stats"], "end": "2024-02-01T00:00:00Z"}}`:                    {"key", "event_timestamp", "f"},
		`{"historical": {"features": ["stats"], "end": "2024-02-01T00:00:00Z", "mode":"snapshot"}}`: {"key", "event_timestamp", "f"},
	} {
		result, err := f.client.GetSchema(t.Context(), descriptor([]byte(command)))
		if err != nil {
			t.Errorf("%s: %v", command, err)
			continue
		}
		schema, err := flight.DeserializeSchema(result.Schema, nil)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, field := range schema.Fields() {
			names = append(names, field.Name)
		}
		if !slices.Equal(names, want) {
			t.Errorf("%s: %v, want %v", command, names, want)
		}
	}
	result, err := f.client.GetSchema(t.Context(), &flight.FlightDescriptor{Type: flight.DescriptorPATH, Path: []string{"stats"}})
	if err != nil || len(result.Schema) == 0 {
		t.Errorf("by path: %v", err)
	}
	f.idle()
}

// Memory for commands is reserved when they arrive, for their reading too, so that no call waits for more while it holds its
// command, and what does not parse is not read before.
func TestCommandsAreReserved(t *testing.T) {
	catalog, _ := parsed(t, stats)
	f := serve(t, catalog, Limits{Memory: 64 << 20, QueueFor: 50 * time.Millisecond})
	command := append(bytes.Repeat([]byte(`{"k":0,`), 1<<20/7), `"api":0}`...)
	ask := func() error {
		_, err := f.client.GetFlightInfo(t.Context(), descriptor(command))
		return err
	}
	wantCode(t, "with room", ask(), codes.InvalidArgument, `unknown key "k"`)
	others := f.server.memory.account(time.Second)
	if err := others.Reserve(t.Context(), 64<<20-2*int64(len(command))); err != nil {
		t.Fatal(err)
	}
	wantCode(t, "with room for two copies", ask(), codes.Unavailable, "limits.memory", "3.0 MiB")
	others.close()
	f.idle()
}
