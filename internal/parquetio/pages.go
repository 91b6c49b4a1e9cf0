package parquetio

import (
	"errors"
	"fmt"
	"io"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding"
)

// pages walks the data pages of one flat column chunk.
type pages struct {
	chunk   parquet.ColumnChunk
	pages   parquet.Pages
	offsets parquet.OffsetIndex // nil: unknown
	current page
	first   int64 // row of the row group at which current begins
	rows    int64 // of the row group
}

// page is one decoded data page of a flat column: values without nulls, and where the nulls go.
type page struct {
	raw      parquet.Page
	rows     int
	defs     []byte // one level for each row; nil: no row is null
	def      byte   // the level of a row that is not null
	values   encoding.Values
	indexes  []int32 // of dictionary values; nil: values stand for themselves
	present  int     // number of values
	seen     int     // rows that the cursor has passed
	seenVals int     // values among them
}

func openPages(chunk parquet.ColumnChunk, rows int64) *pages {
	p := &pages{chunk: chunk, pages: chunk.Pages(), rows: rows}
	if index, err := chunk.OffsetIndex(); err == nil && index != nil && index.NumPages() > 0 {
		p.offsets = index
	}
	return p
}

func (p *pages) close() {
	p.drop()
	p.pages.Close() // reading only: nothing can be lost
}

func (p *pages) drop() {
	if p.current.raw != nil {
		parquet.Release(p.current.raw)
		p.current = page{}
	}
}

// next moves to the next page that has rows. io.EOF after the last.
func (p *pages) next() error {
	p.first += int64(p.current.rows)
	for {
		p.drop()
		raw, err := p.pages.ReadPage()
		if err != nil {
			return err
		}
		if err := p.current.load(raw); err != nil {
			return err
		}
		if p.current.rows > 0 {
			break
		}
	}
	if p.first+int64(p.current.rows) > p.rows {
		return errors.New("the column chunk has more values than its row group has rows")
	}
	return nil
}

// seek makes the page that holds a row the current one, without reading pages before it where the file tells where pages
// are. Rows are asked for in ascending order.
func (p *pages) seek(row int64) error {
	if p.current.raw != nil && row < p.first+int64(p.current.rows) {
		return nil
	}
	if p.offsets != nil {
		at := 0
		for n := p.offsets.NumPages(); at+1 < n && p.offsets.FirstRowIndex(at+1) <= row; {
			at++
		}
		if first := p.offsets.FirstRowIndex(at); first > p.first+int64(p.current.rows) {
			if err := p.pages.SeekToRow(first); err != nil {
				return err
			}
			p.drop()
			p.first = first
		}
	}
	for {
		if err := p.next(); err != nil {
			return ended(err)
		}
		if row < p.first+int64(p.current.rows) {
			return nil
		}
	}
}

func ended(err error) error {
	if errors.Is(err, io.EOF) {
		return errors.New("the column chunk ends before its row group does")
	}
	return err
}

func (g *page) load(raw parquet.Page) error {
	*g = page{raw: raw, rows: int(raw.NumValues()), values: raw.Data()}
	g.present = g.rows
	if defs := raw.DefinitionLevels(); len(defs) > 0 {
		if len(defs) != g.rows {
			return fmt.Errorf("a page has %d definition levels for %d values", len(defs), g.rows)
		}
		g.def = 1
		present := 0
		for _, d := range defs {
			if d == 1 {
				present++
			}
		}
		if g.present = present; present < g.rows {
			g.defs = defs
		}
	}
	if dict := raw.Dictionary(); dict != nil {
		g.indexes = g.values.Int32()
		g.values = dict.Page().Data()
		if len(g.indexes) < g.present {
			return fmt.Errorf("a page has %d values where its levels count %d", len(g.indexes), g.present)
		}
		limit := int32(dict.Len())
		for _, i := range g.indexes[:g.present] {
			if i < 0 || i >= limit {
				return fmt.Errorf("a dictionary index is %d in a dictionary of %d values", i, limit)
			}
		}
	}
	return nil
}

// value returns where the value of a row of the page stands among the present ones; not ok for a null. Rows are asked for
// in ascending order.
func (g *page) value(row int) (at int, ok bool) {
	if g.defs == nil {
		return row, true
	}
	for _, d := range g.defs[g.seen:row] {
		if d == g.def {
			g.seenVals++
		}
	}
	g.seen = row
	return g.seenVals, g.defs[row] == g.def
}
