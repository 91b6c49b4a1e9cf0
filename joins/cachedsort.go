package joins

import (
	"cmp"
	"math/bits"
	"slices"
	"unsafe"
)

// rowSorter sorts partitions, one after the other.
type rowSorter struct {
	rows    []cachedRow
	created []int64 // as it was before
	begin   []uint32
	order   []uint64
	sorted  []cachedRow
}

// cachedRow is a row while its partition is sorted.
type cachedRow struct {
	hash uint64
	time int64
	row  uint32
	at   uint32 // where the row was in its partition
}

// sorterBytes is what a rowSorter takes for each row of a partition.
const sorterBytes = int64(unsafe.Sizeof(cachedRow{})) + 8 + 8

// sortedAtOnce is about how many rows of a partition are sorted at once, if its keys are as many.
const sortedAtOnce = 64

// sortPartition sorts the rows of a partition, first roughly by hash, and counts their keys.
func (b *indexBuilder) sortPartition(s *rowSorter, lo, hi int) (keys int) {
	n := hi - lo
	if n == 0 {
		return 0
	}
	log := uint(bits.Len(uint(n / sortedAtOnce)))
	skip := uint(bits.TrailingZeros(uint(b.parts))) // bits that all have in common
	x := b.index
	s.split(b.hash[lo:hi], x.time[lo:hi], x.row[lo:hi], skip, log)
	if x.created != nil {
		s.created = append(s.created[:0], x.created[lo:hi]...)
	}
	from := uint32(0)
	for _, end := range s.begin[:1<<log] { // each has come to its end
		s.sort(s.rows[from:end], skip+log)
		from = end
	}
	for i, row := range s.rows {
		b.hash[lo+i], x.time[lo+i], x.row[lo+i] = row.hash, row.time, row.row
		if x.created != nil {
			x.created[lo+i] = s.created[row.at]
		}
		if i == 0 || row.hash != s.rows[i-1].hash {
			keys++
		}
	}
	return keys
}

// split brings rows into the order of some bits of their hashes, behind those that are skipped.
func (s *rowSorter) split(hashes []uint64, times []int64, rows []uint32, skip, log uint) {
	place := func(hash uint64) uint64 { return hash << skip >> (64 - log) }
	s.rows, s.begin = grow(s.rows, len(hashes)), grow(s.begin, 1<<log+1)
	clear(s.begin)
	for _, hash := range hashes {
		s.begin[place(hash)+1]++
	}
	for i := range 1 << log {
		s.begin[i+1] += s.begin[i]
	}
	for i, hash := range hashes {
		at := &s.begin[place(hash)]
		s.rows[*at] = cachedRow{hash: hash, time: times[i], row: rows[i], at: uint32(i)}
		*at++
	}
}

// Bits of a word by which rows are sorted: those of the hash, the number of the row below, and the time between.
const (
	orderHash = 16
	maxOrder  = 16
)

// sort sorts rows that have some bits of the hash in common. What decides almost always fits a word, and words are sorted several
// times as fast.
func (s *rowSorter) sort(rows []cachedRow, skip uint) {
	if n := len(rows); n > 2 && n < 1<<maxOrder {
		s.sortRoughly(rows, skip)
	}
	if !slices.IsSortedFunc(rows, s.compare) {
		slices.SortFunc(rows, s.compare)
	}
}

func (s *rowSorter) sortRoughly(rows []cachedRow, skip uint) {
	least, most := rows[0].time, rows[0].time
	for i := range rows {
		least, most = min(least, rows[i].time), max(most, rows[i].time)
	}
	low := uint(bits.Len(uint(len(rows))))
	room := 64 - orderHash - low
	width := uint(bits.Len64(uint64(most) - uint64(least)))
	drop := max(width, room) - room
	s.order, s.sorted = s.order[:0], append(s.sorted[:0], rows...)
	for i := range rows {
		hash := rows[i].hash << skip >> (64 - orderHash)
		s.order = append(s.order, hash<<(64-orderHash)|(uint64(rows[i].time)-uint64(least))>>drop<<low|uint64(i))
	}
	slices.Sort(s.order)
	for i, word := range s.order {
		rows[i] = s.sorted[word&(1<<low-1)]
	}
}

func (s *rowSorter) compare(a, b cachedRow) int {
	switch {
	case a.hash != b.hash:
		return cmp.Compare(a.hash, b.hash)
	case a.time != b.time:
		return cmp.Compare(a.time, b.time)
	case (a.row^b.row)&withCreated != 0:
		return cmp.Compare(a.row, b.row)
	case s.created != nil && s.created[a.at] != s.created[b.at]:
		return cmp.Compare(s.created[a.at], s.created[b.at])
	}
	return cmp.Compare(a.row, b.row)
}
