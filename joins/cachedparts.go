package joins

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// caching says when parts are answered from an index that is kept (see IndexCache). Tests change it.
var caching = struct{ least, group, slot, partition int64 }{
	least:     256 << 10, // rows: fewer are streamed in no time
	group:     4,         // streamed rows that cost as much as the search for a group in an index
	slot:      1,         // and for one slot of it
	partition: 256 << 10, // rows that are sorted at once while an index is built, in a core's cache
}

// cachedParts is how the parts of a view's table that matter are answered.
type cachedParts struct {
	cache  *IndexCache
	uses   []*cachedUse // indexes that are asked
	stream []int        // parts that are streamed
	read   []int        // parts that were read to build an index
	notes  []string     // for the plan
}

func (p *cachedParts) release() {
	for _, use := range p.uses {
		p.cache.release(use)
	}
	p.uses = nil
}

// indexQuery asks a cache of indexes for those of one table.
type indexQuery struct {
	signature string
	ids       []string       // part -> identity, "": it may change
	at        map[string]int // identity -> part
	rows      []int64        // of each part
	needed    []int          // parts that matter, ascending
	cost      int64          // streamed rows that cost as much as an index
}

// query is what a view asks its call's cache; nil if indexes cannot answer it: there is no cache, the keys are more than their
// hash, creation times decide what a slot may see, nothing is known of the parts, or it would never pay.
func (v *boundView) query(opt Options, parts []int) *indexQuery {
	x := v.index
	table, can := v.Table.(Identified)
	if opt.Indexes == nil || !can || v.created != nil || len(x.keys.spaces) == 0 || x.keys.form == text || len(x.row) == 0 {
		return nil
	}
	q := &indexQuery{needed: parts, cost: caching.group*int64(x.groups) + caching.slot*int64(len(x.row))}
	for _, p := range table.Parts() {
		q.rows = append(q.rows, max(0, p.Rows))
	}
	if !q.pays(q.rowsOf(parts)) {
		return nil
	}
	q.signature, q.ids, q.at = v.signature(), make([]string, len(q.rows)), make(map[string]int)
	for i, p := range table.Parts() {
		if p.Rows < 0 {
			continue // they could not be numbered
		}
		if q.ids[i] = table.Identity(i); q.ids[i] != "" {
			q.at[q.ids[i]] = i
		}
	}
	return q
}

// signature tells which views of equal parts can share a cached index.
func (v *boundView) signature() string {
	var sb strings.Builder
	sb.WriteString(signature(v.columns[:len(v.Keys)], v.index.keys.spaces))
	for _, name := range v.columns {
		f, _ := v.Table.Schema().FieldsByName(name)
		fmt.Fprintf(&sb, "%q %v,", name, f[0].Type)
	}
	return sb.String()
}

func (q *indexQuery) rowsOf(parts []int) (n int64) {
	for _, i := range parts {
		n += q.rows[i]
	}
	return n
}

func (q *indexQuery) pays(rows int64) bool { return rows >= q.cost && rows >= caching.least }

// choose picks the indexes to use, of those there are, and what is to be built beside them; nil: nothing.
func (q *indexQuery) choose(all []*cachedIndex) (uses []*cachedUse, build *indexBuild) {
	left := make([]bool, len(q.ids))
	for _, i := range q.needed {
		left[i] = true
	}
	for _, index := range all {
		use, new := q.use(index, left)
		if use == nil || !q.pays(new) {
			continue
		}
		uses = append(uses, use)
		for _, part := range use.part {
			if part >= 0 {
				left[part] = false
			}
		}
	}
	var parts []int
	var rows int64
	for i, is := range left {
		if is && q.ids[i] != "" && rows+q.rows[i] <= maxCachedRows {
			parts = append(parts, i)
			rows += q.rows[i]
		}
	}
	if !q.pays(rows) {
		return uses, nil
	}
	return q.merge(uses, parts, rows)
}

