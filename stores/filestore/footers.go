package filestore

import (
	"container/list"
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"

	"github.com/apache/arrow/go/v15/arrow"
	"golang.org/x/sync/errgroup"

	"github.com/flightd/flightd/internal/parquetio"
)

// The bound on all that a store remembers, and an estimate of what a file takes beside its footer.
const (
	footerBytes  = 64 << 20
	bytesPerFile = 1 << 10
)

// footers remembers files by path, the most recently used up to a bound in bytes. An entry is used only for the very
// file it was read from.
type footers struct {
	mu     sync.Mutex
	byPath map[string]*list.Element // of *file
	recent *list.List               // most recent first
	bytes  int64
	bound  int64
	schema *arrow.Schema // of the file that was put last
}

func newFooters(bound int64) *footers {
	return &footers{byPath: make(map[string]*list.Element), recent: list.New(), bound: bound}
}

// get finds a file that is known and has not changed since.
func (c *footers) get(f found) *file {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.byPath[f.path]
	if e == nil {
		return nil
	}
	if !sameFile(e.Value.(*file).info, f.info) {
		c.remove(e)
		return nil
	}
	c.recent.MoveToFront(e)
	return e.Value.(*file)
}

// put remembers a file, and returns it, or the one that somebody else has read at the same time: who replaces a file keeps
// the one that is remembered.
func (c *footers) put(f *file) *file {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.byPath[f.path]; e != nil {
		if known := e.Value.(*file); sameFile(known.info, f.info) {
			return known
		}
		c.remove(e)
	}
	if f.schema = f.footer.Schema(); c.schema != nil && sameFields(c.schema, f.schema) {
		f.schema = c.schema
	}
	c.schema = f.schema
	c.byPath[f.path] = c.recent.PushFront(f)
	c.bytes += f.cost()
	for c.bytes > c.bound {
		c.remove(c.recent.Back())
	}
	return f
}

func (c *footers) remove(e *list.Element) {
	f := c.recent.Remove(e).(*file)
	delete(c.byPath, f.path)
	c.bytes -= f.cost()
}

func (c *footers) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.byPath, c.bytes = make(map[string]*list.Element), 0
	c.recent.Init()
}

func (f *file) cost() int64 {
	return bytesPerFile + f.footer.Memory() + f.merged.bytes()
}

// open finds or reads the footers of a listing, several at once, in the order of the listing.
func (s *Store) open(ctx context.Context, listing []found) ([]openFile, error) {
	files := make([]openFile, len(listing))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(2 * runtime.GOMAXPROCS(0))
	for i, f := range listing {
		if known := s.footers.get(f); known != nil {
			files[i] = openFile{known, f.partitions, f.info}
			continue
		}
		g.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			read, err := s.readFooter(f)
			files[i] = openFile{read, f.partitions, f.info}
			return err
		})
	}
	return files, g.Wait()
}

// readFooter reads the footer of one file. It runs on goroutines of its own, where a panic would end the process.
func (s *Store) readFooter(from found) (f *file, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic while the footer of %q was read: %v\n%s", from.path, p, debug.Stack())
		}
	}()
	f = &file{store: s, path: from.path, info: from.info}
	if err := f.pin(); err != nil {
		return nil, err
	}
	defer f.unpin()
	if f.footer, err = parquetio.Open(f, from.info.Size(), from.path); err != nil {
		return nil, f.explain(err)
	}
	f.written, f.merged = writtenOf(f.footer), mergedOf(f.footer)
	return s.footers.put(f), nil
}
