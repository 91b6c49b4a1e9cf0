package stores

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// codeBlock finds the fenced blocks of a document that name the file they are from.
var codeBlock = regexp.MustCompile("(?ms)^```(?:go|yaml) *([^\n]*)\n(.*?)\n```$")

// TestDocumentation: all code in the guide is in the file that it names, word for word.
func TestDocumentation(t *testing.T) {
	text := readFile(t, "../docs/adding-a-store.md")
	blocks := codeBlock.FindAllStringSubmatch(text, -1)
	if len(blocks) < 15 {
		t.Fatalf("found only %d blocks", len(blocks))
	}
	for _, block := range blocks {
		file, code := block[1], block[2]
		if file == "" {
			t.Errorf("a block does not say which file it is from:\n%s", code)
			continue
		}
		if !strings.Contains(readFile(t, filepath.Join("..", file)), code+"\n") {
			t.Errorf("this is not in %s:\n%s", file, code)
		}
	}
}

// TestDocumentationOfTheSuite: the sentences that the guide shows are those of the suite.
func TestDocumentationOfTheSuite(t *testing.T) {
	files, err := filepath.Glob("storetest/*.go")
	if err != nil {
		t.Fatal(err)
	}
	var suite strings.Builder
	for _, file := range files {
		suite.WriteString(readFile(t, file))
	}
	shown := regexp.MustCompile(`(?m)^ +store_test.go:[0-9]+: broken: (.*)$`).FindAllStringSubmatch(readFile(t, "../docs/adding-a-store.md"), -1)
	if len(shown) == 0 {
		t.Fatal("the guide shows no failure")
	}
	for _, line := range shown {
		if !strings.Contains(suite.String(), `"`+line[1]+`"`) {
			t.Errorf("no check says %q", line[1])
		}
	}
}

// Links in the documents lead somewhere.
func TestDocumentationLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`)
	for _, document := range []string{
		"../docs/adding-a-store.md", "../docs/architecture.md", "../docs/configuration.md", "../docs/flight.md", "../docs/semantics.md", "../docs/tickets.md",
		"../examples/python/README.md", "../examples/customstore/README.md", "../examples/flights/README.md",
	} {
		for _, found := range link.FindAllStringSubmatch(readFile(t, document), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(document), found[1])); err != nil {
				t.Errorf("%s links to %s: %v", document, found[1], err)
			}
		}
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
