package tickets_test

import (
	"fmt"
	"time"

	"github.com/flightd/flightd/tickets"
)

// A client makes the ticket of a DoGet.
func ExampleEncode() {
	t := &tickets.Ticket{Historical: &tickets.Historical{
		Features: []tickets.FeatureRef{{View: "driver_stats", Feature: "conv_rate"}, {View: "customer_stats"}},
		End:      time.Date(2024, 2, 1, 0, 0, 0, 0, time.UTC),
		Mode:     tickets.Snapshot,
	}}
	data, err := tickets.Encode(t)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(string(data))
	// Output: {"historical":{"features":["driver_stats:conv_rate","customer_stats"],"end":"2024-02-01T00:00:00Z","mode":"snapshot"}}
}

// A server reads the command of a GetFlightInfo, and says what is wrong with another.
func ExampleParseCommand() {
	t, err := tickets.ParseCommand(tickets.GetFlightInfo, []byte(`{"all": {"view": "driver_stats"}, "parts": 8}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(t.Kind(), t.All.View, t.Parts)

	_, err = tickets.ParseCommand(tickets.GetFlightInfo, []byte(`{"all": {"veiw": "driver_stats"}}`))
	fmt.Println(err)
	// Output:
	// all driver_stats 8
	// all: unknown key "veiw"; did you mean "view"?
}
