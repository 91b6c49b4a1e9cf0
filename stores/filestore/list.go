package filestore

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/flightd/flightd/internal/fault"
	"github.com/flightd/flightd/internal/nearest"
	"github.com/flightd/flightd/stores"
)

// found is a file of a listing.
type found struct {
	path       string // below the root
	info       fs.FileInfo
	partitions []partition // key=value folders between the source and the file
}

// listFiles finds the files of a source (semantics P85), ordered by path. What is listed exists and is a regular file.
func listFiles(ctx context.Context, root *os.Root, src source) ([]found, error) {
	info, err := root.Stat(src.path)
	switch {
	case err == nil && info.Mode().IsRegular():
		return []found{{path: src.path, info: info}}, nil
	case err == nil && info.IsDir():
		w := &walk{ctx: ctx, root: root, descends: anywhere, chosen: isParquet}
		return w.files(src.path, fault.New(fault.Precondition, "%w", noParquet(src.path)))
	case err == nil:
		return nil, fault.New(fault.Precondition, "%q is neither a file nor a folder", src.path)
	case src.glob && isMissing(err):
		w := &walk{ctx: ctx, root: root, descends: src.descends, chosen: src.matches}
		return w.files(src.base(), notThere("no file matches "+nearest.Quote(src.path)))
	case isMissing(err):
		return nil, missing(root, src.path)
	}
	return nil, pathError(src.path, err)
}

// noParquet is a folder without a file of rows.
type noParquet string

func (folder noParquet) Error() string {
	return fmt.Sprintf("folder %q has no Parquet file (*.parquet, *.parq, *.pq), so its columns are not known", string(folder))
}

// Is makes it a stores.ErrNoColumns.
func (noParquet) Is(target error) bool { return target == stores.ErrNoColumns }

// isParquet says whether a folder's file of this name is one of its rows.
func isParquet(name string) bool {
	switch path.Ext(name) {
	case ".parquet", ".parq", ".pq":
		return true
	}
	return false
}

// anywhere is where the files of a folder may be.
func anywhere(string) bool { return true }

// isHidden says whether a name is one that a folder keeps for itself.
func isHidden(name string) bool { return name[0] == '.' || name[0] == '_' }

// walk collects the chosen files below a folder. Links are followed inside the root.
type walk struct {
	ctx      context.Context
	root     *os.Root
	chosen   func(path string) bool // is a file of the source
	descends func(path string) bool // may be a folder with such files
	found    []found
}

// files walks from a folder; none is the error if it finds nothing.
func (w *walk) files(dir string, none error) ([]found, error) {
	info, err := w.root.Stat(dir)
	if isMissing(err) || err == nil && !info.IsDir() {
		return nil, none
	}
	if err != nil {
		return nil, pathError(dir, err)
	}
	if err := w.folder(dir, []fs.FileInfo{info}, nil); err != nil {
		return nil, err
	}
	if len(w.found) == 0 {
		return nil, none
	}
	slices.SortFunc(w.found, func(a, b found) int { return strings.Compare(a.path, b.path) })
	return w.found, nil
}

// folder visits one folder; above are the folders on the way to it, itself last.
func (w *walk) folder(dir string, above []fs.FileInfo, partitions []partition) error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	entries, err := readDir(w.root, dir)
	if err != nil {
		return pathError(dir, err)
	}
	here, err := w.root.OpenRoot(dir) // names in it are found without the way to it
	if err != nil {
		return pathError(dir, err)
	}
	defer here.Close()
	for _, entry := range entries {
		if isHidden(entry.Name()) {
			continue
		}
		if err := w.entry(here, path.Join(dir, entry.Name()), entry, above, partitions); err != nil {
			return err
		}
	}
	return nil
}

func (w *walk) entry(here *os.Root, name string, entry fs.DirEntry, above []fs.FileInfo, partitions []partition) error {
	link, chosen := entry.Type()&fs.ModeSymlink != 0, w.chosen(name)
	if !chosen && (!link && !entry.IsDir() || !w.descends(name)) {
		return nil
	}
	var info fs.FileInfo
	var err error
	if link {
		info, err = w.root.Stat(name)
	} else {
		info, err = here.Lstat(entry.Name())
	}
	if err == nil && info.Mode()&fs.ModeSymlink != 0 { // it has just become one
		info, err = w.root.Stat(name)
	}
	switch {
	case isMissing(err) && link && chosen:
		return fault.New(fault.Precondition, "%q is a link to nothing", name)
	case isMissing(err): // a link that is not ours, or a file that went away while it was listed
		return nil
	case err != nil:
		return pathError(name, err)
	case info.IsDir():
		return w.subfolder(name, info, above, partitions)
	case !chosen:
		return nil
	case !info.Mode().IsRegular():
		return fault.New(fault.Precondition, "%q is not a regular file", name)
	}
	w.found = append(w.found, found{path: name, info: info, partitions: partitions})
	return nil
}

func (w *walk) subfolder(name string, info fs.FileInfo, above []fs.FileInfo, partitions []partition) error {
	if !w.descends(name) {
		return nil
	}
	for _, folder := range above {
		if os.SameFile(folder, info) {
			return fault.New(fault.Precondition, "the link %q leads back to a folder that holds it", name)
		}
	}
	if p, ok := parsePartition(path.Base(name)); ok {
		partitions = append(slices.Clip(partitions), p)
	}
	return w.folder(name, append(slices.Clip(above), info), partitions)
}

func readDir(root *os.Root, dir string) ([]fs.DirEntry, error) {
	f, err := root.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.ReadDir(-1)
}

// missing says that there is no such file, and which one was probably meant.
func missing(root *os.Root, name string) error {
	var names []string
	if entries, err := readDir(root, path.Dir(name)); err == nil {
		for _, e := range entries {
			names = append(names, e.Name())
		}
	}
	hint := ""
	if near, ok := nearest.Name(path.Base(name), names); ok {
		hint = "; did you mean " + nearest.Quote(path.Join(path.Dir(name), near)) + "?"
	}
	return notThere("no file or folder " + nearest.Quote(name) + " below the store's root" + hint)
}
