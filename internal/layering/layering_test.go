// Package layering holds the tests that keep the packages apart: who may import whom, and which modules the program
// is made of.
package layering

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/flightd/flightd/"

// rules say what a package of ours, and everything below it, must not import directly, and why.
var rules = []struct {
	in        string
	forbidden []string
	because   string
}{
	{"tickets", []string{module, "github.com/", "google.golang.org/", "golang.org/x/"}, "a Go client uses tickets with the standard library alone"},
	{"joins", []string{module + "stores", module + "tickets", module + "flightsvc", module + "config", module + "internal/parquetio"},
		"the engine knows tables, not where they come from"},
	{"stores", []string{module + "flightsvc", module + "config", module + "cmd"}, "a store is used by the service, never the other way round"},
	{"ondemand", []string{module + "stores", module + "joins", module + "tickets", module + "flightsvc", module + "config", module + "cmd"},
		"it knows records and processes, not where either comes from"},
	{"config", []string{module + "flightsvc", module + "cmd", "google.golang.org/grpc"}, "a configuration is checked without a server"},
	{"registry", []string{module + "flightsvc", module + "config", module + "cmd", module + "stores/filestore", module + "stores/memstore"},
		"definitions are read without a server, and who reads them says which store holds files"},
	{"internal", []string{module + "stores", module + "flightsvc", module + "config", module + "cmd"}, "what is below does not know what is above"},
	{"testdata", []string{module + "stores", module + "flightsvc", module + "config", module + "cmd"}, "vectors are run by stores, not the other way round"},
}

// only say which packages may import a library at all.
var only = []struct {
	library string
	in      []string
	because string
}{
	{"google.golang.org/grpc", []string{"flightsvc", "cmd"}, "gRPC is a matter of the service and its clients"},
	{"github.com/goccy/go-yaml", []string{"config", "registry"}, "one reader of YAML, but for Feast's"},
	{"github.com/jackc/pgx/v5", []string{"registry/drivers"}, "a program chooses its database drivers"},
	{"modernc.org/sqlite", []string{"registry/drivers"}, "a program chooses its database drivers"},
	{"github.com/rs/zerolog", []string{"flightsvc", "cmd"}, "an error is returned or logged, and only the service logs"},
	{"github.com/urfave/cli", []string{"cmd"}, "flags are a matter of the program"},
	{"github.com/parquet-go/parquet-go", []string{"internal/parquetio"}, "one reader of Parquet"},
	{"github.com/apache/arrow/go/v15/parquet", []string{"internal/parquetio"}, "v15's Parquet reader kills the process on broken files; its writer has traps"},
	{"github.com/apache/arrow/go/v15/arrow/flight", []string{"flightsvc", "cmd"}, "Flight is a matter of the service and its clients"},
}

type pkg struct {
	ImportPath string
	Imports    []string
}

// packages lists the packages of this module with their direct imports, tests left out.
func packages(t *testing.T) []pkg {
	list := exec.Command("go", "list", "-json=ImportPath,Imports", module+"...")
	list.Stderr = os.Stderr
	out, err := list.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := list.Start(); err != nil {
		t.Fatal(err)
	}
	var all []pkg
	for d := json.NewDecoder(out); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	if err := list.Wait(); err != nil {
		t.Fatal(err)
	}
	if len(all) < 10 {
		t.Fatalf("go list found only %d packages", len(all))
	}
	return all
}

func within(path, folder string) bool { return path == folder || strings.HasPrefix(path, folder+"/") }

func TestImportsPointOneWay(t *testing.T) {
	for _, p := range packages(t) {
		path := strings.TrimPrefix(p.ImportPath, module)
		for _, rule := range rules {
			if !within(path, rule.in) {
				continue
			}
			for _, imported := range p.Imports {
				for _, bad := range rule.forbidden {
					own := within(strings.TrimPrefix(imported, module), rule.in)
					if strings.HasPrefix(imported, bad) && !own {
						t.Errorf("%s imports %s, but %s", path, imported, rule.because)
					}
				}
			}
		}
		for _, rule := range only {
			allowed := slices.ContainsFunc(rule.in, func(folder string) bool { return within(path, folder) })
			for _, imported := range p.Imports {
				if within(imported, rule.library) && !allowed {
					t.Errorf("%s imports %s, but %s", path, imported, rule.because)
				}
			}
		}
	}
}
