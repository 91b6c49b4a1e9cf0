package joins

import (
	"container/list"
	"context"
	"hash/maphash"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// IndexCache keeps indexes of keys and event times of parts that do not change (see Identified) from one call to the next,
// within a bound in bytes. Those that were not used for longest go first. It never keeps a row's features, nor an answer.
type IndexCache struct {
	bound  int64
	mu     sync.Mutex
	bytes  int64                // of all indexes, also of those that are built, or gone from recent and still in use
	recent *list.List           // of *cachedIndex, most recently used first
	builds map[*indexBuild]bool // that are under way
	unfit  map[uint64]string    // builds that turned out to need more than the whole bound
	built  atomic.Int64         // so far
	hits   atomic.Int64
}

// NewIndexCache makes an empty cache of at most so many bytes.
func NewIndexCache(bytes int64) *IndexCache {
	return &IndexCache{bound: bytes, recent: list.New(), builds: make(map[*indexBuild]bool), unfit: make(map[uint64]string)}
}

// Bytes is how much the indexes take now.
func (c *IndexCache) Bytes() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bytes
}

// Hits is how often an index has answered for parts of a call so far.
func (c *IndexCache) Hits() int64 { return c.hits.Load() }

// Built is how many indexes have been built so far.
func (c *IndexCache) Built() int64 { return c.built.Load() }

// indexBuild is an index that is being built.
type indexBuild struct {
	signature string
	parts     []int           // of the builder's table, ascending
	ids       []string        // of these
	covers    map[string]bool // the same
	gives     []*cachedUse    // smaller indexes whose place it takes
	done      chan struct{}
}

// tooLarge is why most builds that cannot be cannot.
const tooLarge = "it would be larger than all indexes may be together"

// maxUnfit bounds how many builds are remembered that do not fit.
const maxUnfit = 1024

// name is what a build is remembered by.
func (b *indexBuild) name() uint64 {
	return maphash.String(textSeed, b.signature+"\x00"+strings.Join(b.ids, "\x00"))
}

// find returns the indexes that answer for parts of a table, in use until they are released. If it pays to index parts that
// are left, there is also a build, which the caller has to carry out and finish; or nothing but somebody else's build of the
// same parts, to wait for. unfit says why there is no build.
func (c *IndexCache) find(q *indexQuery) (uses []*cachedUse, build *indexBuild, wait <-chan struct{}, unfit string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	uses, build = q.choose(c.bySize(q.signature))
	if build != nil {
		for other := range c.builds {
			if other.signature == build.signature && slices.ContainsFunc(build.ids, func(id string) bool { return other.covers[id] }) {
				return nil, nil, other.done, ""
			}
		}
		if unfit = c.unfit[build.name()]; q.rowsOf(build.parts)*cachedRowBytes > c.bound {
			unfit = tooLarge
		}
		if unfit != "" {
			uses, build = append(uses, build.gives...), nil
		}
	}
	c.hits.Add(int64(len(uses)))
	for _, use := range uses {
		use.users++
		c.recent.MoveToFront(use.place)
	}
	if build != nil {
		c.builds[build] = true
	}
	return uses, build, nil, unfit
}

// bySize lists the indexes of a signature, those of the most rows first.
func (c *IndexCache) bySize(signature string) (some []*cachedIndex) {
	for e := c.recent.Front(); e != nil; e = e.Next() {
		if index := e.Value.(*cachedIndex); index.signature == signature {
			some = append(some, index)
		}
	}
	slices.SortStableFunc(some, func(a, b *cachedIndex) int { return int(b.rows() - a.rows()) })
	return some
}

// reserve takes bytes for an index, from those that nobody uses if need be. It takes nothing if that does not suffice, and
// remembers a build that would not fit even alone.
func (c *IndexCache) reserve(b *indexBuild, index *cachedIndex, bytes int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if index.bytes+bytes > c.bound {
		c.setUnfit(b, tooLarge)
		return false
	}
	free := c.bound - c.bytes
	var goes []*cachedIndex
	for e := c.recent.Back(); e != nil && free < bytes; e = e.Prev() {
		if old := e.Value.(*cachedIndex); old.users == 0 {
			goes = append(goes, old)
			free += old.bytes
		}
	}
	if free < bytes {
		return false
	}
	for _, old := range goes {
		c.drop(old)
	}
	c.bytes += bytes
	index.bytes += bytes
	return true
}

// refuse remembers a build that cannot be.
func (c *IndexCache) refuse(b *indexBuild, why string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.setUnfit(b, why)
}

func (c *IndexCache) setUnfit(b *indexBuild, why string) {
	if len(c.unfit) >= maxUnfit {
		clear(c.unfit)
	}
	c.unfit[b.name()] = why
}

// drop takes an index out of the cache. Its bytes come free when nobody uses it.
func (c *IndexCache) drop(index *cachedIndex) {
	if index.place == nil {
		return
	}
	c.recent.Remove(index.place)
	index.place = nil
	if index.users == 0 {
		c.bytes -= index.bytes
	}
}

// finish ends a build. The index, nil if there is none, takes the place of the smaller ones and is in use.
func (c *IndexCache) finish(b *indexBuild, index *cachedIndex) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if index != nil {
		for _, old := range b.gives {
			c.drop(old.cachedIndex)
		}
		index.users++
		index.place = c.recent.PushFront(index)
		c.built.Add(1)
	}
	delete(c.builds, b)
	close(b.done)
}

// giveUp returns what was reserved for an index that is not to be.
func (c *IndexCache) giveUp(index *cachedIndex) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bytes -= index.bytes
	index.bytes = 0
}

// release ends the use of an index.
func (c *IndexCache) release(use *cachedUse) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if use.users--; use.users == 0 && use.place == nil {
		c.bytes -= use.bytes
	}
}

// await waits for the end of somebody's build, however it ends.
func await(ctx context.Context, done <-chan struct{}) error {
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
