//go:build unix

package ondemand

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/flightd/flightd/internal/fault"
)

// TestNotAPython: the error says what was run, what it said, and what to do.
func TestNotAPython(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "python")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		command []string
		want    string
	}{
		"missing":        {[]string{"/does/not/exist/python"}, "no such file or directory"},
		"not in PATH":    {[]string{"no-such-python-anywhere"}, "executable file not found"},
		"not executable": {[]string{empty}, "permission denied"},
		"ends":           {fakeOptions("complain").Command, "exit status 3; on standard error it said:\nI do not know this option"},
		"talks":          {fakeOptions("noise").Command, `it begins with "Welcome to`},
		"does not stop":  {fakeOptions("flood").Command, `it begins with "spam spam`},
		"is mute":        {fakeOptions("mute").Command, "no answer within 300ms"},
		"no Feast":       {[]string{"python3", "-S", "-E"}, "No module named"},
	} {
		t.Run(name, func(t *testing.T) {
			o := Options{Command: c.command}
			if name == "is mute" {
				o.StartTimeout = 300 * time.Millisecond
			}
			p, bound := open(t, o), bind(t, "y")
			for range 2 { // the next call tries again
				_, err := ask(t.Context(), p, bound, 1)
				if err == nil || fault.KindOf(err) != fault.Precondition {
					t.Fatalf("%v", err)
				}
				for _, want := range []string{c.want, strings.Join(c.command, " "), "--feast-python", "FLIGHTD_FEAST_PYTHON"} {
					if !strings.Contains(err.Error(), want) {
						t.Errorf("%v\nwhere is %q?", err, want)
					}
				}
			}
			if len(p.all) != 0 || len(p.slots) != 0 {
				t.Errorf("%d processes, %d places taken", len(p.all), len(p.slots))
			}
		})
	}
}

func TestCheck(t *testing.T) {
	p := open(t, fakeOptions("good"))
	if v, err := p.Check(t.Context()); err != nil || v.Feast != "0.0" {
		t.Errorf("%v, %v", v, err)
	}
	if _, err := open(t, fakeOptions("complain")).Check(t.Context()); fault.KindOf(err) != fault.Precondition {
		t.Errorf("%v", err)
	}
}
