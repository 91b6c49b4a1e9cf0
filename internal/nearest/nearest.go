// Package nearest finds, for a name that is not there, the known name that was probably meant.
package nearest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"
)

// maxListed is how many known names a hint lists when none is close.
const maxListed = 8

// maxCompared bounds the edit distance's quadratic cost on names that a client sent.
const maxCompared = 128

// Name returns the known name closest to name, if one is close enough to be a slip of the pen.
func Name(name string, known []string) (string, bool) {
	if len(name) > maxCompared {
		return "", false
	}
	best, bestDistance := "", 1+min(max(2, len(name)/3), (len(name)+1)/2)
	for _, k := range known {
		if len(k) > maxCompared {
			continue
		}
		if strings.EqualFold(k, name) {
			return k, true
		}
		if d := levenshtein.ComputeDistance(name, k); d < bestDistance {
			best, bestDistance = k, d
		}
	}
	return best, best != ""
}

// Hint is the second half of a "not found" message: the probable name, or else what there is.
func Hint(name string, known []string) string {
	if k, ok := Name(name, known); ok {
		return fmt.Sprintf("did you mean %q?", k)
	}
	if len(known) == 0 {
		return "there are none"
	}
	sorted := slices.Sorted(slices.Values(known))
	if len(sorted) > maxListed {
		return fmt.Sprintf("known: %s and %d more", strings.Join(sorted[:maxListed], ", "), len(sorted)-maxListed)
	}
	return "known: " + strings.Join(sorted, ", ")
}

// Quote quotes a name that came from outside and shortens it, so that a message stays readable whatever was sent.
func Quote(name string) string {
	const most = 80
	if len(name) > most {
		return fmt.Sprintf("%q… (%d bytes)", strings.ToValidUTF8(name[:most], ""), len(name))
	}
	return fmt.Sprintf("%q", name)
}
