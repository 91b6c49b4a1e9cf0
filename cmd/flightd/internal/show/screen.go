// Package show puts results on a screen: tables that fit its width, progress while work goes on, numbers for people.
package show

import (
	"os"
	"strings"
	"unicode"

	"github.com/olekukonko/tablewriter/pkg/twwidth"
	"golang.org/x/term"
)

// pipeWidth is the width of a screen that is none: a pipe or a file.
const pipeWidth = 120

// IsTerminal reports whether f is a screen with a person in front of it.
func IsTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

// Width is the number of columns of a terminal.
func Width(f *os.File) int {
	if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
		return width
	}
	return pipeWidth
}

// clean makes control characters visible: a value must not move the cursor or change the terminal's colours.
func clean(s string) string {
	if !strings.ContainsFunc(s, unprintable) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\n':
			b.WriteString("↵")
		case unprintable(r):
			b.WriteString("�")
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

func unprintable(r rune) bool { return r != ' ' && !unicode.IsPrint(r) }

// cut shortens a text to a width.
func cut(s string, width int) string {
	if twwidth.Width(s) <= width {
		return s
	}
	used := 0
	for i, r := range s {
		if used += twwidth.Width(string(r)); used > width-1 {
			return s[:i] + "…"
		}
	}
	return s
}
