package joins

import (
	"bytes"
	"context"
	"sync"
	"unsafe"
)

// newest keeps the best row of every distinct key that comes along. It is cut into partitions by the keys' hashes, each
// with a table of its own under a lock, so that threads can share it and work where the cache is warm. Its memory is
// reserved as it grows.
type newest struct {
	ctx      context.Context
	memory   *holding
	keys     *keyCoder
	created  bool
	keep     bool     // whether improved is wanted
	improved []uint64 // tags of rows that became the best of their key
	parts    []newestPart
}

type newestPart struct {
	mu    sync.Mutex
	table []place     // open addressing, a power of two; at most two thirds full
	rows  []candidate // of dense keys: key -> row
	words []uint64    // of keys that are several words: so many for each of rows
	texts [][]byte    // of keys that are texts
}

// place is one key in a table.
type place struct {
	hash uint64
	at   uint32 // index of its row + 1; 0: the place is empty
}

// newestBytes is what a dense key takes.
const newestBytes = int64(unsafe.Sizeof(candidate{}))

func newNewest(ctx context.Context, memory *holding, r *reading) *newest {
	return &newest{ctx: ctx, memory: memory, keys: r.keys, created: r.created >= 0, parts: make([]newestPart, r.parts)}
}

// match implements sink.
func (n *newest) match(part int, blocks []*block) error {
	p := &n.parts[part]
	p.mu.Lock()
	defer p.mu.Unlock()
	if n.keys.dense > 0 {
		return n.dense(p, blocks)
	}
	for _, rows := range blocks {
		if err := n.room(p, rows.n); err != nil {
			return err
		}
		text := 0
		for i := range rows.rows[:rows.n] {
			row := &rows.rows[i]
			at, fresh := n.find(p, rows, i, row.hash)
			if fresh && p.texts != nil {
				text += len(p.texts[at])
			}
			c := candidate{time: row.time, tag: row.tag}
			if n.created {
				c.created = rows.created[i]
			}
			if c.beats(&p.rows[at]) {
				p.rows[at] = c
				if n.keep {
					n.improved = append(n.improved, c.tag)
				}
			}
		}
		if err := n.memory.reserve(n.ctx, int64(text)); err != nil {
			return err
		}
	}
	return nil
}

// dense is match for keys that have each a place of their own.
func (n *newest) dense(p *newestPart, blocks []*block) error {
	if p.rows == nil {
		size := 1 << n.keys.dense / len(n.parts)
		if err := n.memory.reserve(n.ctx, int64(size)*newestBytes); err != nil {
			return err
		}
		p.rows = make([]candidate, size)
	}
	shift, mask := (64-n.keys.dense)&63, uint64(len(p.rows)-1)
	for _, rows := range blocks {
		for i := range rows.rows[:rows.n] {
			row := &rows.rows[i]
			best := &p.rows[row.hash>>shift&mask]
			if n.created {
				if c := (candidate{time: row.time, created: rows.created[i], tag: row.tag}); c.beats(best) {
					*best = c
				}
			} else if row.time > best.time || row.time == best.time && row.tag > best.tag || best.tag == 0 {
				best.time, best.tag = row.time, row.tag
			}
		}
	}
	return nil
}

// find returns the index of a row's key, a new one if it has not been seen.
func (n *newest) find(p *newestPart, b *block, i int, hash uint64) (at int, fresh bool) {
	mask := uint64(len(p.table) - 1)
	for j := hash & mask; ; j = (j + 1) & mask {
		e := &p.table[j]
		if e.at == 0 {
			*e = place{hash, uint32(len(p.rows) + 1)}
			p.rows = append(p.rows, candidate{})
			for k := range b.words {
				p.words = append(p.words, b.words[k][i])
			}
			if b.ends != nil {
				p.texts = append(p.texts, bytes.Clone(b.text(i)))
			}
			return len(p.rows) - 1, true
		}
		if e.hash == hash && n.same(p, int(e.at-1), b, i) {
			return int(e.at - 1), false
		}
	}
}

func (n *newest) same(p *newestPart, at int, b *block, i int) bool {
	for k, column := range b.words {
		if p.words[at*len(b.words)+k] != column[i] {
			return false
		}
	}
	return b.ends == nil || bytes.Equal(p.texts[at], b.text(i))
}

// room makes the table large enough for so many more keys.
func (n *newest) room(p *newestPart, more int) error {
	size := tableSize(int64(len(p.rows) + more))
	if size <= int64(len(p.table)) {
		return nil
	}
	size = max(size, 2*int64(len(p.table)))
	perKey := int64(unsafe.Sizeof(candidate{})) + 8*int64(len(n.keys.spaces)) + int64(unsafe.Sizeof([]byte{}))
	if err := n.memory.reserve(n.ctx, (size-int64(len(p.table)))*(int64(unsafe.Sizeof(place{}))+perKey*2/3)); err != nil {
		return err
	}
	old := p.table
	p.table = make([]place, size)
	mask := uint64(size - 1)
	for _, e := range old {
		if e.at == 0 {
			continue
		}
		j := e.hash & mask
		for p.table[j].at != 0 {
			j = (j + 1) & mask
		}
		p.table[j] = e
	}
	return nil
}

// all lists the best rows of all keys.
func (n *newest) all() []candidate {
	keys := 0
	for i := range n.parts {
		keys += len(n.parts[i].rows)
	}
	all := make([]candidate, 0, keys)
	for i := range n.parts {
		for _, c := range n.parts[i].rows {
			if c.tag != 0 {
				all = append(all, c)
			}
		}
	}
	return all
}

// packedKeys are the keys of all, if they are dense.
func (n *newest) packedKeys() []uint64 {
	var keys []uint64
	for part := range n.parts {
		rows := n.parts[part].rows
		for at, c := range rows {
			if c.tag != 0 {
				spreadKey := uint64(part*len(rows) + at)
				keys = append(keys, spreadKey*unspread&(1<<n.keys.dense-1))
			}
		}
	}
	return keys
}
