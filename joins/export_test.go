package joins

import "context"

// Partition makes even small indexes have partitions, as small as possible, and has even small parts read by several
// threads and even small groups searched by guides, until undo is called.
func Partition() (undo func()) {
	before := partitioning
	partitioning.whole, partitioning.part, partitioning.region, partitioning.rows, partitioning.stretch, partitioning.large = 0, 1, 4, 4, 3, 2
	partitioning.filter = 1
	gatheringBefore, passingBefore := gathering, passing
	passing.least = 2
	gathering.probe, gathering.piece, gathering.settle = 2, 3, 4
	return func() { partitioning, gathering, passing = before, gatheringBefore, passingBefore }
}

// Dense changes how many times larger a table of all possible keys may be, until undo is called.
func Dense(times int64) (undo func()) {
	before := partitioning
	partitioning.dense = times
	return func() { partitioning = before }
}

// RowsByPart lists the rows that won by part, and for each of the entities that have one its row.
func RowsByPart(winners []Position) (all [][]Position, of map[int]Position, err error) {
	won, err := rowsByPart(context.Background(), winners, 2)
	of = make(map[int]Position)
	for _, p := range won {
		all = append(all, positionsOf([]partRows{p}))
		for i, entity := range p.entities {
			of[int(entity)] = At(p.part, p.rows[p.rank[i]])
		}
	}
	return all, of, err
}

// NoWinner marks an entity row without a row.
const NoWinner = noWinner

// Cached makes indexes pay for few rows, and be built in small partitions, until undo is called.
func Cached() (undo func()) {
	before := caching
	caching.least, caching.group, caching.slot, caching.partition = 1, 0, 0, 8
	return func() { caching = before }
}
