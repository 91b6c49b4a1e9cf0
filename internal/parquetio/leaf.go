package parquetio

import (
	"errors"
	"fmt"
	"io"
	"sort"

	"github.com/parquet-go/parquet-go/format"
)

// leafReader walks the data pages of one column chunk.
type leafReader struct {
	pageLoader
	stream stream
	chunk  *chunk

	forDictWindow window // of a dictionary that stays where it is
	wanted        int    // rows that are picked, at least 1

	places []format.PageLocation // of the data pages, ascending; nil: unknown
	left   int64                 // values of the chunk in pages after the current one
	lazy   bool                  // a dictionary is read when a page needs it
	rows   int64                 // of the row group
	expect int64                 // rows of the page that comes next; -1: unknown

	// Of a flat leaf: the row group's row at which the current page begins, and the row of the page that comes next.
	first int64
	next  int

	// Of a nested leaf: the row that comes next, and the entry and the slot of the page at which it does.
	row         int64
	entry, slot int
}

// Bytes to read ahead, by how a leaf is read.
const (
	aheadInSequence = 256 << 10
	aheadByPosition = 16 << 10
	aheadByHeader   = 1 << 10
)

// newLeafReader begins at the chunk's first page. last is where in the file the pages of all chunks have ended.
func newLeafReader(from io.ReaderAt, last int64, leaf *node, c *chunk, rows int64, h *held, ahead int) *leafReader {
	end := c.start + c.size
	if c.short {
		end = min(last, end+forgotten)
	}
	return &leafReader{
		pageLoader: pageLoader{leaf: leaf, codec: c.codec, held: h, scratch: scratch{held: h}, forDict: scratch{held: h}, convert: converter{held: h}},
		stream:     stream{from: from, held: h, at: c.start, end: end, readMore: ahead},
		chunk:      c, left: c.values, rows: rows, expect: -1,
	}
}

func (l *leafReader) close() {
	l.stream.close()
	l.forDictWindow.close()
	l.pageLoader.close()
}

var (
	errTooMany = errors.New("the column chunk has more values than its row group has rows")
	errTooFew  = errors.New("the column chunk ends before its row group does")
)

// header moves to the next data page that has values. The dictionary is read on the way, unless that may wait. io.EOF after
// the last.
func (l *leafReader) header() (*pageHeader, error) {
	for {
		if l.left == 0 {
			return nil, io.EOF
		}
		h, err := l.stream.header()
		if err != nil {
			return nil, err
		}
		switch h.Type {
		case format.DataPage, format.DataPageV2:
			n, err := count(h)
			if err != nil {
				return nil, err
			}
			if n > l.left {
				return nil, errTooMany
			}
			if n > 0 {
				return h, nil
			}
		case format.DictionaryPage:
			if l.dict == nil && !l.lazy {
				if err := l.readDictionary(h); err != nil {
					return nil, err
				}
				continue
			}
		}
		l.stream.skip(int(h.CompressedPageSize)) // pages of other types are not needed to read values
	}
}

// mapped makes so many rows of the leaf be picked where the file is mapped, if they can be.
func (l *leafReader) mapped(rows int) {
	l.wanted = max(1, rows)
	if m, ok := l.stream.from.(Mapper); ok && canStay(l.leaf) {
		l.stream.window.mapper, l.stays = m, true
	}
}

func (l *leafReader) readDictionary(h *pageHeader) error {
	if ok, err := l.leaveDictionary(h); ok || err != nil {
		return err
	}
	data, err := body(&l.stream, h)
	if err == nil && l.stream.window.mapper != nil {
		data, err = l.copied(data)
	}
	if err != nil {
		return err
	}
	return l.dictionary(h, data)
}

// loadPage decodes the data page whose header was just read.
func (l *leafReader) loadPage(h *pageHeader) error {
	if l.dict == nil && usesDictionary(h) { // pages were skipped on the way here, and the dictionary with them
		at := l.stream.offset()
		l.stream.seek(l.chunk.start)
		first, err := l.stream.header()
		if err != nil {
			return err
		}
		if first.Type != format.DictionaryPage {
			return errors.New("a page of dictionary indexes in a column chunk without a dictionary")
		}
		if err := l.readDictionary(first); err != nil {
			return err
		}
		l.stream.seek(at)
	}
	if err := l.decodePage(h); err != nil {
		return err
	}
	l.left -= int64(l.page.entries)
	if rows := l.page.rows(); l.expect >= 0 && l.expect != rows {
		return fmt.Errorf("a page of %d rows where the offset index says %d", rows, l.expect)
	}
	l.expect = -1
	return nil
}

// decodePage makes the page whose header was just read the current one.
func (l *leafReader) decodePage(h *pageHeader) error {
	data, err := body(&l.stream, h)
	if err != nil {
		return err
	}
	if l.stays {
		if ok, err := l.leave(h, data, l.left); ok || err != nil {
			return err
		}
	}
	if l.stream.window.mapper != nil {
		if data, err = l.copied(data); err != nil {
			return err
		}
	}
	return l.load(h, data, l.left)
}

