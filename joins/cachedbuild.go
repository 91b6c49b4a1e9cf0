package joins

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"sync/atomic"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
)

// errNoIndex says why an index is not built; the call goes on without it.
var errNoIndex = errors.New("an index is not built")

// buildPatience is how long a build waits for memory that others hold: without it the call streams, which needs less.
const buildPatience = time.Second

// indexBuilder builds a cached index of parts of a view's table. The rows' keys are read twice: to see how many rows each
// partition of the hashes has, and together with the times to put every row where its partition is; then each partition is
// sorted where it lies. So beside the index no more is needed than the hashes of its rows and what the threads work with.
type indexBuilder struct {
	cache   *IndexCache
	build   *indexBuild
	view    *boundView
	memory  *holding // of the call, for the time of the build
	threads int

	index *cachedIndex
	parts int      // partitions
	base  []uint32 // part of the table -> its first row in the index
	begin []int    // partition -> where its rows begin; and one more
	next  []atomic.Int64
	hash  []uint64
}

// run builds the index. It reserves memory before it takes it, and gives back what it has taken of the cache's if it fails.
func (b *indexBuilder) run(ctx context.Context) (index *cachedIndex, err error) {
	v := b.view
	b.index = &cachedIndex{signature: b.build.signature, ids: b.build.ids, coder: &keyCoder{spaces: v.index.keys.spaces}}
	defer func() {
		if err != nil {
			b.cache.giveUp(b.index)
		}
	}()
	b.number()
	if err := b.chooseCoder(ctx); err != nil {
		return nil, err
	}
	if err := b.countRows(ctx); err != nil {
		return nil, err
	}
	if err := b.scatter(ctx); err != nil {
		return nil, err
	}
	if err := b.sort(ctx); err != nil {
		return nil, err
	}
	return b.index, nil
}

// number gives the rows of the parts their numbers.
func (b *indexBuilder) number() {
	table := b.view.Table.Parts()
	b.base = make([]uint32, len(table))
	b.index.first = make([]uint32, 1, len(b.build.parts)+1)
	var rows uint32
	for _, i := range b.build.parts {
		b.base[i] = rows
		rows += uint32(table[i].Rows)
		b.index.first = append(b.index.first, rows)
	}
	b.parts = 1
	for int64(rows)/int64(b.parts) > caching.partition && b.parts < maxBuildParts {
		b.parts *= 2
	}
}

// maxBuildParts bounds the blocks in which rows wait for their partition.
const maxBuildParts = 2048

// lend reserves memory of the call.
func (b *indexBuilder) lend(ctx context.Context, bytes int64) error {
	soon, cancel := context.WithTimeout(ctx, buildPatience)
	defer cancel()
	if err := b.memory.reserve(soon, bytes); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("%w: the call has not the %d MiB that it takes", errNoIndex, bytes>>20)
	}
	return nil
}

// reserve takes memory of the cache.
func (b *indexBuilder) reserve(bytes int64) error {
	if !b.cache.reserve(b.build, b.index, bytes) {
		return fmt.Errorf("%w: no room for %d MiB in the cache", errNoIndex, (b.index.bytes+bytes)>>20)
	}
	return nil
}

// eachRecord reads the keys of all rows, on several threads.
func (b *indexBuilder) eachRecord(ctx context.Context, do func(thread int, columns []arrow.Array, rows int) error) error {
	table, keys := b.view.Table, len(b.view.Keys)
	todo := stretches(table, b.build.parts, b.threads)
	var next atomic.Int64
	work := newWorkers(ctx)
	for thread := range b.threads {
		work.start(func(ctx context.Context) error {
			for i := int(next.Add(1)) - 1; i < len(todo); i = int(next.Add(1)) - 1 {
				for rec, err := range todo[i].read(ctx, table, Selection{Columns: b.view.columns[:keys]}) {
					if err == nil {
						err = ctx.Err()
					}
					if err == nil {
						err = do(thread, rec.Columns(), int(rec.NumRows()))
					}
					if err != nil {
						return err
					}
				}
			}
			return nil
		})
	}
	return work.wait()
}

// chooseCoder finds the ranges of several keys, by which they are packed into one word.
func (b *indexBuilder) chooseCoder(ctx context.Context) error {
	coder := b.index.coder
	if len(coder.spaces) == 1 {
		return nil
	}
	type scratch struct {
		column keyColumn
		state  []uint8
		ranges []keyRange
	}
	threads := make([]scratch, b.threads)
	for i := range threads {
		threads[i].ranges = make([]keyRange, len(coder.spaces))
	}
	err := b.eachRecord(ctx, func(thread int, columns []arrow.Array, rows int) error {
		t := &threads[thread]
		for i, s := range coder.spaces {
			t.state = grow(t.state, rows)
			clear(t.state)
			if err := t.column.encode(columns[i], s, t.state); err != nil {
				return err
			}
			t.ranges[i].widen(s, t.column.words[:rows], t.state)
		}
		return nil
	})
	if err != nil {
		return err
	}
	coder.form, coder.ranges = packed, make([]keyRange, len(coder.spaces))
	var width uint
	for i, s := range coder.spaces {
		r := &coder.ranges[i]
		for _, t := range threads {
			r.include(s, t.ranges[i])
		}
		coder.shifts = append(coder.shifts, width)
		width += uint(bits.Len64(r.hi - r.lo))
	}
	if width > 64 {
		const why = "the keys of a row do not fit into 64 bits"
		b.cache.refuse(b.build, why)
		return fmt.Errorf("%w: %s", errNoIndex, why)
	}
	return nil
}

