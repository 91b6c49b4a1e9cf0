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

// rules say which of our packages a package may import, and why no others; the first that fits a package holds. With /* at
// its end a name is everything below it. They are the diagram of docs/architecture.md, line by line.
var rules = []struct{ in, may, because string }{
	{"cmd/flightd/internal/*", "cmd/flightd/internal/*, internal/*", "these are the parts of a client, which knows a server by its answers"},
	{"cmd/*", "all of them", "the program puts everything together"},
	{"config", "stores, internal/*", "a configuration is checked without a server"},
	{"flightsvc", "registry, ondemand, stores, joins, tickets, internal/*", "the service takes a catalog from whoever made it"},
	{"registry/drivers", "none", "it only chooses database drivers"},
	{"registry", "stores, joins, tickets, internal/*", "definitions are read without a server, and who reads them says which store holds files"},
	{"ondemand", "internal/*", "it knows records and processes, not where either comes from"},
	{"stores/storetest", "stores, joins, internal/*, testdata/pit", "the suite tests any store, of another module too"},
	{"stores/*", "stores, joins, internal/*", "a store is used by the service, never the other way round"},
	{"stores", "joins, tickets, internal/*", "a store is used by the service, never the other way round"},
	{"joins", "internal/anyarray, internal/arrowsize, internal/fault, internal/nearest", "the engine knows tables, not where they come from"},
	{"tickets", "none", "a Go client uses tickets with the standard library alone"},
	{"testdata/pit", "internal/fault", "vectors are run by stores, not the other way round"},
	{"internal/anyarray", "none", "it lies below everything"},
	{"internal/arrowsize", "none", "it lies below everything"},
	{"internal/fault", "none", "it lies below everything"},
	{"internal/nearest", "none", "it lies below everything"},
	{"internal/*", "internal/*", "what is below does not know what is above"},
}

// only say which packages may import a library at all.
var only = []struct {
	library string
	in      []string
	because string
}{
	{module + "internal/oracle", []string{"stores/storetest"}, "what the engine is compared with is no part of it"},
	{module + "internal/parquetio", []string{"stores/filestore", "cmd"}, "one store has files"},
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
	list := exec.Command("go", "list", "-json=ImportPath,Imports", module+"...", module+"testdata/pit") // ... leaves testdata out
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

// matches reports whether a package is what a name in a rule stands for.
func matches(path, name string) bool {
	if folder, below := strings.CutSuffix(name, "/*"); below {
		return strings.HasPrefix(path, folder+"/")
	}
	return path == name
}

func TestImportsPointOneWay(t *testing.T) {
	for _, p := range packages(t) {
		path := strings.TrimPrefix(p.ImportPath, module)
		at := slices.IndexFunc(rules, func(rule struct{ in, may, because string }) bool { return matches(path, rule.in) })
		if at < 0 {
			t.Errorf("no rule says what %s may import", path)
			continue
		}
		rule := rules[at]
		for _, imported := range p.Imports {
			ours, isOurs := strings.CutPrefix(imported, module)
			allowed := rule.may == "all of them" || slices.ContainsFunc(strings.Split(rule.may, ", "), func(name string) bool { return matches(ours, name) })
			if isOurs && !allowed {
				t.Errorf("%s imports %s, but %s", path, imported, rule.because)
			}
			if first, _, _ := strings.Cut(imported, "/"); path == "tickets" && strings.Contains(first, ".") {
				t.Errorf("%s imports %s, but %s", path, imported, rule.because)
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

// The diagram of the page is the rules, and its table has every package.
func TestDocumentation(t *testing.T) {
	page, err := os.ReadFile("../../docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	var shown, want []string
	for line := range strings.Lines(string(page)) {
		if from, to, isRule := strings.Cut(line, " -> "); isRule {
			shown = append(shown, strings.TrimSpace(from)+" -> "+strings.TrimSpace(to))
		}
	}
	for _, rule := range rules {
		want = append(want, rule.in+" -> "+rule.may)
	}
	if !slices.Equal(shown, want) {
		t.Errorf("docs/architecture.md shows\n%s\nand the rules are\n%s", strings.Join(shown, "\n"), strings.Join(want, "\n"))
	}
	for _, p := range packages(t) {
		if path := strings.TrimPrefix(p.ImportPath, module); path != "internal/layering" && !strings.Contains(string(page), "`"+path+"`") {
			t.Errorf("docs/architecture.md does not name %s", path)
		}
	}
}
