package parquetio

import (
	"encoding/binary"
	"unsafe"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/parquet-go/parquet-go/format"
)

// inPlace are the plain numbers of a page where the file has them: of a page that is not compressed, or one of which snappy
// found nothing to compress, so that it is a few literals. Features often are such numbers, and a join takes few of them:
// then a page need not be read as a whole, let alone decompressed.
type inPlace struct {
	data  []byte
	spans []span // ascending, the first at 0, and one more at the end
	base  int    // offset in the page of the first number
}

// span is a run of a page's bytes: those from offset at, up to that of the next span, stand in the data at from.
type span struct{ at, from int }

// spansMax bounds the literals of a page. Encoders make one for every 64 KiB, and more around what they could compress.
const spansMax = 1 << 10

// size is the number of bytes of the page.
func (p *inPlace) size() int { return p.spans[len(p.spans)-1].at }

// open finds the size bytes of a page in data; not ok if it has to be decompressed.
func (p *inPlace) open(codec format.CompressionCodec, data []byte, size int) (ok bool) {
	p.data, p.base = data, 0
	p.spans = append(p.spans[:0], span{})
	switch codec {
	case format.Uncompressed:
		p.spans = append(p.spans, span{at: size})
		return size >= 0 && size <= len(data)
	case format.Snappy:
		return p.literals(size) && p.size() == size
	}
	return false
}

// literals walks the elements of snappy's format (google/snappy, format_description.txt) as long as they are literals.
func (p *inPlace) literals(size int) bool {
	n, at := binary.Uvarint(p.data)
	if at <= 0 || n != uint64(size) {
		return false
	}
	p.spans = p.spans[:0]
	done := 0
	for at < len(p.data) {
		tag := p.data[at]
		at++
		if tag&3 != 0 || len(p.spans) == spansMax {
			return false
		}
		length := int(tag >> 2)
		if extra := length - 59; extra > 0 { // the length stands in so many bytes
			if len(p.data)-at < extra {
				return false
			}
			length = 0
			for i := range extra {
				length |= int(p.data[at+i]) << (8 * i)
			}
			at += extra
		}
		if length++; length > len(p.data)-at || length > size-done {
			return false
		}
		p.spans = append(p.spans, span{done, at})
		done, at = done+length, at+length
	}
	p.spans = append(p.spans, span{at: done})
	return true
}

// find is the index of the span with an offset of the page, which is inside. Spans mostly have the same length, so it is
// near where it would be then.
func (p *inPlace) find(off int) int {
	i := off * (len(p.spans) - 1) / p.size()
	for off < p.spans[i].at {
		i--
	}
	for off >= p.spans[i+1].at {
		i++
	}
	return i
}

// copy fills dst from an offset of the page.
func (p *inPlace) copy(dst []byte, off int) {
	for i := p.find(off); len(dst) > 0; i++ {
		at, from := p.spans[i].at, p.spans[i].from
		n := copy(dst, p.data[from+off-at:from+p.spans[i+1].at-at])
		dst, off = dst[n:], off+n
	}
}

// number is a value of an in-place page.
type number interface{ uint32 | uint64 }

func load[T number](b []byte) T {
	if unsafe.Sizeof(T(0)) == 8 {
		return T(binary.LittleEndian.Uint64(b))
	}
	return T(binary.LittleEndian.Uint32(b))
}

// at is number i.
func at[T number](p *inPlace, i int) T {
	const most = 8
	width := int(unsafe.Sizeof(T(0)))
	off := p.base + i*width
	s := p.find(off)
	if from := p.spans[s].from + off - p.spans[s].at; off+width <= p.spans[s+1].at {
		return load[T](p.data[from:])
	}
	var cut [most]byte
	p.copy(cut[:width], off)
	return load[T](cut[:])
}

// pickNumbers takes the numbers of ascending slots, all of which have one; first is subtracted from each.
func pickNumbers[T number](out []T, p *inPlace, slots []int64, first int64) {
	width := int(unsafe.Sizeof(T(0)))
	for len(slots) > 0 {
		off := p.base + int(slots[0]-first)*width
		s := p.find(off)
		start, end := p.spans[s].at, p.spans[s+1].at
		n := pickRun(out, p.data[p.spans[s].from:][:end-start], slots, first*int64(width)+int64(start-p.base))
		if n < len(slots) && p.base+int(slots[n]-first)*width < end { // half here, half there
			out[n] = at[T](p, int(slots[n]-first))
			n++
		}
		out, slots = out[n:], slots[n:]
	}
}

// pickRun is pickNumbers as long as numbers are whole in a run of bytes, which begins at an offset: that of slot 0 is 0. It
// returns how many these are. Each is a miss of the cache, and the processor has as many of them under way as it sees: so
// the loop is as short as can be.
func pickRun[T number](out []T, run []byte, slots []int64, offset int64) int {
	width := int64(unsafe.Sizeof(T(0)))
	out = out[:len(slots)]
	last := int64(len(run)) - width
	for i, slot := range slots {
		off := slot*width - offset
		if off > last {
			return i
		}
		out[i] = load[T](run[off : off+width])
	}
	return len(slots)
}

