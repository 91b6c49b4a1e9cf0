package filestore_test

import (
	"errors"
	"os"
	"syscall"
	"testing"
)

// hold makes a file and locks it until the test ends.
func hold(t *testing.T, name string) string {
	t.Helper()
	f, err := os.Create(name)
	if err == nil {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(f.Close()); err != nil {
			t.Error(err)
		}
	})
	return name
}
