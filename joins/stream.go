package joins

import (
	"context"
	"iter"
	"math"
	"slices"
	"sync/atomic"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"github.com/flightd/flightd/internal/fault"
)

// blockRows is the number of feature rows in a block.
const blockRows = 1024

// block holds feature rows on their way to the slots. What else a row has is there only if the view has it.
type block struct {
	n       int
	rows    [blockRows]streamed
	created []int64
	words   [][]uint64 // of keys that are several words
	ends    []uint32   // of keys that are texts: where each ends in arena
	arena   []byte
}

// streamed is a feature row: hash of its key, event time, and tag (position and whether there is a created time). The three
// are together because rows are written to many blocks in turn, and each place that is written to costs.
type streamed struct {
	hash uint64
	time int64
	tag  uint64
}

// text is the key of a row, if keys are texts.
func (b *block) text(i int) []byte {
	from := uint32(0)
	if i > 0 {
		from = b.ends[i-1]
	}
	return b.arena[from:b.ends[i]]
}

// maxArena bounds the texts of keys that wait in the blocks of a stream.
const maxArena = 32 << 20

// reading says what a stream reads of a table, and where its rows go.
type reading struct {
	table   Table
	keys    *keyCoder // the first columns of what is read; the event time comes next
	created int       // index of the created column, -1: none
	parts   int       // partitions, a power of two
	early   int64     // rows before or after these event times are left out
	late    int64
	asked   filter // rows that nobody sees are left out; empty: none are
	sink    sink
	// strict says that a key that the coder has no form for is an error: the parts say that there are none.
	strict bool
	// newest says that of each key only the newest row matters. times is then the range of the parts' event times; lo > hi: it
	// is not known.
	newest bool
	times  struct{ lo, hi int64 }
	// timeless also takes rows without event time. odd is told of records with rows whose keys are not usable; nil: they
	// are left out.
	timeless bool
	odd      func(rec arrow.Record, first Position) error
}

// sink takes the rows of one partition, from several threads at once.
type sink interface {
	match(part int, blocks []*block) error
}

// blockBytes is what a block takes, texts of keys apart.
func (r *reading) blockBytes() int64 {
	n := int64(24)
	if r.created >= 0 {
		n += 8
	}
	switch r.keys.form {
	case wide:
		n += 8 * int64(len(r.keys.spaces))
	case text:
		n += 4
	}
	return n * blockRows
}

func (r *reading) newBlock() *block {
	b := new(block)
	if r.created >= 0 {
		b.created = make([]int64, blockRows)
	}
	switch r.keys.form {
	case wide:
		for range r.keys.spaces {
			b.words = append(b.words, make([]uint64, blockRows))
		}
	case text:
		b.ends = make([]uint32, blockRows)
	}
	return b
}

// stream takes the rows of some parts to their sink. Each thread has one. Rows are collected by partition, and when no
// block is free each partition's rows are matched at once, while what they meet there is in the cache.
type stream struct {
	*reading
	free    []*block
	filling []filling  // partition -> block that rows are added to
	full    [][]*block // partition -> blocks that wait
	first   int        // partition with which matching begins; threads begin at different ones
	arena   int        // bytes of texts that wait
	seen    int64      // rows that were looked at

	tuples  tuples
	columns []arrow.Array
	scratch [2][]int64
	kept    []int32
	steps   *steps // nil: older rows matter, too
}

// filling is a block that rows are added to, and how many it has so far. What the blocks' own counts say is known when they
// are full: they lie too far from each other to be looked at for each row.
type filling struct {
	*block
	n int
}

func newStream(r *reading, blocks, first int) *stream {
	s := &stream{
		reading: r, columns: make([]arrow.Array, len(r.keys.spaces)), first: first,
		filling: make([]filling, r.parts), full: make([][]*block, r.parts),
	}
	if r.newest {
		s.steps = newSteps(r.keys, r.times.lo, r.times.hi)
	}
	for range max(blocks, r.parts+1) {
		s.free = append(s.free, r.newBlock())
	}
	for p := range s.filling {
		s.filling[p].block = s.take()
	}
	return s
}

// take returns an empty block. There is one: flush comes before the last is gone.
func (s *stream) take() *block {
	b := s.free[len(s.free)-1]
	s.free = s.free[:len(s.free)-1]
	return b
}

// part streams the rows of one part.
func (s *stream) part(ctx context.Context, part int, sel Selection, after func(arrow.Record, int64) error) error {
	return s.records(ctx, s.table.Read(ctx, part, sel), At(part, 0), after)
}

// stretch streams the rows of a stretch.
func (s *stream) stretch(ctx context.Context, p stretch, sel Selection) error {
	return s.records(ctx, p.read(ctx, s.table, sel), At(p.part, p.lo), nil)
}

