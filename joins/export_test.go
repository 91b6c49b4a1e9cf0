package joins

// Partition makes even small indexes have partitions, as small as possible, until undo is called.
func Partition() (undo func()) {
	before := partitioning
	partitioning.whole, partitioning.part, partitioning.region, partitioning.rows = 0, 1, 4, 4
	return func() { partitioning = before }
}