// countRows counts the rows with a key in each partition.
func (b *indexBuilder) countRows(ctx context.Context) error {
	shift, mask := partitionOf(b.parts)
	type scratch struct {
		tuples tuples
		count  []int
	}
	threads := make([]scratch, b.threads)
	for i := range threads {
		threads[i].count = make([]int, b.parts)
	}
	err := b.eachRecord(ctx, func(thread int, columns []arrow.Array, rows int) error {
		t := &threads[thread]
		if err := b.index.coder.encode(&t.tuples, columns, rows); err != nil {
			return err
		}
		hashes := t.tuples.hash[:rows]
		for i, state := range t.tuples.state[:rows] {
			if state == usable {
				t.count[hashes[i]>>shift&mask]++
			}
		}
		return nil
	})
	b.begin = make([]int, b.parts+1)
	for p := range b.parts {
		b.begin[p+1] = b.begin[p]
		for i := range threads {
			b.begin[p+1] += threads[i].count[p]
		}
	}
	return err
}

// scatter reads keys and times and puts each row into its partition.
func (b *indexBuilder) scatter(ctx context.Context) error {
	rows := b.begin[b.parts]
	each := int64(cachedRowBytes)
	if b.view.createdAt >= 0 {
		each += cachedCreatedBytes
	}
	bytes := int64(rows)*each + int64(len(b.build.ids))*cachedPartBytes
	for _, id := range b.build.ids {
		bytes += int64(len(id))
	}
	if err := b.reserve(bytes); err != nil {
		return err
	}
	r := &reading{table: b.view.Table, keys: b.index.coder, created: b.view.createdAt, parts: b.parts, early: math.MinInt64, late: math.MaxInt64}
	blocks := 2*b.parts + leastBlocks
	waiting := int64(b.threads*blocks) * r.blockBytes()
	if err := b.lend(ctx, 8*int64(rows)+waiting); err != nil {
		return err
	}
	defer b.memory.release(waiting)
	b.hash, b.index.time, b.index.row = make([]uint64, rows), make([]int64, rows), make([]uint32, rows)
	if b.view.createdAt >= 0 {
		b.index.created = make([]int64, rows)
	}
	b.next = make([]atomic.Int64, b.parts)
	for p := range b.next {
		b.next[p].Store(int64(b.begin[p]))
	}
	_, err := r.streamAll(ctx, b.threads, blocks, b.build.parts, Selection{Columns: b.view.columns}, func(int) sink { return b })
	return err
}

// match puts rows into their partition. It implements sink.
func (b *indexBuilder) match(part int, blocks []*block) error {
	for _, rows := range blocks {
		end := int(b.next[part].Add(int64(rows.n)))
		if end > b.begin[part+1] {
			return errors.New("a part had other keys when it was read again")
		}
		at := end - rows.n
		if b.index.created != nil {
			copy(b.index.created[at:end], rows.created[:rows.n])
		}
		hash, time, number := b.hash[at:end], b.index.time[at:end], b.index.row[at:end]
		for i := range number {
			row := &rows.rows[i]
			hash[i], time[i] = row.hash, row.time
			c := candidate{tag: row.tag}
			position := c.position()
			number[i] = b.base[position.Part()] + uint32(position.Row())
			if row.tag&hasCreated != 0 {
				number[i] |= withCreated
			}
		}
	}
	return nil
}

// sort sorts each partition and finds its keys.
func (b *indexBuilder) sort(ctx context.Context) error {
	largest := 0
	for p := range b.parts {
		largest = max(largest, int(b.next[p].Load())-b.begin[p])
	}
	if err := b.lend(ctx, int64(b.threads*largest)*sorterBytes*5/4); err != nil {
		return err
	}
	keys := make([]int, b.parts+1)
	sorters := make(chan *rowSorter, b.threads)
	for range b.threads {
		sorters <- &rowSorter{}
	}
	err := inParallel(ctx, b.threads, b.parts, func(p int) error {
		s := <-sorters
		defer func() { sorters <- s }()
		keys[p+1] = b.sortPartition(s, b.begin[p], int(b.next[p].Load()))
		return nil
	})
	if err != nil {
		return err
	}
	for p := range b.parts {
		keys[p+1] += keys[p]
	}
	return b.listKeys(ctx, keys)
}

// listKeys makes the list of keys; those of a partition begin at the given place in it.
func (b *indexBuilder) listKeys(ctx context.Context, at []int) error {
	n := at[b.parts]
	if err := b.reserve(int64(n)*cachedKeyBytes + 4<<directoryBits(n)); err != nil {
		return err
	}
	b.index.keys = make([]bucket, n)
	err := inParallel(ctx, b.threads, b.parts, func(p int) error {
		keys := b.index.keys[at[p]:at[p]]
		for i := b.begin[p]; i < int(b.next[p].Load()); i++ {
			if len(keys) == 0 || keys[len(keys)-1].hash != b.hash[i] {
				keys = append(keys, bucket{hash: b.hash[i], start: uint32(i)})
			}
			keys[len(keys)-1].n++
		}
		return nil
	})
	b.index.setDirectory()
	return err
}
