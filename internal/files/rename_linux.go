package files

import (
	"os"

	"golang.org/x/sys/unix"
)

// renameNew moves a file to a name that nothing has.
func renameNew(source *os.File, from string, target *os.File, to string) error {
	return renamed(unix.Renameat2(int(source.Fd()), from, int(target.Fd()), to, unix.RENAME_NOREPLACE), from, to)
}
