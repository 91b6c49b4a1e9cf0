package config_test

import (
	"context"
	"fmt"
	"os"

	"github.com/flightd/flightd/config"
	_ "github.com/flightd/flightd/stores/memstore" // makes the store type known
)

func ExampleParse() {
	_, err := config.Parse([]byte(`
stores:
  main: {type: memory}
feature_views:
  driver_stats: {store: mian, source: driver_stats, timestamp: event_timestamp, tll: 24h}
`), "flightd.yaml", os.LookupEnv)
	fmt.Println(err)
	// Output:
	// flightd.yaml:5:25: feature_views.driver_stats.store: no store "mian"; did you mean "main"?
	// flightd.yaml:5:81: feature_views.driver_stats: unknown key "tll"; did you mean "ttl"?
}

func ExampleConfig_Open() {
	c, err := config.Load("testdata/smallest.good.yaml")
	if err != nil {
		fmt.Println(err)
		return
	}
	catalog, closeStores, err := c.Open(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer closeStores()
	for _, v := range catalog.Views() {
		fmt.Println(v.Name, "from", v.Source)
	}
	// Output: driver_stats from driver_stats
}
