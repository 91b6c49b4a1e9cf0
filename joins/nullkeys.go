package joins

import (
	"context"
	"math"
	"slices"
	"sync"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
)

// nullKeys keeps the best rows of keys with a null in them, which is a value here. There are few, so it is simple.
type nullKeys struct {
	*latest
	ctx    context.Context
	mu     sync.Mutex
	spaces []space // of the keys, and one word that tells which of them are null
	groups *groups
	rows   []candidate
	tuples tuples
}

const nullKeyBytes = 160 // for each key: hash table, key, row

// add takes the rows of a record whose keys are not all there.
func (n *nullKeys) add(rec arrow.Record, first Position) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.groups == nil {
		n.spaces = append(slices.Clone(n.latest.spaces), space{kind: int64s})
		n.groups = newGroups(n.spaces, 16)
	}
	keys := len(n.latest.spaces)
	if err := n.tuples.encodeValues(rec.Columns()[:keys], n.spaces, int(rec.NumRows())); err != nil {
		return err
	}
	before := n.groups.n
	for i, nulls := range n.tuples.columns[keys].words {
		if nulls == 0 {
			continue
		}
		c, ok, err := n.candidate(rec, i, first)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		group := int(n.groups.add(&n.tuples, i))
		if group == len(n.rows) {
			n.rows = append(n.rows, candidate{})
		}
		if c.beats(&n.rows[group]) {
			n.rows[group] = c
			if n.found.keep {
				n.found.improved = append(n.found.improved, c.tag)
			}
		}
	}
	return n.memory.reserve(n.ctx, int64(n.groups.n-before)*nullKeyBytes+n.groups.takeTextBytes())
}

// candidate is a row of a record, if it is in the window.
func (n *nullKeys) candidate(rec arrow.Record, row int, first Position) (c candidate, ok bool, err error) {
	at := len(n.latest.spaces)
	c = candidate{time: math.MinInt64, tag: tagOf(first, row)}
	span := &n.pull.span
	if a := rec.Column(at); a.IsValid(row) {
		times, err := instants(array.NewSlice(a, int64(row), int64(row)+1), nil)
		if err != nil {
			return c, false, err
		}
		c.time, c.tag = times[0], c.tag|hasTime
		ok = c.time >= span.lo && c.time <= span.hi
	} else {
		ok = !span.bound
	}
	if n.view.Created != "" && rec.Column(at+1).IsValid(row) {
		times, err := instants(array.NewSlice(rec.Column(at+1), int64(row), int64(row)+1), nil)
		if err != nil {
			return c, false, err
		}
		c.created, c.tag = times[0], c.tag|hasCreated
	}
	return c, ok, nil
}