// pickInPlace is pick for a page or dictionary of numbers in place.
func pickInPlace[T number](g *page, out []T, slots []int64, first int64) (marks []byte) {
	p := g.values.place
	if g.some == nil && g.indexes == nil {
		pickNumbers(out, p, slots, first)
		return nil
	}
	if g.some != nil {
		marks = make([]byte, len(slots))
	}
	for i, slot := range slots {
		n := g.rank(int(slot - first))
		if marks != nil {
			if marks[i] = g.some[slot-first]; marks[i] == 0 {
				out[i] = 0
				continue
			}
		}
		if g.indexes != nil {
			n = int(g.indexes[n])
		}
		if uint(n) >= uint(g.values.n) {
			panic("an index beyond the dictionary")
		}
		out[i] = at[T](p, n)
	}
	return marks
}

// canStay reports whether the numbers of a leaf, plainly encoded, are those of its Arrow type.
func canStay(leaf *node) bool {
	t, fixed := leaf.typ.(arrow.FixedWidthDataType)
	switch leaf.physical {
	case format.Int32, format.Float:
		return fixed && !leaf.nested && leaf.maxRep == 0 && t.Bytes() == 4
	case format.Int64, format.Double:
		return fixed && !leaf.nested && leaf.maxRep == 0 && t.Bytes() == 8
	}
	return false
}

// leave makes a page of plain numbers the current one without reading it; not ok if it has to be decoded, or is broken.
func (l *pageLoader) leave(h *pageHeader, data []byte, left int64) (ok bool, err error) {
	l.page = page{}
	p, codec, size, levels := &l.place, l.codec, int(h.UncompressedPageSize), 0
	n, enc := int(h.DataPageHeader.V.NumValues), h.DataPageHeader.V.Encoding
	var defs []byte
	if h.Type == format.DataPageV2 {
		v2 := &h.DataPageHeaderV2.V
		n, enc = int(v2.NumValues), v2.Encoding
		if levels = int(v2.DefinitionLevelsByteLength); levels < 0 || levels > min(len(data), size) || v2.RepetitionLevelsByteLength != 0 {
			return false, nil
		}
		if v2.IsCompressed.Valid && !v2.IsCompressed.V {
			codec = format.Uncompressed
		}
		defs, data, size = data[:levels], data[levels:], size-levels
	}
	if enc != format.Plain || checkCount(n, left) != nil || !p.open(codec, data, size) {
		return false, nil
	}
	if l.leaf.def > 0 {
		if h.Type != format.DataPageV2 {
			if h.DataPageHeader.V.DefinitionLevelEncoding != format.RLE || size < 4 {
				return false, nil
			}
			var prefix [4]byte
			p.copy(prefix[:], 0)
			if levels = int(binary.LittleEndian.Uint32(prefix[:])); levels > size-4 {
				return false, nil
			}
			p.base = 4 + levels
		}
		if l.private, err = l.held.grow(l.private, levels); err != nil {
			return false, err
		}
		if copy(l.private, defs); levels > 0 && defs == nil {
			p.copy(l.private, 4)
		}
		if err := l.levels(&l.defs, l.private, l.leaf.def, n); err != nil {
			return false, err
		}
	}
	if err := l.slots(n); err != nil {
		return false, err
	}
	width := physicalWidth(l.leaf.physical, 0)
	if l.page.present > (size-p.base)/width {
		return false, nil
	}
	l.own = values{n: l.page.present, place: p}
	l.page.values = &l.own
	return true, nil
}

// rarely is how many values a dictionary has to have for each row that is wanted, if it is to stay where it is: a look into
// one in the cache costs less.
const rarely = 8

// leaveDictionary is leave for a dictionary. It is mapped for itself, because the window moves on and the dictionary stays,
// or copied.
func (l *leafReader) leaveDictionary(h *pageHeader) (ok bool, err error) {
	n, enc := int(h.DictionaryPageHeader.V.NumValues), h.DictionaryPageHeader.V.Encoding
	if !l.stays || l.stream.window.mapper == nil || !h.DictionaryPageHeader.Valid || enc != format.Plain && enc != format.PlainDictionary || n < 1 {
		return false, nil
	}
	l.forDictWindow = window{mapper: l.stream.window.mapper}
	data, ok := l.forDictWindow.move(l.stream.offset(), int(h.CompressedPageSize))
	if !ok || checkSum(h, data) != nil {
		return false, nil
	}
	p, size := new(inPlace), physicalWidth(l.leaf.physical, 0)
	if !p.open(l.codec, data, int(h.UncompressedPageSize)) || n > p.size()/size {
		return false, nil
	}
	l.dict = &values{n: n, place: p}
	if n < rarely*l.wanted {
		raw, err := l.held.grow(nil, n*size)
		if err != nil {
			return false, err
		}
		p.copy(raw, 0)
		l.dict = &values{n: n, raw: raw}
		l.forDictWindow.close()
	}
	l.stream.skip(len(data))
	return true, nil
}
