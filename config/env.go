package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// reference finds what a dollar sign may begin. Another dollar sign, as in pa$word, is just itself.
var reference = regexp.MustCompile(`\$\$|\$\{[^}]*\}?`)

var variable = regexp.MustCompile(`^\$\{[A-Za-z_][A-Za-z0-9_]*\}$`)

// expand replaces ${NAME} by the variable's value and $$ by a dollar sign. filled says whether there was a variable. It
// works on values, after the YAML has been read, so a variable cannot add keys to the file whatever it holds.
func expand(text string, getenv func(string) (string, bool)) (expanded string, filled bool, err error) {
	var malformed, missing []string
	expanded = reference.ReplaceAllStringFunc(text, func(ref string) string {
		if ref == "$$" {
			return "$"
		}
		if !variable.MatchString(ref) {
			malformed = append(malformed, ref)
			return ""
		}
		filled = true
		name := ref[2 : len(ref)-1]
		value, ok := getenv(name)
		if !ok && !slices.Contains(missing, name) {
			missing = append(missing, name)
		}
		return value
	})
	switch {
	case malformed != nil:
		return "", false, fmt.Errorf("%q is not a reference to a variable; write ${NAME}, or $$ for a dollar sign", malformed[0])
	case missing != nil:
		return "", false, fmt.Errorf("the environment has no variable %s", strings.Join(missing, ", "))
	}
	return expanded, filled, nil
}
