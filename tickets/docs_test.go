package tickets

import (
	"os"
	"regexp"
	"testing"
)

// jsonBlock finds the fenced blocks of a document. The call stands behind the word json; DoGet where none does.
var jsonBlock = regexp.MustCompile("(?s)\n *```json *(\\w*)\n(.*?)\n *```")

// TestDocumentation: every ticket in the document is one.
func TestDocumentation(t *testing.T) {
	text, err := os.ReadFile("../docs/tickets.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := jsonBlock.FindAllSubmatch(text, -1)
	if len(blocks) < 10 {
		t.Fatalf("found only %d blocks", len(blocks))
	}
	for _, block := range blocks {
		call := Call(block[1])
		if call == "" {
			call = DoGet
		}
		if _, err := ParseCommand(call, block[2]); err != nil {
			t.Errorf("%s\n%s: %v", block[2], call, err)
		}
	}
}
