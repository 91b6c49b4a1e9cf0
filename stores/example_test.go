package stores_test

import (
	"encoding/json"
	"fmt"

	"github.com/flightd/flightd/stores"
	"github.com/flightd/flightd/stores/memstore"
)

func init() { stores.RegisterSourceClass("warehouse.feast.TableSource", openTable) }

// warehouse holds the tables. A store of an engine would connect when it is first asked for one.
var warehouse = memstore.New()

// openTable makes a source of what TableSource's to_proto writes: {"table": "driver_stats"}.
func openTable(configuration []byte) (stores.OfflineStore, stores.DataSource, error) {
	var options struct{ Table string }
	if err := json.Unmarshal(configuration, &options); err != nil {
		return nil, nil, fmt.Errorf("%w: a TableSource is JSON with the key table: %w", stores.ErrPrecondition, err)
	}
	source, err := warehouse.Source(options.Table)
	return warehouse, source, err
}

func ExampleRegisterSourceClass() {
	open, _ := stores.SourceClassOf("warehouse.feast.TableSource")
	_, source, err := open([]byte(`{"table": "driver_stats"}`))
	fmt.Println(source, err)
	_, _, err = open([]byte(`driver_stats`))
	fmt.Println(err)
	// Output:
	// driver_stats <nil>
	// failed precondition: a TableSource is JSON with the key table: invalid character 'd' looking for beginning of value
}
