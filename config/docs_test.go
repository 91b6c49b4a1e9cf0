package config

import (
	"os"
	"regexp"
	"testing"
)

var yamlBlock = regexp.MustCompile("(?s)\n```yaml\n(.*?)\n```")

// TestDocumentation: every configuration in the documents is one, and "everything" says what the defaults are.
func TestDocumentation(t *testing.T) {
	text, err := os.ReadFile("../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := yamlBlock.FindAllSubmatch(text, -1)
	if len(blocks) < 3 {
		t.Fatalf("found only %d blocks", len(blocks))
	}
	anything := func(string) (string, bool) { return "x", true }
	for _, block := range blocks {
		if _, err := Parse(block[1], "configuration.md", anything); err != nil {
			t.Errorf("%s\n%v", block[1], err)
		}
	}
	everything, err := Parse(blocks[1][1], "configuration.md", anything)
	if err != nil {
		t.Fatal(err)
	}
	want := defaults()
	if everything.Listen != want.Listen || everything.Limits != want.Limits || everything.Log != want.Log ||
		everything.Auth != want.Auth || everything.ShutdownTimeout != want.ShutdownTimeout {
		t.Errorf("the document shows other defaults: %+v", everything)
	}
}
