package joins

import (
	"context"
	"math/bits"
	"slices"
)

// partRows are the rows of one part that won, and for which entity rows they did.
type partRows struct {
	part     int
	rows     []int64 // ascending, each once
	entities []int32
	rank     []int32 // of the row of each of the entities: its index in rows
}

// rowsByPart lists winners by position: parts in ascending order, those without a winner left out.
func rowsByPart(ctx context.Context, winners []Position, threads int) ([]partRows, error) {
	var begin []int // part -> where its winners begin; and one more
	won := 0
	for _, p := range winners {
		if p == noWinner {
			continue
		}
		for part := p.Part(); len(begin) <= part+1; {
			begin = append(begin, 0)
		}
		begin[p.Part()+1]++
		won++
	}
	parts := 0
	for p := range max(1, len(begin)) - 1 {
		if begin[p+1] > 0 {
			parts++
		}
		begin[p+1] += begin[p]
	}
	entities, rows := make([]int32, won), make([]int64, won)
	next := slices.Clone(begin)
	for entity, p := range winners {
		if p != noWinner {
			at := next[p.Part()]
			entities[at], rows[at] = int32(entity), p.Row()
			next[p.Part()]++
		}
	}
	all, ranks := make([]partRows, 0, parts), make([]int32, won)
	for p := range max(1, len(begin)) - 1 {
		if lo, hi := begin[p], begin[p+1]; lo < hi {
			all = append(all, partRows{part: p, rows: rows[lo:hi], entities: entities[lo:hi], rank: ranks[lo:hi]})
		}
	}
	scratch := make(chan *rowSet, threads)
	for range threads {
		scratch <- new(rowSet)
	}
	err := inParallel(ctx, threads, len(all), func(i int) error {
		s := <-scratch
		defer func() { scratch <- s }()
		all[i].sort(s)
		return nil
	})
	return all, err
}

// positionsOf lists the positions of rows, ascending.
func positionsOf(all []partRows) []Position {
	n := 0
	for _, p := range all {
		n += len(p.rows)
	}
	positions := make([]Position, 0, n)
	for _, p := range all {
		for _, row := range p.rows {
			positions = append(positions, At(p.part, row))
		}
	}
	return positions
}

// rowSet is a set of rows of a part: a bit for each row of a range, and how many of them are in words before.
type rowSet struct {
	bits   []uint64
	before []int32
}

// A set of bits is quicker than sorting if it has at most so many bits for each row, and in all.
const (
	bitsOfRow = 256
	mostBits  = 64 << 20
)

// sort brings the rows, one for each of the entities, into ascending order, each once, and notes their ranks.
func (p *partRows) sort(s *rowSet) {
	least, most := slices.Min(p.rows), slices.Max(p.rows)
	if span := most - least + 1; span <= min(mostBits, bitsOfRow*int64(len(p.rows))) {
		p.mark(s, least, int(span))
		return
	}
	order := make([]int32, len(p.rows))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(a, b int32) int { return int(p.rows[a] - p.rows[b]) })
	rows := make([]int64, 0, len(p.rows))
	for _, i := range order {
		if n := len(rows); n == 0 || rows[n-1] != p.rows[i] {
			rows = append(rows, p.rows[i])
		}
		p.rank[i] = int32(len(rows) - 1)
	}
	p.rows = rows
}

// mark sorts rows from a range.
func (p *partRows) mark(s *rowSet, least int64, span int) {
	words := (span + 63) / 64
	s.bits, s.before = grow(s.bits, words), grow(s.before, words)
	clear(s.bits)
	for _, row := range p.rows {
		at := uint64(row - least)
		s.bits[at/64] |= 1 << (at % 64)
	}
	n := 0
	for i, word := range s.bits {
		s.before[i] = int32(n)
		n += bits.OnesCount64(word)
	}
	for i, row := range p.rows {
		at := uint64(row - least)
		p.rank[i] = s.before[at/64] + int32(bits.OnesCount64(s.bits[at/64]&(1<<(at%64)-1)))
	}
	p.rows = p.rows[:0]
	for i, word := range s.bits {
		for ; word != 0; word &= word - 1 {
			p.rows = append(p.rows, least+int64(i*64+bits.TrailingZeros64(word)))
		}
	}
}
