package joins

import (
	"context"
	"math"
	"sync"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
)

// blockRows is the number of feature rows in a block.
const blockRows = 1024

// block holds feature rows on their way to the slots: hash of the key, event time, and tag (position and whether there is
// a created time). What else a row has is there only if the view has it.
type block struct {
	n       int
	hash    [blockRows]uint64
	time    [blockRows]int64
	tag     [blockRows]uint64
	created []int64
	words   [][]uint64 // of keys that are several words
	ends    []uint32   // of keys that are texts: where each ends in arena
	arena   []byte
}

// text is the key of a row, if keys are texts.
func (b *block) text(i int) []byte {
	from := uint32(0)
	if i > 0 {
		from = b.ends[i-1]
	}
	return b.arena[from:b.ends[i]]
}

// blockBytes is what a block takes, texts of keys apart.
func (v *boundView) blockBytes() int64 {
	n := int64(24)
	if v.createdAt >= 0 {
		n += 8
	}
	switch v.index.keys.form {
	case wide:
		n += 8 * int64(len(v.spaces))
	case text:
		n += 4
	}
	return n * blockRows
}

// maxArena bounds the texts of keys that wait in one block's stead: all blocks of a stream together.
const maxArena = 32 << 20

// stream takes the feature rows of some parts to the slots. Each thread has one. Rows are collected by partition, and
// when no block is free each partition's rows are matched at once, while its piece of the index is in the cache.
type stream struct {
	view    *boundView
	best    *best
	free    []*block
	filling []*block   // partition -> block that rows are added to
	full    [][]*block // partition -> blocks that wait
	first   int        // partition with which matching begins; threads begin at different ones
	arena   int        // bytes of texts that wait
	rows    int64
	asked   filter // empty: not worth asking

	tuples  tuples
	keys    []arrow.Array
	scratch [2][]int64
}

func newStream(v *boundView, b *best, blocks, first int) *stream {
	parts := v.index.parts
	s := &stream{
		view: v, best: b, keys: make([]arrow.Array, len(v.spaces)), first: first,
		filling: make([]*block, parts), full: make([][]*block, parts), asked: v.index.filter,
	}
	for range max(blocks, parts+1) {
		s.free = append(s.free, v.newBlock())
	}
	for p := range s.filling {
		s.filling[p] = s.take()
	}
	return s
}

func (v *boundView) newBlock() *block {
	b := new(block)
	if v.createdAt >= 0 {
		b.created = make([]int64, blockRows)
	}
	switch v.index.keys.form {
	case wide:
		for range v.spaces {
			b.words = append(b.words, make([]uint64, blockRows))
		}
	case text:
		b.ends = make([]uint32, blockRows)
	}
	return b
}

// take returns an empty block. There is one: flush comes before the last is gone.
func (s *stream) take() *block {
	b := s.free[len(s.free)-1]
	s.free = s.free[:len(s.free)-1]
	return b
}

// part streams the rows of one part.
func (s *stream) part(ctx context.Context, part int, sel Selection, after func(arrow.Record, int64) error) error {
	var first int64
	for rec, err := range s.view.Table.Read(ctx, part, sel) {
		if err == nil {
			err = ctx.Err()
		}
		if err == nil {
			err = s.add(rec, At(part, first))
		}
		if err == nil && after != nil {
			err = after(rec, first)
		}
		if err != nil {
			return err
		}
		first += rec.NumRows()
	}
	return nil
}

// add collects the rows of a record, the first of which stands at the given position.
func (s *stream) add(rec arrow.Record, first Position) error {
	v := s.view
	n := int(rec.NumRows())
	s.rows += int64(n)
	for i := range s.keys {
		s.keys[i] = rec.Column(i)
	}
	if err := v.index.keys.encode(&s.tuples, s.keys, n); err != nil {
		return err
	}
	times, err := s.instants(0, rec.Column(len(v.spaces)))
	if err != nil {
		return err
	}
	markNulls(rec.Column(len(v.spaces)), s.tuples.state)
	if v.createdAt < 0 && v.index.keys.form <= packed {
		s.scatter(times, first)
		return nil
	}
	var created []int64
	var createdColumn arrow.Array
	if v.createdAt >= 0 {
		createdColumn = rec.Column(v.createdAt)
		if created, err = s.instants(1, createdColumn); err != nil {
			return err
		}
	}
	s.scatterWhole(times, created, createdColumn, first)
	return nil
}

