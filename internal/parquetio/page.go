package parquetio

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/bits"

	"github.com/parquet-go/parquet-go/format"

	"github.com/flightd/flightd/internal/fault"
)

// valuesMax bounds the values of a page, nulls included: they may take no bytes at all in the file.
const valuesMax = 1 << 26

// page is one decoded data page. Its slots are the places of the leaf's array: the rows of a flat column, the elements of
// a list's. The values are in the slots that are not null.
type page struct {
	slots   int
	some    []byte  // 1 for each slot with a value, 0 for a null; nil: no slot is null
	present int     // slots with a value
	values  *values // of the page or the dictionary
	indexes []int32 // into the dictionary, and one zero more; nil: values stand for themselves
	checked bool    // texts are known to be UTF-8

	defs, reps []byte // levels of a nested leaf, one each for every value, null or absence above; reps nil: no lists
	entries    int    // how many

	seen, before int // slots that rank has passed, and the values in them
}

// rank is the number of values before a slot. It is asked for ascending slots.
func (g *page) rank(slot int) int {
	if g.some == nil {
		return slot
	}
	if slot < g.seen {
		g.seen, g.before = 0, 0
	}
	gap := g.some[g.seen:slot]
	if g.seen = slot; len(gap) >= 32 {
		g.before += bytes.Count(gap, ones)
		return g.before
	}
	for _, b := range gap {
		g.before += int(b)
	}
	return g.before
}

var ones, zeros = []byte{1}, []byte{0}

// rows is the number of rows that begin in the page.
func (g *page) rows() int64 {
	if g.reps == nil {
		return int64(g.entries)
	}
	return int64(bytes.Count(g.reps, zeros))
}

// pageLoader decodes the pages of one leaf into buffers that it uses again.
type pageLoader struct {
	leaf    *node
	codec   format.CompressionCodec
	held    *held
	page    page
	dict    *values
	own     values // of the page
	plain   []byte // the decompressed page
	private []byte // a copy of mapped bytes
	reps    []byte
	defs    []byte
	some    []byte
	indexes []byte // as int32
	scratch scratch
	forDict scratch // it stays as long as the column is read
	convert converter

	stays bool    // numbers of plain pages are left where they are mapped
	place inPlace // of the page
}

func (l *pageLoader) close() {
	for _, buf := range []*[]byte{&l.plain, &l.private, &l.reps, &l.defs, &l.some, &l.indexes} {
		l.held.drop(*buf)
		*buf = nil
	}
	if l.dict != nil {
		l.held.drop(l.dict.raw) // arrays have copies
		l.dict = nil
	}
	l.scratch.close()
	l.forDict.close()
	l.convert.close()
	l.page = page{}
}

// body returns the bytes of a page after checking them against the checksum, if there is one.
func body(s *stream, h *pageHeader) ([]byte, error) {
	size := int(h.CompressedPageSize)
	data, err := s.peek(size)
	if err != nil {
		return nil, err
	}
	s.skip(size)
	return data[:size], checkSum(h, data[:size])
}

func checkSum(h *pageHeader, data []byte) error {
	if h.CRC.Valid && uint32(h.CRC.V) != crc32.ChecksumIEEE(data) {
		return fmt.Errorf("a page does not have its checksum")
	}
	return nil
}

// copied returns data in memory that nobody else writes to, with the slack of a buffer.
func (l *pageLoader) copied(data []byte) ([]byte, error) {
	var err error
	if l.private, err = l.held.grow(l.private, len(data)); err != nil {
		return nil, err
	}
	copy(l.private, data)
	return l.private, nil
}

// decompress returns the n bytes that data stands for.
func (l *pageLoader) decompress(data []byte, n int, compressed bool) ([]byte, error) {
	if n < 0 {
		return nil, errEnds
	}
	if !compressed || l.codec == format.Uncompressed {
		return data, nil
	}
	var err error
	if l.plain, err = l.held.grow(l.plain, n); err != nil || n == 0 {
		return l.plain, err
	}
	return l.plain, decompress(l.codec, l.plain, data)
}

