package joins

// Partition makes even small indexes have partitions, as small as possible, and has even small parts read by several
// threads and even small groups searched by guides, until undo is called.
func Partition() (undo func()) {
	before := partitioning
	partitioning.whole, partitioning.part, partitioning.region, partitioning.rows, partitioning.stretch, partitioning.large = 0, 1, 4, 4, 3, 2
	return func() { partitioning = before }
}