// records streams rows that follow each other in a part.
func (s *stream) records(ctx context.Context, records iter.Seq2[arrow.Record, error], from Position, after func(arrow.Record, int64) error) error {
	part, first := from.Part(), from.Row()
	for rec, err := range records {
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
	n := int(rec.NumRows())
	s.seen += int64(n)
	for i := range s.columns {
		s.columns[i] = rec.Column(i)
	}
	if err := s.keys.encode(&s.tuples, s.columns, n); err != nil {
		return err
	}
	if s.strict && slices.Contains(s.tuples.state, unmatchable) {
		return fault.New(fault.DataLoss, "%s: it has join keys outside of the range that its statistics give; write it again", s.table.Parts()[first.Part()].Name)
	}
	if s.odd != nil && slices.Contains(s.tuples.state, isNull) {
		if err := s.odd(rec, first); err != nil {
			return err
		}
	}
	timeColumn := rec.Column(len(s.columns))
	times, err := s.instants(0, timeColumn)
	if err != nil {
		return err
	}
	if !s.timeless {
		markNulls(timeColumn, s.tuples.state)
	}
	var created []int64
	var createdColumn arrow.Array
	if s.created >= 0 {
		createdColumn = rec.Column(s.created)
		if created, err = s.instants(1, createdColumn); err != nil {
			return err
		}
	}
	if (!s.timeless || timeColumn.NullN() == 0) && (created == nil || createdColumn.NullN() == 0) {
		return s.scatter(times, created, first)
	}
	return s.scatterWhole(times, created, timeColumn, createdColumn, first)
}

// instants are the values of a time column; some columns have to be copied to a scratch of the stream.
func (s *stream) instants(scratch int, a arrow.Array) ([]int64, error) {
	values, err := instants(a, s.scratch[scratch])
	if _, copied := a.(*array.Date32); copied {
		s.scratch[scratch] = values
	}
	return values, err
}

// partition is how a hash is shifted to the right for its partition, of which mask keeps the bits.
func (r *reading) partition() (shift uint, mask uint64) { return partitionOf(r.parts) }

// scatter adds rows which have an event time and, if the view has them, a created time.
func (s *stream) scatter(times, created []int64, first Position) error {
	hashes := s.tuples.hash
	shift, mask := s.partition()
	has, hashed := uint64(hasTime), s.keys.form > packed
	if created != nil {
		has |= hasCreated
	}
	for _, i := range s.keep(times) {
		hash := hashes[i]
		p := hash >> (shift & 63) & mask
		f := &s.filling[p]
		n := f.n & (blockRows - 1)
		f.rows[n] = streamed{hash, times[i], tagOf(first, int(i)) | has}
		if created != nil {
			f.created[n] = created[i]
		}
		if hashed {
			s.arena += f.putKey(n, &s.tuples, int(i))
		}
		if f.n = n + 1; f.n == blockRows || hashed && len(f.arena) > math.MaxInt32 {
			if err := s.next(int(p)); err != nil {
				return err
			}
		}
	}
	if s.arena > maxArena {
		return s.flush()
	}
	return nil
}

// keep lists the rows that may matter. There are no branches in it, because nobody could foresee which way they go.
func (s *stream) keep(times []int64) []int32 {
	state, hashes, f := s.tuples.state, s.tuples.hash, s.asked
	times, hashes = times[:len(state)], hashes[:len(state)]
	s.kept = grow(s.kept, len(state))
	if s.early > s.late {
		return nil
	}
	kept, n := s.kept[:len(state)], 0
	early, span := uint64(s.early), uint64(s.late)-uint64(s.early)
	switch {
	case s.steps != nil:
		for i, st := range state {
			if t := times[i]; st == usable && uint64(t)-early <= span {
				kept[n] = int32(i)
				n += one(s.steps.pass(hashes[i], s.steps.of(t)))
			}
		}
		return kept[:n]
	case f.last == nil:
		for i, st := range state {
			kept[n] = int32(i)
			n += one(st == usable) & one(uint64(times[i])-early <= span)
		}
		return kept[:n]
	}
	for i, st := range state {
		t := times[i]
		kept[n] = int32(i)
		n += one(st == usable) & one(uint64(t)-early <= span) & one(f.may(hashes[i], t))
	}
	return kept[:n]
}

// one is 1 for true, without a branch.
func one(is bool) int {
	if is {
		return 1
	}
	return 0
}

// scatterWhole adds rows of any kind.
func (s *stream) scatterWhole(times, created []int64, timeColumn, createdColumn arrow.Array, first Position) error {
	shift, mask := s.partition()
	for i, st := range s.tuples.state {
		hash := s.tuples.hash[i]
		if st != usable {
			continue
		}
		c := candidate{time: math.MinInt64, tag: tagOf(first, i)}
		if timeColumn.IsValid(i) {
			c.time, c.tag = times[i], c.tag|hasTime
			if c.time > s.late || c.time < s.early {
				continue
			}
		}
		if s.asked.last != nil && !s.asked.may(hash, c.time) {
			continue
		}
		if s.steps != nil && !s.steps.pass(hash, s.steps.of(c.time)) {
			continue
		}
		if created != nil && createdColumn.IsValid(i) {
			c.created, c.tag = created[i], c.tag|hasCreated
		}
		p := int(hash >> shift & mask)
		f := &s.filling[p]
		f.rows[f.n] = streamed{hash, c.time, c.tag}
		if created != nil {
			f.created[f.n] = c.created
		}
		s.arena += f.putKey(f.n, &s.tuples, i)
		if f.n++; f.n == blockRows || len(f.arena) > math.MaxInt32 {
			if err := s.next(p); err != nil {
				return err
			}
		}
	}
	if s.arena > maxArena {
		return s.flush()
	}
	return nil
}

// putKey adds the key of row n, where its hash does not say it all, and returns how many bytes of text that took.
func (b *block) putKey(n int, t *tuples, row int) (text int) {
	for k := range b.words {
		b.words[k][n] = t.columns[k].words[row]
	}
	if b.ends == nil {
		return 0
	}
	b.arena = append(b.arena, t.texts[row]...)
	b.ends[n] = uint32(len(b.arena))
	return len(t.texts[row])
}

// next puts a full block aside.
func (s *stream) next(part int) error {
	s.full[part] = append(s.full[part], s.filling[part].close())
	if len(s.free) == 0 {
		return s.flush()
	}
	s.filling[part].block = s.take()
	return nil
}

// close ends the filling of a block.
func (f *filling) close() *block {
	b := f.block
	b.n = f.n
	*f = filling{}
	return b
}

// flush matches all rows that wait, partition by partition.
func (s *stream) flush() error {
	for i := range s.parts {
		p := (s.first + i) % s.parts
		waiting := s.full[p]
		if s.filling[p].block != nil {
			waiting = append(waiting, s.filling[p].close())
		}
		if len(waiting) > 1 || waiting[0].n > 0 {
			if err := s.sink.match(p, waiting); err != nil {
				return err
			}
		}
		for _, b := range waiting {
			b.n, b.arena = 0, b.arena[:0]
		}
		s.free = append(s.free, waiting...)
		s.full[p] = s.full[p][:0]
		s.filling[p].block = s.take()
	}
	s.arena = 0
	return nil
}

// stretch is what one thread reads at a time: a part, or rows of it.
type stretch struct {
	part   int
	whole  bool
	lo, hi int64
}

// read reads the rows of a stretch.
func (p *stretch) read(ctx context.Context, table Table, sel Selection) iter.Seq2[arrow.Record, error] {
	if p.whole {
		return table.Read(ctx, p.part, sel)
	}
	return table.(Slicer).ReadRows(ctx, p.part, p.lo, p.hi, sel)
}

// stretches cuts large parts so that several threads end at about the same time.
func stretches(table Table, parts []int, threads int) []stretch {
	all := table.Parts()
	_, can := table.(Slicer)
	const shares = 4 // of each thread
	least := int64(partitioning.stretch)
	step := max(least, int64(rowsOf(table, parts)/(shares*max(1, threads)))/least*least)
	var cut []stretch
	for _, i := range parts {
		if !can || threads < 2 || all[i].Rows <= step { // fewer than none: the part does not know how many
			cut = append(cut, stretch{part: i, whole: true})
			continue
		}
		for lo := int64(0); lo < all[i].Rows; lo += step {
			cut = append(cut, stretch{part: i, lo: lo, hi: min(lo+step, all[i].Rows)})
		}
	}
	return cut
}

// streamAll streams parts of the table on several threads, each with so many blocks, and returns how many rows they had.
func (r *reading) streamAll(ctx context.Context, threads, blocks int, parts []int, sel Selection, sinks func(thread int) sink) (int64, error) {
	var next, seen atomic.Int64
	todo := stretches(r.table, parts, threads)
	work := newWorkers(ctx)
	for t := range threads {
		own := *r
		own.sink = sinks(t)
		work.start(func(ctx context.Context) error {
			s := newStream(&own, blocks, t*r.parts/threads)
			defer func() { seen.Add(s.seen) }()
			for {
				i := int(next.Add(1)) - 1
				if i >= len(todo) {
					return s.flush()
				}
				if err := s.stretch(ctx, todo[i], sel); err != nil {
					return err
				}
			}
		})
	}
	err := work.wait()
	return seen.Load(), err
}