func usesDictionary(h *pageHeader) bool {
	enc := h.DataPageHeader.V.Encoding
	if h.Type == format.DataPageV2 {
		enc = h.DataPageHeaderV2.V.Encoding
	}
	return enc == format.PlainDictionary || enc == format.RLEDictionary
}

// advance loads the next page.
func (l *leafReader) advance() error {
	h, err := l.header()
	if err == nil {
		err = l.loadPage(h)
	}
	return err
}

// read appends the next n rows of a flat leaf to a column, or fewer once the column has enough.
func (l *leafReader) read(c column, n int) (int, error) {
	done := 0
	c.reserve(n)
	for done < n {
		if l.next == l.page.slots {
			l.first += int64(l.page.slots)
			l.next = 0
			if err := l.advance(); err != nil {
				return 0, early(err)
			}
		}
		want := min(n-done, l.page.slots-l.next)
		took, err := c.append(&l.page, l.next, l.next+want)
		if err != nil {
			return 0, err
		}
		l.next += took
		if done += took; took < want {
			break
		}
	}
	return done, nil
}

func early(err error) error {
	if errors.Is(err, io.EOF) {
		return errTooFew
	}
	return err
}

// pick appends rows of a flat leaf, ascending, to a column. Pages without any are neither read, where it is known where
// pages are, nor decompressed.
func (l *leafReader) pick(c column, rows []int64) error {
	c.reserve(len(rows))
	for len(rows) > 0 {
		if err := l.find(rows[0]); err != nil {
			return err
		}
		end := l.first + int64(l.page.slots)
		n := len(rows)
		if rows[n-1] >= end {
			n = sort.Search(n, func(i int) bool { return rows[i] >= end })
		}
		if err := c.pick(&l.page, rows[:n], l.first); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

// find makes the page of a flat leaf with a row the current one.
func (l *leafReader) find(row int64) error {
	if row < l.first+int64(l.page.slots) {
		return nil
	}
	l.first += int64(l.page.slots)
	l.page = page{}
	at, err := l.jump(row, l.first)
	if err != nil {
		return err
	}
	l.first = at
	h, err := l.walk(row)
	if err != nil {
		return err
	}
	return l.loadPage(h)
}

// walk passes over the pages before the one with a row, and no more of them is read than their headers.
func (l *leafReader) walk(row int64) (*pageHeader, error) {
	ahead := l.stream.readMore
	l.lazy, l.stream.readMore = true, min(ahead, aheadByHeader)
	defer func() { l.lazy, l.stream.readMore = false, ahead }()
	for {
		h, err := l.header()
		if err != nil {
			return nil, early(err)
		}
		n, err := count(h)
		if err != nil {
			return nil, err
		}
		if row < l.first+n {
			return h, nil
		}
		l.stream.skip(int(h.CompressedPageSize))
		l.first, l.left = l.first+n, l.left-n
	}
}

// goTo makes a row the one that is read next.
func (l *leafReader) goTo(row int64) error {
	if err := l.find(row); err != nil {
		return err
	}
	l.next = int(row - l.first)
	return nil
}

// jump goes to the page with a row, or stays at a row before it, and returns the first row of where it went.
func (l *leafReader) jump(row, at int64) (int64, error) {
	i := sort.Search(len(l.places), func(i int) bool { return l.places[i].FirstRowIndex > row }) - 1
	if i < 0 || l.places[i].FirstRowIndex <= at {
		return at, nil
	}
	place := l.places[i]
	l.expect = l.rows - place.FirstRowIndex
	if i+1 < len(l.places) {
		l.expect = l.places[i+1].FirstRowIndex - place.FirstRowIndex
	}
	l.stream.seek(place.Offset)
	if l.leaf.maxRep == 0 {
		l.left = l.rows - place.FirstRowIndex
	}
	if _, err := l.stream.peek(int(place.CompressedPageSize)); err != nil { // the whole page in one read
		return 0, err
	}
	return place.FirstRowIndex, nil
}

// locate reads the offset index, if the chunk has one. One that makes no sense is left aside: the page headers say all
// that it does.
func (l *leafReader) locate() error {
	c := l.chunk
	if c.index < 4 || c.indexSize <= 0 || c.indexSize > headerMax {
		return nil
	}
	raw := make([]byte, c.indexSize)
	if err := readFull(l.stream.from, raw, c.index); errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	} else if err != nil {
		return err
	}
	var index offsetIndex
	if _, err := decodeThrift(raw, &index, func([]int16) int64 { return 24 }); err != nil {
		return nil
	}
	offset, row := c.start-1, int64(-1)
	for _, p := range index.PageLocations {
		if p.Offset <= offset || p.CompressedPageSize < 0 || p.Offset > c.start+c.size-int64(p.CompressedPageSize) || p.FirstRowIndex < row ||
			p.FirstRowIndex >= max(1, l.rows) || row < 0 && p.FirstRowIndex != 0 {
			return nil
		}
		offset, row = p.Offset, p.FirstRowIndex
	}
	l.places = index.PageLocations
	return nil
}