// dictionary decodes a dictionary page.
func (l *pageLoader) dictionary(h *pageHeader, data []byte) error {
	if !h.DictionaryPageHeader.Valid {
		return fmt.Errorf("a dictionary page without its header")
	}
	n, enc := int(h.DictionaryPageHeader.V.NumValues), h.DictionaryPageHeader.V.Encoding
	if n < 0 || n > valuesMax || l.leaf.physical == format.Boolean {
		return fmt.Errorf("a dictionary of %d values of type %s", n, l.leaf.physical)
	}
	if enc == format.PlainDictionary {
		enc = format.Plain
	}
	data, err := l.decompress(data, int(h.UncompressedPageSize), true)
	if err != nil {
		return err
	}
	if n == 0 {
		l.dict = &values{offsets: []uint32{0}}
		return nil
	}
	v, err := l.forDict.decode(l.leaf, enc, data, n)
	if err != nil {
		return err
	}
	if err := l.keep(&v); err != nil {
		return err
	}
	own, convert := v.raw, converter{held: l.held}
	if err := convert.values(l.leaf, &v); err != nil {
		return err
	}
	if convert.raw != nil {
		l.held.drop(own)
	}
	if isText(l.leaf.typ) {
		if err := v.checkTexts(); err != nil {
			return err
		}
	}
	l.dict = &v
	return nil
}

// keep gives values memory of their own: that of the decompressed page, if that is where they begin, or a copy.
func (l *pageLoader) keep(v *values) error {
	if len(l.plain) > 0 && len(v.raw) > 0 && &v.raw[0] == &l.plain[0] {
		v.raw, l.plain = l.plain[:len(v.raw)], nil
		return nil
	}
	own, err := l.held.grow(nil, len(v.raw))
	if err != nil {
		return err
	}
	copy(own, v.raw)
	v.raw = own
	return nil
}

// load decodes a data page of either version. left is how many values the column chunk has yet to come.
func (l *pageLoader) load(h *pageHeader, data []byte, left int64) error {
	l.page = page{}
	var n int
	var enc format.Encoding
	var err error
	if h.Type == format.DataPageV2 {
		n, enc = int(h.DataPageHeaderV2.V.NumValues), h.DataPageHeaderV2.V.Encoding
		data, err = l.levelsV2(h, data, n, left)
	} else {
		n, enc = int(h.DataPageHeader.V.NumValues), h.DataPageHeader.V.Encoding
		data, err = l.levelsV1(h, data, n, left)
	}
	if err != nil {
		return err
	}
	if err := l.slots(n); err != nil {
		return err
	}
	return l.values(enc, data)
}

// count is the number of values in the page of a header, nulls included.
func count(h *pageHeader) (int64, error) {
	n := int64(h.DataPageHeader.V.NumValues)
	ok := h.DataPageHeader.Valid
	if h.Type == format.DataPageV2 {
		n, ok = int64(h.DataPageHeaderV2.V.NumValues), h.DataPageHeaderV2.Valid
	}
	if !ok || n < 0 {
		return 0, fmt.Errorf("a data page without its header, or of %d values", n)
	}
	return n, nil
}

func checkCount(n int, left int64) error {
	if int64(n) > left {
		return errTooMany
	}
	if n > valuesMax {
		return fault.New(fault.Unimplemented, "a page of %d values; more than %d cannot be read: write smaller pages", n, valuesMax)
	}
	return nil
}

// levelsV1 decodes the levels, which are compressed along with the values, and returns the values' bytes.
func (l *pageLoader) levelsV1(h *pageHeader, data []byte, n int, left int64) ([]byte, error) {
	if err := checkCount(n, left); err != nil {
		return nil, err
	}
	data, err := l.decompress(data, int(h.UncompressedPageSize), true)
	if err != nil {
		return nil, err
	}
	v1 := &h.DataPageHeader.V
	if l.leaf.maxRep > 0 {
		if data, err = l.prefixedLevels(&l.reps, data, v1.RepetitionLevelEncoding, l.leaf.maxRep, n); err != nil {
			return nil, err
		}
	}
	if l.leaf.def > 0 {
		if data, err = l.prefixedLevels(&l.defs, data, v1.DefinitionLevelEncoding, l.leaf.def, n); err != nil {
			return nil, err
		}
	}
	return data, nil
}

