package joins

import (
	"bytes"
	"context"
	"math"
	"math/bits"
	"slices"
	"sync/atomic"
	"unsafe"

	"github.com/apache/arrow/go/v15/arrow"
)

// index holds the entity rows for one set of key columns as slots: rows grouped by key, in each group sorted by time. Each
// row with usable keys and a time is one slot; a group is a contiguous range of slots.
//
// Table and slots are laid out in the order of the keys' hashes, so that the top bits of a hash choose a partition: a
// range of the table and a range of slots, small enough together for a core's cache. What touches one partition at a time
// runs in the cache however many entity rows there are (see stream).
type index struct {
	keys   *keyCoder
	table  []bucket // open addressing inside the region of each partition
	shift  uint     // hash >> shift is where the search in the table begins
	region int      // buckets of one partition, a power of two
	parts  int      // partitions, a power of two
	bounds []int    // partition -> its first slot; and one more
	groups int
	twins  bool // two groups have the same hash

	words  []uint64     // of keys that are several words: those of the group whose first slot is i begin at i x the number of words
	texts  []groupTexts // of keys that are texts: partition -> keys
	textAt []uint32     // first slot of a group -> where its key is

	row    []int32 // slot -> entity row
	time   []int64 // slot -> entity time, in the unit of the entity rows
	unit   unit
	reason []uint8 // entity row -> usable, isNull (key or time) or unmatchable
	least  int64   // earliest and latest entity time of all slots
	most   int64
}

// bucket is one group in the table.
type bucket struct {
	hash  uint64
	start uint32 // first slot
	n     uint32 // slots; 0: the bucket is empty
}

// What one slot takes: while it is matched, beside its bucket (bound, best time, best position); in the index (hash, bucket,
// row, time, reason); and while that is built.
const (
	slotBytes  = 8 + 8 + 8
	indexBytes = 8 + 4 + 4 + 8 + 1
	buildBytes = int64(unsafe.Sizeof(entityRow{}))
)

// partitioning says when an index is cut into partitions, and how small, and likewise the parts of a table. Tests change it.
var partitioning = struct {
	whole, part, region, rows, stretch, large int

	filter uint
	dense  int64
}{
	whole:  2 << 20,   // bytes of an index that is cached well enough as it is
	part:   320 << 10, // bytes of a partition: it has to fit a core's cache beside what streams through
	region: 256,       // least buckets of a partition: hashes spread evenly over these
	rows:   16 << 10,  // least rows of a partition, where the number of keys is not known before

	// Least rows for which it pays to begin in the middle of a part. Pages of Parquet files end often at its multiples.
	stretch: 256 << 10,

	large: 256, // least slots of a group that has a guide

	filter: 6, // least bits of a hash that the filter looks at
	dense:  2, // how many times larger a table may be in which each possible key has a place of its own
}

// entityTimes is the event time of every entity row.
type entityTimes struct {
	values []int64
	null   []bool
	unit   unit
}

// buildIndex groups and sorts the entity rows; hashed as in newKeyCoder. Its memory is reserved before it is used.
func buildIndex(ctx context.Context, e Entities, times *entityTimes, keys []string, spaces []space, memory *holding, threads int, hashed bool) (*index, error) {
	n := len(times.values)
	if err := memory.reserve(ctx, int64(n)*indexBytes); err != nil {
		return nil, err
	}
	x := &index{unit: times.unit, reason: make([]uint8, n), least: math.MaxInt64, most: math.MinInt64}
	dictionaries := dictionaryBytes(e, keys, spaces)
	if err := memory.reserve(ctx, dictionaries); err != nil {
		return nil, err
	}
	columns := keysOf(e, keys, spaces, dictionaries > 0, threads)
	coder, err := newKeyCoder(ctx, columns, hashed)
	if err != nil {
		return nil, err
	}
	x.keys = coder
	rows, err := x.encode(ctx, columns, times, memory)
	if err != nil {
		return nil, err
	}
	memory.release(dictionaries)
	if err := memory.reserve(ctx, int64(rows.usable)*buildBytes); err != nil {
		return nil, err
	}
	defer memory.release(int64(rows.usable) * buildBytes)
	for size := coder.tableSize(int64(rows.usable)); ; size *= 2 {
		if err := memory.reserve(ctx, size*int64(unsafe.Sizeof(bucket{}))); err != nil {
			return nil, err
		}
		if done, err := x.build(ctx, rows, times, int(size), threads); done || err != nil {
			return x, err
		}
		memory.release(size * int64(unsafe.Sizeof(bucket{})))
	}
}

// encodedRows are the entity rows' keys.
type encodedRows struct {
	usable int
	hash   []uint64
	words  [][]uint64 // of keys that are several words: column by column
	texts  *textKeys  // of keys that are texts
}

// same reports whether two rows of equal hash have the same key.
func (r *encodedRows) same(a, b int32) bool {
	for _, column := range r.words {
		if column[a] != column[b] {
			return false
		}
	}
	return r.texts == nil || bytes.Equal(r.texts.of(a), r.texts.of(b))
}