// merge has a build take over the parts of smaller indexes, so that a table that grows part by part has few of them.
func (q *indexQuery) merge(all []*cachedUse, parts []int, rows int64) (uses []*cachedUse, build *indexBuild) {
	build = &indexBuild{signature: q.signature, covers: make(map[string]bool), done: make(chan struct{})}
	for _, use := range all {
		if use.rows() > rows || rows+use.rows() > maxCachedRows {
			uses = append(uses, use)
			continue
		}
		build.gives = append(build.gives, use)
		for _, part := range use.part {
			if part >= 0 {
				parts = append(parts, int(part))
			}
		}
	}
	slices.Sort(parts)
	build.parts = slices.Compact(parts)
	for _, i := range build.parts {
		build.ids = append(build.ids, q.ids[i])
		build.covers[q.ids[i]] = true
	}
	return uses, build
}

// use is how an index answers for the table, and for how many rows of parts that are left; nil if it does not: most of its rows
// are gone, or its parts come in another order.
func (q *indexQuery) use(index *cachedIndex, left []bool) (use *cachedUse, rows int64) {
	use = &cachedUse{cachedIndex: index, part: make([]int32, len(index.ids))}
	var there int64
	last := -1
	for i, id := range index.ids {
		at, ok := q.at[id]
		if !ok {
			use.part[i], use.gone = -1, true
			continue
		}
		if at <= last {
			return nil, 0
		}
		use.part[i], last = int32(at), at
		there += q.rows[at]
		if left[at] {
			rows += q.rows[at]
		}
	}
	if 2*there < index.rows() {
		return nil, 0
	}
	return use, rows
}

// cached finds out which of a view's parts are answered by indexes, and builds one for those for which it pays.
func (c *call) cached(ctx context.Context, v *boundView, parts []int) (p *cachedParts, err error) {
	p = &cachedParts{cache: c.options.Indexes, stream: parts}
	q := v.query(c.options, parts)
	if q == nil {
		return p, nil
	}
	defer func() {
		if err != nil {
			p.release()
		}
	}()
	for {
		uses, build, wait, unfit := p.cache.find(q)
		if wait != nil {
			if err := await(ctx, wait); err != nil {
				return p, err
			}
			continue
		}
		p.uses = uses
		if unfit != "" {
			p.notes = append(p.notes, "an index is not built: "+unfit)
		}
		if build != nil {
			if err := c.build(ctx, v, p, build); err != nil {
				return p, err
			}
		}
		break
	}
	known := make([]bool, len(q.ids))
	for _, use := range p.uses {
		for _, part := range use.part {
			if part >= 0 {
				known[part] = true
			}
		}
	}
	p.stream = slices.DeleteFunc(slices.Clone(parts), func(i int) bool { return known[i] })
	for _, use := range p.uses {
		p.notes = append(p.notes, fmt.Sprintf("%s by a kept index of %d keys and %d rows, %d KiB", count(len(use.part), "part"), len(use.keys), use.rows(), use.bytes>>10))
	}
	return p, nil
}

// build builds an index and adds it to those in use. One for which there is no memory is not built.
func (c *call) build(ctx context.Context, v *boundView, p *cachedParts, build *indexBuild) error {
	var index *cachedIndex
	defer func() { p.cache.finish(build, index) }()
	b := &indexBuilder{cache: p.cache, build: build, view: v, memory: &holding{budget: c.options.Budget}, threads: c.options.threads()}
	defer b.memory.close()
	built, err := b.run(ctx)
	if errors.Is(err, errNoIndex) {
		p.notes = append(p.notes, err.Error())
		return nil
	}
	if err != nil {
		return err
	}
	index = built
	use := &cachedUse{cachedIndex: index}
	for _, i := range build.parts {
		use.part = append(use.part, int32(i))
	}
	p.uses = append(p.uses, use)
	p.read = build.parts
	p.notes = append(p.notes, count(len(build.parts), "part")+" read to build an index")
	return nil
}

// allRead lists the parts that were read, in whichever way.
func (p *cachedParts) allRead() []int {
	if len(p.read) == 0 {
		return p.stream
	}
	all := append(slices.Clone(p.stream), p.read...)
	slices.Sort(all)
	return slices.Compact(all)
}
