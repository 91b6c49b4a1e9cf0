//go:build unix && !linux

package files

import "os"

func renameNew(*os.File, string, *os.File, string) error { return errNoRenameNew }