// encode hashes the keys of all entity rows, and says of each whether it can match at all.
func (x *index) encode(ctx context.Context, keys *keyRecords, times *entityTimes, memory *holding) (*encodedRows, error) {
	n := len(times.values)
	if err := memory.reserve(ctx, x.keys.bytes()*int64(n)); err != nil {
		return nil, err
	}
	r := x.keys.room(n)
	var usableRows atomic.Int64
	err := keys.each(ctx, func(t *tuples, columns []arrow.Array, at, rows int) error {
		if err := x.keys.encode(t, columns, rows); err != nil {
			return err
		}
		if err := memory.reserve(ctx, x.keys.textBytes(t)); err != nil {
			return err
		}
		x.keys.keep(r, t, at, rows)
		count := 0
		for i, state := range t.state {
			if times.null[at+i] {
				state = isNull
			}
			if x.reason[at+i] = state; state == usable {
				count++
			}
		}
		usableRows.Add(int64(count))
		return nil
	})
	r.usable = int(usableRows.Load())
	return r, err
}

// layout chooses the number of partitions for a table of so many buckets, and so many bytes of texts.
func (x *index) layout(slots, size, texts int) {
	x.table = make([]bucket, size)
	x.shift = uint(64 - bits.TrailingZeros(uint(size)))
	x.parts = 1
	whole := slots*slotBytes + texts + size*int(unsafe.Sizeof(bucket{}))
	if whole > partitioning.whole && len(x.keys.spaces) > 0 {
		for x.parts*partitioning.part < whole && size/x.parts > partitioning.region {
			x.parts *= 2
		}
	}
	x.region = size / x.parts
}

// part is the partition of a hash.
func (x *index) part(hash uint64) int {
	shift, mask := partitionOf(x.parts)
	return int(hash >> shift & mask)
}

// next is the bucket after one, inside its region.
func (x *index) next(at uint64) uint64 {
	mask := uint64(x.region - 1)
	return at&^mask | (at+1)&mask
}

// build fills table and slots, partition by partition. It gives up if a region of the table is too small, which with
// hashes that nobody can foresee does not happen to large ones.
func (x *index) build(ctx context.Context, r *encodedRows, times *entityTimes, size, threads int) (done bool, err error) {
	texts := 0
	if r.texts != nil {
		texts = len(r.texts.bytes)
	}
	x.layout(r.usable, size, texts)
	x.row, x.time = make([]int32, r.usable), make([]int64, r.usable)
	if x.keys.form == wide {
		x.words = make([]uint64, r.usable*len(x.keys.spaces))
	}
	if x.keys.form == text {
		x.texts, x.textAt = make([]groupTexts, x.parts), make([]uint32, r.usable)
	}
	rows, first, err := x.byPartition(ctx, r, times, threads)
	if err != nil {
		return false, err
	}
	x.bounds = first
	full := make([]bool, x.parts)
	twins := make([]bool, x.parts)
	groups := make([]int, x.parts)
	err = inParallel(ctx, threads, x.parts, func(p int) error {
		b := &builder{index: x, keys: r, rows: rows[first[p]:first[p+1]], base: uint32(first[p]), part: p}
		groups[p], full[p] = b.build(p * x.region)
		twins[p] = b.twins
		return nil
	})
	if err != nil {
		return false, err
	}
	x.groups, x.twins = 0, slices.Contains(twins, true)
	for p := range x.parts {
		x.groups += groups[p]
		if full[p] {
			return false, nil
		}
	}
	for _, v := range x.time {
		x.least, x.most = min(x.least, v), max(x.most, v)
	}
	return true, nil
}

// entityRow is a usable entity row on its way to its slot: what is looked at while slots are made lies together.
type entityRow struct {
	hash uint64
	time int64
	row  int32
}

// byPartition lists the usable rows in the order of their partitions, and where each partition begins.
func (x *index) byPartition(ctx context.Context, r *encodedRows, times *entityTimes, threads int) (rows []entityRow, first []int, err error) {
	if len(x.reason) < partitioning.rows {
		threads = 1
	}
	next := make([][]int, threads) // share of the entity rows -> partition -> where its next row comes
	share := func(i int) (lo, hi int) { return i * len(x.reason) / threads, (i + 1) * len(x.reason) / threads }
	shift, mask := partitionOf(x.parts)
	err = inParallel(ctx, threads, threads, func(i int) error {
		next[i] = make([]int, x.parts)
		for row, hi := share(i); row < hi; row++ {
			if x.reason[row] == usable {
				next[i][r.hash[row]>>shift&mask]++
			}
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	first = make([]int, x.parts+1)
	at := 0
	for p := range x.parts {
		first[p] = at
		for i := range next {
			next[i][p], at = at, at+next[i][p]
		}
	}
	first[x.parts] = at
	rows = make([]entityRow, r.usable)
	return rows, first, inParallel(ctx, threads, threads, func(i int) error {
		next := next[i]
		for row, hi := share(i); row < hi; row++ {
			if x.reason[row] == usable {
				hash := r.hash[row]
				to := &next[hash>>shift&mask]
				rows[*to] = entityRow{hash, times.values[row], int32(row)}
				*to++
			}
		}
		return nil
	})
}

// partitionOf says how a hash becomes the number of its partition: shifted to the right, of which mask keeps the bits.
func partitionOf(parts int) (shift uint, mask uint64) {
	return uint(64-max(1, bits.TrailingZeros(uint(parts)))) & 63, uint64(parts - 1)
}
