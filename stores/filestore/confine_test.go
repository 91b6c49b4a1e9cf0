package filestore_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/flightd/flightd/stores"
)

// Nothing outside the root is read, and whether it exists is not said: every path below is tried with a target that is
// there and with one that is not, and the answers are the same.
func TestConfinement(t *testing.T) {
	top := t.TempDir()
	root := filepath.Join(top, "root")
	secret := rec(t, col{"secret", arrow.PrimitiveTypes.Int64, `[42]`})
	write(t, filepath.Join(top, "there.parquet"), secret)
	write(t, filepath.Join(top, "thereabouts", "a.parquet"), secret)
	write(t, filepath.Join(top, "root-of-another", "a.parquet"), secret)
	write(t, filepath.Join(root, "inside", "a.parquet"), rec(t, col{"n", arrow.PrimitiveTypes.Int64, `[1]`}))
	for _, target := range []string{"there", "gone"} {
		absolute(t, filepath.Join(top, target+".parquet"), filepath.Join(root, target+"-absolute.parquet"))
		absolute(t, filepath.Join(top, target+"abouts"), filepath.Join(root, target+"-folder"))
		link(t, root, "../"+target+".parquet", target+"-relative.parquet")
		link(t, root, "../"+target+".parquet", "with-"+target+"-file/a.parquet")
		link(t, root, "../"+target+"abouts", "with-"+target+"-folder/sub")
		link(t, root, target+"-relative.parquet", target+"-twice.parquet")
		link(t, root, "inside/../../"+target+".parquet", target+"-through.parquet")
	}
	paths := []string{
		"../%.parquet", "../%abouts", "inside/../../%.parquet", "./../%.parquet", "..", "../root-of-another", "inside/..", "../root/inside",
		top + "/%.parquet", "/", "/etc/passwd", "//%.parquet", "file:///etc/passwd", "file://%.parquet", "s3://bucket/%.parquet", "http://localhost/%",
		"%-absolute.parquet", "%-relative.parquet", "%-twice.parquet", "%-through.parquet", "%-folder", "%-folder/a.parquet",
		"%-folder/../%.parquet", "with-%-file", "with-%-folder", "with-%-file/a.parquet", "with-%-folder/sub/a.parquet",
		"../*.parquet", "../%*", "*/../../%.parquet", "inside/../../*.parquet", "/*", "%-relative*", "with-%-f*/*.parquet", "with-%-folder/**",
		"%-folder/*.parquet",
	}
	encoded := []string{ // not decoded: names like any other, which are not there
		"..%2f%.parquet", "%2e%2e/%.parquet", "..%252f%.parquet", "..\\%.parquet", "..%c0%af%.parquet", "．．/%.parquet", "inside/%00",
		"~/%.parquet", "$HOME/%.parquet", "...//%.parquet", ". ./%.parquet", "{..,inside}/%.parquet", "[.][.]/%.parquet", "?[.]/%.parquet",
	}
	s := open(t, root)
	for _, path := range append(paths, encoded...) {
		there := refused(t, s, top, strings.ReplaceAll(path, "%", "there"))
		gone := refused(t, s, top, strings.ReplaceAll(path, "%", "gone"))
		if strings.ReplaceAll(there, "there", "gone") != gone {
			t.Errorf("%s: the message tells whether the file exists:\n  %s\n  %s", path, there, gone)
		}
	}
	for _, path := range paths {
		path = strings.ReplaceAll(path, "%", "there")
		if _, _, err := scanText(t, s, path); !errors.Is(err, stores.ErrForbidden) {
			t.Errorf("%s: %v, want %v", path, err, stores.ErrForbidden)
		}
	}
}

// refused reads a source that must not be read and returns the message.
func refused(t *testing.T, s stores.OfflineStore, top, path string) string {
	t.Helper()
	schema, rows, err := scanText(t, s, path)
	if err == nil {
		t.Errorf("%s was answered with %s: %q", path, schema, rows)
		return ""
	}
	if strings.Contains(strings.ReplaceAll(err.Error(), path, ""), top) {
		t.Errorf("%s: the message shows where the root is: %v", path, err)
	}
	message, _, _ := strings.Cut(err.Error(), "; did you mean") // which is about names inside the root
	return message
}

func absolute(t *testing.T, to, at string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(at), 0o755), os.Symlink(to, at)); err != nil {
		t.Fatal(err)
	}
}

// A link that is exchanged for one out of the root between the listing and the reading leads nowhere either.
func TestLinkExchangedAfterListing(t *testing.T) {
	top := t.TempDir()
	root := filepath.Join(top, "root")
	write(t, filepath.Join(top, "secret.parquet"), rec(t, col{"n", arrow.PrimitiveTypes.Int64, `[42]`}))
	path := filepath.Join(root, "a.parquet")
	write(t, path, rec(t, col{"n", arrow.PrimitiveTypes.Int64, `[1]`}))
	table := openTable(t, open(t, root), "a.parquet")
	if err := errors.Join(os.Remove(path), os.Symlink("../secret.parquet", path)); err != nil {
		t.Fatal(err)
	}
	if rows, err := readTable(t, table); err == nil || len(rows) > 0 {
		t.Errorf("got %q, %v", rows, err)
	}
}

// A pipe or a folder where a file should be is an error, and nobody waits for a writer.
func TestNotARegularFile(t *testing.T) {
	root := t.TempDir()
	if err := errors.Join(os.Mkdir(filepath.Join(root, "f"), 0o755), syscall.Mkfifo(filepath.Join(root, "f", "p.parquet"), 0o600)); err != nil {
		t.Fatal(err)
	}
	s := open(t, root)
	for _, source := range []string{"f", "f/p.parquet", "f/*"} {
		if _, _, err := scanText(t, s, source); !errors.Is(err, stores.ErrPrecondition) {
			t.Errorf("%s: %v", source, err)
		}
	}
	path := filepath.Join(root, "a.parquet")
	write(t, path, rec(t, col{"n", arrow.PrimitiveTypes.Int64, `[1]`}))
	table := openTable(t, s, "a.parquet")
	if err := errors.Join(os.Remove(path), syscall.Mkfifo(path, 0o600)); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { _, err := readTable(t, table); done <- err }()
	select {
	case err := <-done:
		if !errors.Is(err, stores.ErrPrecondition) {
			t.Errorf("a pipe in the file's place: %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("reading waits for a writer of the pipe")
	}
}
