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
	if len(winners) < partitioning.rows {
		threads = 1
	}
	next := make([][]int, threads) // share of the entity rows -> part -> where its next row comes
	share := func(i int) (lo, hi int) { return i * len(winners) / threads, (i + 1) * len(winners) / threads }
	err := inParallel(ctx, threads, threads, func(i int) error {
		lo, hi := share(i)
		next[i] = countByPart(winners[lo:hi])
		return nil
	})
	if err != nil {
		return nil, err
	}
	begin, won := []int{}, 0 // part -> where its winners begin
	for p := 0; ; p++ {
		begin = append(begin, won)
		more := false
		for i := range next {
			if p < len(next[i]) {
				next[i][p], won, more = won, won+next[i][p], true
			}
		}
		if !more {
			break
		}
	}
	entities, rows := make([]int32, won), make([]int64, won)
	err = inParallel(ctx, threads, threads, func(i int) error {
		lo, hi := share(i)
		for entity, p := range winners[lo:hi] {
			if p != noWinner {
				at := &next[i][p.Part()]
				entities[*at], rows[*at] = int32(lo+entity), p.Row()
				*at++
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var all []partRows
	ranks := make([]int32, won)
	for p := range len(begin) - 1 {
		if lo, hi := begin[p], begin[p+1]; lo < hi {
			all = append(all, partRows{part: p, rows: rows[lo:hi], entities: entities[lo:hi], rank: ranks[lo:hi]})
		}
	}
	scratch := make(chan *rowSet, threads)
	for range threads {
		scratch <- new(rowSet)
	}
	err = inParallel(ctx, threads, len(all), func(i int) error {
		s := <-scratch
		defer func() { scratch <- s }()
		all[i].sort(s)
		return nil
	})
	return all, err
}

// countByPart counts the winners in each part, up to the last that has one.
func countByPart(winners []Position) (count []int) {
	for _, p := range winners {
		if p == noWinner {
			continue
		}
		part := p.Part()
		for part >= len(count) {
			count = append(count, 0)
		}
		count[part]++
	}
	return count
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
