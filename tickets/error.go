package tickets

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Error says what is wrong with a ticket. It is always the sender's to mend (INVALID_ARGUMENT).
type Error struct {
	Key     string // where: "historical.features[2]"; "": the ticket as a whole
	Message string // what is wrong, and what is wanted instead
}

func (e *Error) Error() string {
	if e.Key == "" {
		return "ticket: " + e.Message
	}
	return e.Key + ": " + e.Message
}

func errorf(key, format string, args ...any) *Error {
	return &Error{Key: key, Message: fmt.Sprintf(format, args...)}
}

func tooLong(bytes int) *Error {
	return errorf("", "it is %d bytes long; at most %d are allowed, so stage entity rows with DoPut or stream them with DoExchange",
		bytes, MaxBytes)
}

// quote quotes what the client sent and shortens it, so that a message stays readable whatever that was.
func quote(s string) string {
	const most = 80
	if len(s) <= most {
		return fmt.Sprintf("%q", s)
	}
	cut := most
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return fmt.Sprintf("%q… (%d bytes)", s[:cut], len(s))
}

// suggest is the second half of a message about an unknown word: the word that was probably meant, or all there are.
func suggest(word string, known []string) string {
	if len(known) == 0 {
		return "there are none here"
	}
	slices.Sort(known)
	best, distance := "", 1+max(1, len(word)/3)
	for _, k := range known {
		if d := editDistance(word, k); d < distance {
			best, distance = k, d
		}
	}
	if best != "" && len(word) <= 2*len(best) {
		return fmt.Sprintf("did you mean %q?", best)
	}
	return "known: " + strings.Join(known, ", ")
}

// editDistance counts the slips between a and b: a byte left out, added or wrong, or two neighbours in the wrong order.
// It gives up on words that are longer than any of ours.
func editDistance(a, b string) int {
	const longest = 64
	if len(a) > longest {
		return len(a)
	}
	var before, last, row [longest + 1]int // distances of b's prefixes to a[:i-1], a[:i] and a[:i+1]
	for j := range len(b) + 1 {
		last[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		for j := range len(b) {
			wrong := 1
			if a[i] == b[j] {
				wrong = 0
			}
			row[j+1] = min(last[j]+wrong, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
