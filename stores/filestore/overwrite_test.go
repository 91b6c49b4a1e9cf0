package filestore_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/flightd/flightd/stores"
)

// While the rows of one call come, another one makes what was not there. What is there in the end are the rows of one, and
// nobody else has been told that his are.
func TestReplaceTogether(t *testing.T) {
	for _, text := range []string{"new.parquet", "a/b/new.parquet", "new", "a/b/new", "empty"} {
		for _, overwrite := range []bool{false, true} {
			root := t.TempDir()
			if err := os.Mkdir(filepath.Join(root, "empty"), 0o755); err != nil {
				t.Fatal(err)
			}
			s, other := open(t, root), open(t, root)
			input := rows(numbers(t, `[1, 2]`))
			all := input.Records
			input.Records = func(yield func(arrow.Record, error) bool) {
				if _, err := stores.Replace(t.Context(), other, source(t, other, text), overwrite, rows(numbers(t, `[3]`))); err != nil {
					t.Errorf("%s, %v: %v", text, overwrite, err)
				}
				all(yield)
			}
			_, err := stores.Replace(t.Context(), s, source(t, s, text), overwrite, input)
			isFile := filepath.Ext(text) != ""
			switch {
			case !overwrite && errors.Is(err, fs.ErrExist) && errors.Is(err, stores.ErrAlreadyExists):
				expectRows(t, s, text, "3")
			case overwrite && isFile && err == nil:
				expectRows(t, s, text, "1", "2")
			case overwrite && !isFile && errors.Is(err, errors.ErrUnsupported):
				expectRows(t, s, text, "3")
			default:
				t.Errorf("%s, overwrite %v: %v", text, overwrite, err)
			}
			for _, name := range tree(t, root) {
				if strings.HasSuffix(name, ".tmp") {
					t.Errorf("%s was left", name)
				}
			}
		}
	}
}

// A file that another program makes meanwhile is not overwritten either.
func TestReplaceBesideAnotherProgram(t *testing.T) {
	root := t.TempDir()
	s := open(t, root)
	input := rows(numbers(t, `[1]`))
	all := input.Records
	input.Records = func(yield func(arrow.Record, error) bool) {
		write(t, filepath.Join(root, "new.parquet"), numbers(t, `[2]`))
		all(yield)
	}
	if _, err := stores.Replace(t.Context(), s, source(t, s, "new.parquet"), false, input); !errors.Is(err, fs.ErrExist) {
		t.Error(err)
	}
	expectRows(t, s, "new.parquet", "2")
}
