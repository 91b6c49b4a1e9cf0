package joins

import (
	"cmp"
	"slices"
)

// builder fills one partition of an index.
type builder struct {
	index *index
	keys  *encodedRows
	rows  []entityRow // of the partition
	part  int
	base  uint32 // its first slot
	at    []uint32
	twins bool // two keys with the same hash have been met
}

// build puts the rows of the partition into its region, which begins at a bucket, and into its slots. full says that the
// region is too small.
func (b *builder) build(region int) (groups int, full bool) {
	table := b.index.table[region : region+b.index.region]
	if groups, full = b.insert(table, region); full {
		return groups, true
	}
	slot := b.base
	b.makeRoom(table)
	for i := range table {
		g := &table[i]
		if g.n == 0 {
			continue
		}
		b.setKey(slot, b.rows[g.start].row)
		g.start, slot, g.n = slot, slot+g.n, 0
	}
	x := b.index
	for i := range b.rows {
		g, row := &table[b.at[i]], &b.rows[i]
		x.row[g.start+g.n], x.time[g.start+g.n] = row.row, row.time
		g.n++
	}
	for i := range table {
		if g := &table[i]; g.n > 1 {
			sortByTime(x.time[g.start:g.start+g.n], x.row[g.start:g.start+g.n])
		}
	}
	return groups, false
}

// insert finds the bucket of every row. Until the slots are known, a bucket's start is the first of its rows.
func (b *builder) insert(table []bucket, region int) (groups int, full bool) {
	x := b.index
	b.at = make([]uint32, len(b.rows))
	most := len(table) - max(1, len(table)/8) // a search ends at an empty bucket
	if x.keys.dense > 0 {
		most = len(table) // or in the only bucket where the key can be
	}
	for i := range b.rows {
		hash := b.rows[i].hash
		for at := hash >> x.shift; ; at = x.next(at) {
			g := &table[int(at)-region]
			if g.n == 0 {
				if groups++; groups > most {
					return groups, true
				}
				g.hash, g.start = hash, uint32(i)
			} else if g.hash != hash {
				continue
			} else if !b.keys.same(b.rows[g.start].row, b.rows[i].row) {
				b.twins = true
				continue
			}
			g.n++
			b.at[i] = uint32(int(at) - region)
			break
		}
	}
	return groups, false
}

// setKey remembers the key of a group, where its hash does not say it all.
func (b *builder) setKey(slot uint32, row int32) {
	x := b.index
	n := len(b.keys.words)
	for i, column := range b.keys.words {
		x.words[int(slot)*n+i] = column[row]
	}
	if b.keys.texts != nil {
		x.textAt[slot] = x.texts[b.part].add(b.keys.texts.of(row))
	}
}

// makeRoom makes room for the texts of all groups of the partition.
func (b *builder) makeRoom(table []bucket) {
	if b.keys.texts == nil {
		return
	}
	n := 0
	for i := range table {
		if g := &table[i]; g.n > 0 {
			n += lengthBytes + len(b.keys.texts.of(b.rows[g.start].row))
		}
	}
	b.index.texts[b.part] = make(groupTexts, 0, n)
}

// sortByTime sorts times and their rows together.
func sortByTime(times []int64, rows []int32) {
	const few = 16
	if len(times) <= few {
		for i := 1; i < len(times); i++ {
			t, r, j := times[i], rows[i], i
			for ; j > 0 && times[j-1] > t; j-- {
				times[j], rows[j] = times[j-1], rows[j-1]
			}
			times[j], rows[j] = t, r
		}
		return
	}
	type slot struct {
		time int64
		row  int32
	}
	slots := make([]slot, len(times))
	for i := range slots {
		slots[i] = slot{times[i], rows[i]}
	}
	slices.SortFunc(slots, func(a, b slot) int { return cmp.Compare(a.time, b.time) })
	for i, s := range slots {
		times[i], rows[i] = s.time, s.row
	}
}