// instants are the values of a time column; some columns have to be copied to a scratch of the stream.
func (s *stream) instants(scratch int, a arrow.Array) ([]int64, error) {
	values, err := instants(a, s.scratch[scratch])
	if _, copied := a.(*array.Date32); copied {
		s.scratch[scratch] = values
	}
	return values, err
}

// scatter adds rows whose hash is their key and which have no created time.
func (s *stream) scatter(times []int64, first Position) {
	x := s.view.index
	state, hashes := s.tuples.state, s.tuples.hash
	times, hashes = times[:len(state)], hashes[:len(state)]
	early, late := s.view.window()
	shift, mask := x.partShift()
	for i, st := range state {
		t, hash := times[i], hashes[i]
		if st != usable || t > late || t < early || s.asked.bits != nil && !s.asked.may(hash) {
			continue
		}
		p := hash >> (shift & 63) & mask
		b := s.filling[p]
		n := b.n & (blockRows - 1)
		b.hash[n], b.time[n], b.tag[n] = hash, t, uint64(first)+uint64(i)+1
		if b.n = n + 1; b.n == blockRows {
			s.next(int(p))
		}
	}
}

// scatterWhole adds rows of any kind.
func (s *stream) scatterWhole(times, created []int64, createdColumn arrow.Array, first Position) {
	x := s.view.index
	early, late := s.view.window()
	shift, mask := x.partShift()
	for i, st := range s.tuples.state {
		t, hash := times[i], s.tuples.hash[i]
		if st != usable || t > late || t < early || s.asked.bits != nil && !s.asked.may(hash) {
			continue
		}
		tag, at := uint64(first)+uint64(i)+1, int64(0)
		if created != nil && createdColumn.IsValid(i) {
			tag, at = tag|hasCreated, created[i]
		}
		p := int(hash >> shift & mask)
		b := s.filling[p]
		n := b.n
		b.hash[n], b.time[n], b.tag[n] = hash, t, tag
		if created != nil {
			b.created[n] = at
		}
		for k := range b.words {
			b.words[k][n] = s.tuples.columns[k].words[i]
		}
		if b.ends != nil {
			key := s.tuples.texts[i]
			b.arena = append(b.arena, key...)
			b.ends[n] = uint32(len(b.arena))
			s.arena += len(key)
		}
		if b.n++; b.n == blockRows || len(b.arena) > math.MaxInt32 {
			s.next(p)
		}
	}
	if s.arena > maxArena {
		s.flush()
	}
}

// next puts a full block aside.
func (s *stream) next(part int) {
	s.full[part] = append(s.full[part], s.filling[part])
	if len(s.free) == 0 {
		s.filling[part] = nil
		s.flush()
		return
	}
	s.filling[part] = s.take()
}

// flush matches all rows that wait, partition by partition.
func (s *stream) flush() {
	parts := len(s.full)
	for i := range parts {
		p := (s.first + i) % parts
		waiting := s.full[p]
		if b := s.filling[p]; b != nil {
			waiting = append(waiting, b)
		}
		s.best.match(s.view, p, waiting)
		for _, b := range waiting {
			b.n, b.arena = 0, b.arena[:0]
		}
		s.free = append(s.free, waiting...)
		s.full[p] = s.full[p][:0]
		s.filling[p] = s.take()
	}
	s.arena = 0
}

// best are the best feature rows of all slots so far. Threads may share them: each partition has a lock.
type best struct {
	time     []int64
	tag      []uint64 // 0: none yet
	created  []int64  // nil: the view has no created time
	seen     []bool   // first slot of a group -> some row with a time has its key; nil: nobody asks
	improved []uint64 // tags of rows that became a slot's best
	keep     bool     // whether improved is wanted
	locks    []sync.Mutex
}

func newBest(v *boundView, report, keep bool) *best {
	slots := len(v.index.row)
	b := &best{time: make([]int64, slots), tag: make([]uint64, slots), locks: make([]sync.Mutex, v.index.parts), keep: keep}
	for i := range b.time {
		b.time[i] = math.MinInt64
	}
	if v.createdAt >= 0 {
		b.created = make([]int64, slots)
	}
	if report {
		b.seen = make([]bool, slots)
	}
	return b
}

// bestBytes is what best takes for each slot.
func (v *boundView) bestBytes(report bool) int64 {
	n := int64(16)
	if v.createdAt >= 0 {
		n += 8
	}
	if report {
		n++
	}
	return n
}
