package csvstore

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flightd/flightd/stores"
)

// A broken file is an error that says where, never a wrong answer.
func TestBrokenFiles(t *testing.T) {
	for _, c := range []struct {
		name, text, want string
		kind             error
	}{
		{"empty", "", "has no header", stores.ErrDataLoss},
		{"type", "n:int\n1\n", `header "n:int"`, stores.ErrPrecondition},
		{"no type", "n\n1\n", `header "n"`, stores.ErrPrecondition},
		{"value", "n:int64\n1\nx\n", `line 3, column "n"`, stores.ErrDataLoss},
		{"time", "n:timestamp\nyesterday\n", `line 2, column "n"`, stores.ErrDataLoss},
		{"finer time", "n:timestamp\n2024-01-01T00:00:00.0000001Z\n", `line 2, column "n"`, stores.ErrDataLoss},
		{"fields", "n:int64,m:int64\n1\n", "wrong number of fields", stores.ErrDataLoss},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := open(t, c.text)
			err := scan(t, s, "n")
			if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestSourcesStayInTheFolder(t *testing.T) {
	s := open(t, "n:int64\n")
	for _, text := range []string{"../x.csv", "/etc/passwd", "a/../../x.csv"} {
		if _, err := s.Source(text); !errors.Is(err, stores.ErrForbidden) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// All problems of a configuration are reported at once.
func TestValidate(t *testing.T) {
	err := (&Config{Separator: "||"}).Validate()
	for _, want := range []string{"folder", "separator"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
}

// open makes a store with one file, t.csv.
func open(t *testing.T, text string) *Store {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "t.csv"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := (&Config{Folder: dir, Separator: ","}).Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s.(*Store)
}

func scan(t *testing.T, s *Store, column string) error {
	for _, err := range s.Scan(t.Context(), Source("t.csv"), stores.Selection{Columns: []string{column}}) {
		if err != nil {
			return err
		}
	}
	return nil
}
