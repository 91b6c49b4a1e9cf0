package joins

// Partition makes even small indexes have partitions, as small as possible, and has even small parts read by several
// threads and even small groups searched by guides, until undo is called.
func Partition() (undo func()) {
	before := partitioning
	partitioning.whole, partitioning.part, partitioning.region, partitioning.rows, partitioning.stretch, partitioning.large = 0, 1, 4, 4, 3, 2
	return func() { partitioning = before }
}

// Cached makes indexes pay for few rows, and be built in small partitions, until undo is called.
func Cached() (undo func()) {
	before := caching
	caching.least, caching.group, caching.slot, caching.partition = 1, 0, 0, 8
	return func() { caching = before }
}
