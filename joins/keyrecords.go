package joins

import (
	"context"
	"sync"

	"github.com/apache/arrow/go/v15/arrow"
)

// keyRecords are the key columns of entity rows, which are read record by record, on several threads where that is safe.
type keyRecords struct {
	entities Entities
	columns  []int
	spaces   []space
	scratch  chan *tuples // one for each thread
}

// keysOf reads text on one thread, because it is kept in the order of the rows, and dictionaries, because each thread would
// have to encode them.
func keysOf(e Entities, keys []string, spaces []space, dictionaries bool, threads int) *keyRecords {
	if dictionaries || !allWords(spaces) {
		threads = 1
	}
	k := &keyRecords{entities: e, spaces: spaces, scratch: make(chan *tuples, threads)}
	for _, key := range keys {
		k.columns = append(k.columns, e.Schema.FieldIndices(key)[0])
	}
	for range threads {
		k.scratch <- &tuples{columns: make([]keyColumn, len(keys))}
	}
	return k
}

// each calls do for each record: with its key columns, and the number of its first row.
func (k *keyRecords) each(ctx context.Context, do func(t *tuples, columns []arrow.Array, at, rows int) error) error {
	first, at := make([]int, len(k.entities.Records)), 0
	for i, rec := range k.entities.Records {
		first[i] = at
		at += int(rec.NumRows())
	}
	return inParallel(ctx, cap(k.scratch), len(first), func(i int) error {
		t := <-k.scratch
		defer func() { k.scratch <- t }()
		rec := k.entities.Records[i]
		columns := make([]arrow.Array, len(k.columns))
		for c, column := range k.columns {
			columns[c] = rec.Column(column)
		}
		return do(t, columns, first[i], int(rec.NumRows()))
	})
}

// ranges are the ranges of the words of each key column; those of texts are not known.
func (k *keyRecords) ranges(ctx context.Context) ([]keyRange, error) {
	all := make([]keyRange, len(k.spaces))
	var mu sync.Mutex
	err := k.each(ctx, func(t *tuples, columns []arrow.Array, _, rows int) error {
		for i, s := range k.spaces {
			if !s.word() {
				continue
			}
			t.state = grow(t.state, rows)
			clear(t.state)
			if err := t.columns[i].encode(columns[i], s, t.state); err != nil {
				return err
			}
			var r keyRange
			r.widen(s, t.columns[i].words[:rows], t.state)
			mu.Lock()
			all[i].include(s, r)
			mu.Unlock()
		}
		return nil
	})
	return all, err
}
