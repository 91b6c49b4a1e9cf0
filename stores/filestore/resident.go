package filestore

import (
	"container/list"
	"slices"
	"sync"
	"time"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/flightd/flightd/internal/arrowsize"
)

// residentBytes bounds the rows of small files that are kept in memory, and residentFor is how long those that are used
// now and then are not given up for others: a source with more small files than there is room for would else push out what
// it needs next.
const (
	residentBytes = 64 << 20
	residentFor   = time.Minute
)

// processResidents are those of all stores of the process: a Feast repository has one for each folder.
var processResidents = newResidents(residentBytes)

// residents are columns of bundles of small files, as they are read again and again by the calls that follow. They are tied to
// the files as they were listed, and are what the page cache is for large files: never an answer.
type residents struct {
	mu     sync.Mutex
	first  map[*file]*list.Element // of *resident, by the first of its files
	recent *list.List              // most recent first
	bytes  int64
	bound  int64
}

func newResidents(bound int64) *residents {
	return &residents{first: make(map[*file]*list.Element), recent: list.New(), bound: bound}
}

type resident struct {
	files   []*file
	columns map[string]arrow.Array
	bytes   int64
	used    time.Time
}

// find returns the columns that are kept, in the order of fields, and the names of those that are not.
func (r *residents) find(files []*file, fields []arrow.Field) (columns []arrow.Array, missing []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	kept := r.get(files)
	columns = make([]arrow.Array, len(fields))
	for i, f := range fields {
		if kept != nil {
			if a := kept.columns[f.Name]; a != nil && arrow.TypeEqual(a.DataType(), f.Type) {
				columns[i] = a
				continue
			}
		}
		missing = append(missing, f.Name)
	}
	return columns, missing
}

func (r *residents) get(files []*file) *resident {
	e := r.first[files[0]]
	if e == nil {
		return nil
	}
	kept := e.Value.(*resident)
	if !slices.Equal(kept.files, files) {
		r.remove(e)
		return nil
	}
	kept.used = time.Now()
	r.recent.MoveToFront(e)
	return kept
}

// keep keeps columns of all rows of a bundle, if there is room. The collector frees them when nobody uses them any more.
func (r *residents) keep(files []*file, columns arrow.Record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	bytes := arrowsize.Record(columns)
	for r.bytes+bytes > r.bound {
		last := r.recent.Back()
		if last == nil || time.Since(last.Value.(*resident).used) < residentFor {
			return
		}
		r.remove(last)
	}
	kept := r.get(files)
	if kept == nil {
		kept = &resident{files: files, columns: make(map[string]arrow.Array), used: time.Now()}
		r.first[files[0]] = r.recent.PushFront(kept)
	}
	for i, f := range columns.Schema().Fields() {
		if old := kept.columns[f.Name]; old != nil {
			size := arrowsize.Array(old)
			kept.bytes, r.bytes = kept.bytes-size, r.bytes-size
		}
		kept.columns[f.Name] = columns.Column(i)
		size := arrowsize.Array(columns.Column(i))
		kept.bytes, r.bytes = kept.bytes+size, r.bytes+size
	}
}

func (r *residents) remove(e *list.Element) {
	kept := r.recent.Remove(e).(*resident)
	delete(r.first, kept.files[0])
	r.bytes -= kept.bytes
}

// forget gives up what is kept of a store's files.
func (r *residents) forget(s *Store) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for e := r.recent.Front(); e != nil; {
		next := e.Next()
		if e.Value.(*resident).files[0].store == s {
			r.remove(e)
		}
		e = next
	}
}
