// Package rowfile reads and writes tables as files: Parquet, CSV, and Arrow IPC files and streams, told by their names.
//
// Both ways are streams of records, so memory does not depend on the size of a file. A record that is read is lent until
// the next step.
package rowfile

import (
	"fmt"
	"path/filepath"
	"strings"
)

// Format is a kind of file.
type Format int

// The formats.
const (
	Parquet   Format = iota + 1
	CSV              // with a line of column names
	ArrowFile        // Arrow IPC with a footer; when reading, a stream under such a name is taken too
	ArrowStream
)

// Standard is the path that stands for standard input or output, as an Arrow IPC stream.
const Standard = "-"

var extensions = map[string]Format{
	".parquet": Parquet, ".parq": Parquet, ".pq": Parquet,
	".csv":   CSV,
	".arrow": ArrowFile, ".ipc": ArrowFile, ".feather": ArrowFile,
	".arrows": ArrowStream,
}

// FormatOf tells the format of a file by its name.
func FormatOf(path string) (Format, error) {
	if path == Standard {
		return ArrowStream, nil
	}
	extension := strings.ToLower(filepath.Ext(path))
	if f, ok := extensions[extension]; ok {
		return f, nil
	}
	const known = "use .parquet, .csv, .arrow (Arrow IPC file) or .arrows (Arrow IPC stream), or - for an Arrow IPC stream"
	if extension == "" {
		return 0, fmt.Errorf("%s: the name has no extension to tell the format by; %s", path, known)
	}
	return 0, fmt.Errorf("%s: the extension %s is not known; %s", path, extension, known)
}