func (l *pageLoader) prefixedLevels(into *[]byte, data []byte, enc format.Encoding, most, n int) ([]byte, error) {
	if enc != format.RLE {
		return nil, fault.New(fault.Unimplemented, "levels with the encoding %s (%d), which cannot be read", enc, enc)
	}
	if len(data) < 4 {
		return nil, errEnds
	}
	size := uint64(binary.LittleEndian.Uint32(data))
	if data = data[4:]; size > uint64(len(data)) {
		return nil, errEnds
	}
	return data[size:], l.levels(into, data[:size], most, n)
}

// levelsV2 decodes the levels, which are never compressed, and returns the values' bytes.
func (l *pageLoader) levelsV2(h *pageHeader, data []byte, n int, left int64) ([]byte, error) {
	if err := checkCount(n, left); err != nil {
		return nil, err
	}
	v2 := &h.DataPageHeaderV2.V
	reps, defs := int64(v2.RepetitionLevelsByteLength), int64(v2.DefinitionLevelsByteLength)
	if reps < 0 || defs < 0 || reps+defs > int64(len(data)) {
		return nil, errEnds
	}
	if l.leaf.maxRep > 0 {
		if err := l.levels(&l.reps, data[:reps], l.leaf.maxRep, n); err != nil {
			return nil, err
		}
	}
	if l.leaf.def > 0 {
		if err := l.levels(&l.defs, data[reps:reps+defs], l.leaf.def, n); err != nil {
			return nil, err
		}
	}
	compressed := !v2.IsCompressed.Valid || v2.IsCompressed.V
	return l.decompress(data[reps+defs:], int(int64(h.UncompressedPageSize)-reps-defs), compressed)
}

func (l *pageLoader) levels(into *[]byte, data []byte, most, n int) error {
	if err := l.held.levels(into, data, bits.Len(uint(most)), n); err != nil {
		return fmt.Errorf("levels: %w", err)
	}
	return nil
}

// zeroOrOne checks that levels, or booleans, of which so many are 1, are 0 otherwise: a run can claim any value.
func zeroOrOne(values []byte, one int) error {
	if one+bytes.Count(values, zeros) != len(values) {
		return fmt.Errorf("a level or a boolean that is neither 0 nor 1")
	}
	return nil
}

// slots finds out which places of the leaf's array the n entries of the page make, and which of them have values.
func (l *pageLoader) slots(n int) error {
	g, leaf := &l.page, l.leaf
	g.entries, g.slots, g.present = n, n, n
	if leaf.maxRep > 0 {
		g.reps = l.reps
	}
	if leaf.def == 0 {
		return nil
	}
	some := l.defs // of a flat leaf they are 0 and 1 already
	if leaf.nested {
		var err error
		if l.some, err = l.held.grow(l.some, n); err != nil {
			return err
		}
		some, g.defs = l.some, l.defs
		slots := 0
		for _, d := range l.defs {
			if int(d) > leaf.def {
				return fmt.Errorf("a definition level of %d in a column with at most %d", d, leaf.def)
			}
			if int(d) >= leaf.slotDef {
				some[slots] = 0
				if int(d) == leaf.def {
					some[slots] = 1
				}
				slots++
			}
		}
		some, g.slots = some[:slots], slots
	}
	if g.present = bytes.Count(some, ones); g.present < g.slots {
		g.some = some
		return zeroOrOne(some, g.present)
	}
	return nil
}

func (l *pageLoader) values(enc format.Encoding, data []byte) error {
	g := &l.page
	if enc == format.PlainDictionary || enc == format.RLEDictionary {
		if l.dict == nil {
			return fmt.Errorf("a page of dictionary indexes in a column chunk without a dictionary")
		}
		var err error
		g.values, g.checked = l.dict, true
		g.indexes, err = l.held.indexes(&l.indexes, data, g.present)
		return err
	}
	l.own = values{offsets: []uint32{0}}
	if g.values = &l.own; g.present == 0 {
		return nil
	}
	var err error
	if l.own, err = l.scratch.decode(l.leaf, enc, data, g.present); err != nil {
		return err
	}
	return l.convert.values(l.leaf, &l.own)
}
