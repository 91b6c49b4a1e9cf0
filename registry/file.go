package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/flightd/flightd/internal/feastpb"
)

// maxRegistryBytes is more than a registry file has; what is bigger is something else.
const maxRegistryBytes = 1 << 30

// settled is how old a change must be before the file's time alone tells it from the next one: clocks of file systems tick
// in steps. It is also how long a state that could be half a write is not believed.
const settled = time.Second

// fileBackend is a registry in a file. Feast rewrites it in place, so a reader may meet it empty or cut off at any byte.
// Such a state is not taken for the registry: see judge.
type fileBackend struct {
	path string
	torn atomic.Pointer[tornFile] // what was read last and is no registry
}

// tornFile is a file that is no registry and has been so for a while, so that it need not be read again and again.
type tornFile struct {
	info fs.FileInfo
	err  error
}

func (f *fileBackend) String() string { return f.path }

func (f *fileBackend) close() error { return nil }

// fileToken is a file as it was read.
type fileToken struct {
	info fs.FileInfo
	data atomic.Pointer[[]byte] // while the time of the last change is so near that another one might have the same; else nil
}

func sameFile(a, b fs.FileInfo) bool {
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// unchanged asks the file system, and compares the contents as long as the time of the last change is too fresh to tell.
func (f *fileBackend) unchanged(_ context.Context, t token) (bool, error) {
	last := t.(*fileToken)
	info, err := os.Stat(f.path)
	if err != nil || !sameFile(info, last.info) {
		return false, nil // load says why
	}
	known := last.data.Load()
	if known == nil {
		return true, nil
	}
	data, info, err := f.read()
	if err != nil || !bytes.Equal(data, *known) {
		return false, nil
	}
	if !fresh(info) {
		last.data.Store(nil)
	}
	return true, nil
}

// fresh reports whether a file has changed so lately that its time may not tell it from the next change. A time in the
// future is fresh, too.
func fresh(info fs.FileInfo) bool { return time.Since(info.ModTime()) < settled }

// load reads and judges the file. A writer needs moments, so a file that is not whole is looked at again a few times; with
// a last good copy in hand not for long.
func (f *fileBackend) load(ctx context.Context, last *loaded) (*loaded, error) {
	tries := 40
	if last != nil {
		tries = 3
	}
	for {
		l, err := f.try(last)
		tries--
		if err == nil || !errors.Is(err, errUnfinished) || tries == 0 || f.torn.Load() != nil {
			return l, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func (f *fileBackend) try(last *loaded) (*loaded, error) {
	if torn := f.torn.Load(); torn != nil {
		if info, err := os.Stat(f.path); err == nil && sameFile(info, torn.info) {
			return nil, torn.err
		}
	}
	data, info, err := f.read()
	if err != nil {
		return nil, err
	}
	isFresh := fresh(info)
	var before *objects
	if last != nil {
		before = last.objects
	}
	all, err := parseRegistry(data, before, isFresh)
	t := &fileToken{info: info}
	switch {
	case err != nil && !isFresh:
		f.torn.Store(&tornFile{info, err})
		return nil, err
	case err != nil:
		return nil, err
	case isFresh:
		t.data.Store(&data)
	}
	f.torn.Store(nil)
	return &loaded{objects: all, token: t}, nil
}

// parseRegistry reads the bytes of a registry file. last is what was there before; nil: it is not known.
func parseRegistry(data []byte, last *objects, fresh bool) (*objects, error) {
	r := new(feastpb.Registry)
	if err := proto.Unmarshal(data, r); err != nil {
		return nil, fmt.Errorf("%w: %v", errUnfinished, err)
	}
	all := objectsOf(r)
	if err := judge(r, all, last, fresh); err != nil {
		return nil, fmt.Errorf("%w: %v", errUnfinished, err)
	}
	return all, nil
}

// read reads the file if it stays the same meanwhile.
func (f *fileBackend) read() ([]byte, fs.FileInfo, error) {
	file, err := os.OpenFile(f.path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe in its place must not block
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, errAbsent
	}
	if err != nil {
		return nil, nil, err
	}
	defer file.Close()
	before, err := file.Stat()
	switch {
	case err != nil:
		return nil, nil, err
	case !before.Mode().IsRegular():
		return nil, nil, errors.New("it is not a regular file")
	case before.Size() > maxRegistryBytes:
		return nil, nil, fmt.Errorf("it has %d bytes, more than a registry can have", before.Size())
	}
	data, err := io.ReadAll(io.LimitReader(file, before.Size()+1))
	if err != nil {
		return nil, nil, err
	}
	after, err := os.Stat(f.path)
	if err != nil || !sameFile(before, after) || int64(len(data)) != before.Size() {
		return nil, nil, fmt.Errorf("%w: it changed while it was read", errUnfinished)
	}
	return data, after, nil
}

// judge finds out whether a file that parses is a whole registry. A file of protocol buffers can be cut between two
// objects and still parse, so it takes what Feast writes, and in which order: fields by number, the projects behind all
// objects that a request can mean, and then the history of views.
//
// What cannot be whole is never taken. What might be (an old version of Feast, an upgrade) is taken once it has stayed as it
// is for a while.
func judge(r *feastpb.Registry, all, last *objects, fresh bool) error {
	if r.GetRegistrySchemaVersion() == "" {
		return errors.New("it has no registry_schema_version")
	}
	known := make(map[string]bool)
	for _, p := range r.GetProjects() {
		known[p.GetSpec().GetName()] = true
	}
	current := len(known) > 0
	for _, m := range r.GetProjectMetadata() { //nolint:staticcheck // all that old versions of Feast wrote
		known[m.GetProject()] = true
	}
	for name, d := range sorted(all.projects) {
		if !known[name] && !d.empty() {
			return fmt.Errorf("it has objects of project %q, but not the project", name)
		}
	}
	if !fresh {
		return nil
	}
	switch {
	case all.empty() && last != nil && !last.empty():
		return errors.New("nothing is left of what was there")
	case !all.empty() && !current:
		return errors.New("it has no projects")
	case versionsExpected(r) && len(r.GetFeatureViewVersionHistory().GetRecords()) == 0:
		return errors.New("its views have versions, but no history")
	}
	for name, d := range sorted(all.projects) {
		for _, v := range d.versions {
			if v.GetFeatureViewType() == "label_view" && !d.has(v.GetFeatureViewName()) {
				return fmt.Errorf("project %q has the history of label view %q, but not the view", name, v.GetFeatureViewName())
			}
		}
	}
	return nil
}

// versionsExpected reports whether views were written by a version of Feast that keeps their history.
func versionsExpected(r *feastpb.Registry) bool {
	return slices.ContainsFunc(r.GetFeatureViews(), func(v *feastpb.FeatureView) bool { return v.GetSpec().GetVersion() != "" }) ||
		slices.ContainsFunc(r.GetOnDemandFeatureViews(), func(v *feastpb.OnDemandFeatureView) bool { return v.GetSpec().GetVersion() != "" }) ||
		slices.ContainsFunc(r.GetStreamFeatureViews(), func(v *feastpb.StreamFeatureView) bool { return v.GetSpec().GetVersion() != "" })
}

// has reports whether a project has a view of a name, of whatever sort.
func (d *definitions) has(view string) bool {
	return slices.ContainsFunc(d.views, func(v *feastpb.FeatureViewSpec) bool { return v.GetName() == view }) ||
		slices.ContainsFunc(d.streams, func(v *feastpb.StreamFeatureViewSpec) bool { return v.GetName() == view }) ||
		slices.ContainsFunc(d.onDemand, func(v *feastpb.OnDemandFeatureView) bool { return v.GetSpec().GetName() == view }) ||
		slices.ContainsFunc(d.labels, func(v *feastpb.LabelViewSpec) bool { return v.GetName() == view })
}
