package parquetio

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"
	"unsafe"

	"github.com/parquet-go/parquet-go/encoding/bytestreamsplit"
	"github.com/parquet-go/parquet-go/encoding/delta"
	"github.com/parquet-go/parquet-go/format"

	"github.com/flightd/flightd/internal/fault"
)

// values are decoded values without nulls, of a page or of a dictionary. Those of a fixed width stand one after the other
// in raw; booleans are bytes of 0 or 1. Byte strings have offsets: value i is raw[offsets[i]+lead : offsets[i+1]].
type values struct {
	n       int
	raw     []byte
	offsets []uint32
	lead    uint32
	place   *inPlace // instead of raw
}

// text is one byte string.
func (v *values) text(i int) []byte { return v.raw[v.offsets[i]+v.lead : v.offsets[i+1]] }

// view is the first n values of a fixed width, which are known to be there, and one more if more is set, which is not a
// value but can be loaded.
func view[T any](raw []byte, n int, more bool) []T {
	size := n
	if more {
		size++
	}
	var one T
	if size*int(unsafe.Sizeof(one)) > cap(raw) || n*int(unsafe.Sizeof(one)) > len(raw) {
		panic("parquetio: a view beyond its buffer") // a bug: lengths are checked when values are decoded
	}
	if size == 0 {
		return nil
	}
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(raw))), size)
}

// scratch is memory for decoding, used again from page to page.
type scratch struct {
	held    *held
	raw     []byte
	offsets []uint32
	lengths [2][]int32
	texts   int // of the page with most of them
}

func (s *scratch) grow(n int) (err error) {
	s.raw, err = s.held.grow(s.raw, n)
	return err
}

// perText is what the offsets and the lengths of a text take while it is decoded.
const perText = 12

// growTexts counts the offsets and lengths of n texts in what the reader holds: in the file they may take nothing.
func (s *scratch) growTexts(n int) error {
	if n <= s.texts {
		return nil
	}
	if err := s.held.take(perText * int64(n-s.texts)); err != nil {
		return err
	}
	s.texts = n
	return nil
}

func (s *scratch) close() {
	s.held.drop(s.raw)
	s.held.give(perText * int64(s.texts))
	*s = scratch{held: s.held}
}

// physicalWidth is the number of bytes of a decoded value; 0 for byte strings.
func physicalWidth(t format.Type, length int) int {
	switch t {
	case format.Boolean:
		return 1
	case format.Int32, format.Float:
		return 4
	case format.Int64, format.Double:
		return 8
	case format.Int96:
		return 12
	case format.FixedLenByteArray:
		return length
	}
	return 0
}

// decode decodes n values, at least one, of a leaf. The result may share memory with data and with the scratch.
func (s *scratch) decode(leaf *node, enc format.Encoding, data []byte, n int) (values, error) {
	width := physicalWidth(leaf.physical, leaf.length)
	if leaf.physical == format.ByteArray || enc == format.DeltaByteArray {
		if err := s.growTexts(n); err != nil {
			return values{}, err
		}
	}
	switch enc {
	case format.Plain:
		switch {
		case leaf.physical == format.Boolean:
			return s.plainBools(data, n)
		case leaf.physical == format.ByteArray:
			return s.plainTexts(data, n)
		case n > len(data)/width:
			return values{}, errEnds
		}
		return values{n: n, raw: data[:n*width]}, nil
	case format.RLE:
		if leaf.physical == format.Boolean {
			return s.runBools(data, n)
		}
	case format.DeltaBinaryPacked:
		if leaf.physical == format.Int32 || leaf.physical == format.Int64 {
			return s.deltas(data, n, width)
		}
	case format.DeltaLengthByteArray:
		if leaf.physical == format.ByteArray {
			return s.deltaTexts(data, n)
		}
	case format.DeltaByteArray:
		if leaf.physical == format.ByteArray || leaf.physical == format.FixedLenByteArray {
			return s.prefixedTexts(data, n, width)
		}
	case format.ByteStreamSplit:
		if leaf.physical != format.Boolean && leaf.physical != format.Int96 && width > 0 {
			return s.splitStreams(data, n, width)
		}
	}
	return values{}, fault.New(fault.Unimplemented, "values of type %s with the encoding %s (%d), which cannot be read", leaf.physical, enc, enc)
}

func (s *scratch) plainBools(data []byte, n int) (values, error) {
	if len(data) < (n+7)/8 {
		return values{}, errEnds
	}
	if err := s.grow(n); err != nil {
		return values{}, err
	}
	for i := range s.raw {
		s.raw[i] = data[i/8] >> (i % 8) & 1
	}
	return values{n: n, raw: s.raw}, nil
}

func (s *scratch) runBools(data []byte, n int) (values, error) {
	if len(data) < 4 || uint64(binary.LittleEndian.Uint32(data)) > uint64(len(data)-4) {
		return values{}, errEnds
	}
	if err := s.held.levels(&s.raw, data[4:4+binary.LittleEndian.Uint32(data)], 1, n); err != nil {
		return values{}, err
	}
	return values{n: n, raw: s.raw}, zeroOrOne(s.raw, bytes.Count(s.raw, ones))
}

// plainTexts finds the byte strings, each after its length in four bytes, where they are.
func (s *scratch) plainTexts(data []byte, n int) (values, error) {
	if n > len(data)/4 {
		return values{}, errEnds
	}
	s.offsets = slices.Grow(s.offsets[:0], n+1)[:n+1]
	at := 0
	for i := range n {
		s.offsets[i] = uint32(at)
		if len(data)-at < 4 {
			return values{}, errEnds
		}
		size := binary.LittleEndian.Uint32(data[at:])
		if at += 4; uint64(size) > uint64(len(data)-at) {
			return values{}, errEnds
		}
		at += int(size)
	}
	s.offsets[n] = uint32(at)
	return values{n: n, raw: data[:at], offsets: s.offsets, lead: 4}, nil
}

func (s *scratch) deltas(data []byte, n, width int) (values, error) {
	count, end, err := deltaEnd(data, 8*width, n)
	if err != nil {
		return values{}, err
	}
	if count != n {
		return values{}, errEnds
	}
	if err := s.grow(n * width); err != nil {
		return values{}, err
	}
	if width == 4 {
		_, err = new(delta.BinaryPackedEncoding).DecodeInt32(view[int32](s.raw, n, false), data[:end])
	} else {
		_, err = new(delta.BinaryPackedEncoding).DecodeInt64(view[int64](s.raw, n, false), data[:end])
	}
	return values{n: n, raw: s.raw}, err
}

// deltaTexts are lengths, and then the bytes of all byte strings.
func (s *scratch) deltaTexts(data []byte, n int) (values, error) {
	lengths, sum, rest, err := deltaLengths(s.lengths[0], data, n)
	if err != nil {
		return values{}, err
	}
	if s.lengths[0] = lengths; sum > int64(len(rest)) {
		return values{}, errEnds
	}
	s.offsets = slices.Grow(s.offsets[:0], n+1)[:n+1]
	at := uint32(0)
	for i, size := range lengths {
		s.offsets[i] = at
		at += uint32(size)
	}
	s.offsets[n] = at
	return values{n: n, raw: rest[:sum], offsets: s.offsets}, nil
}

// prefixedTexts begin with so many bytes of the one before. width is that of fixed-size values, 0 for others.
func (s *scratch) prefixedTexts(data []byte, n, width int) (values, error) {
	prefixes, shared, rest, err := deltaLengths(s.lengths[0], data, n)
	if err != nil {
		return values{}, err
	}
	s.lengths[0] = prefixes
	suffixes, own, rest, err := deltaLengths(s.lengths[1], rest, n)
	if err != nil {
		return values{}, err
	}
	if s.lengths[1] = suffixes; own > int64(len(rest)) {
		return values{}, errEnds
	}
	if shared+own > pageMax {
		return values{}, fault.New(fault.Unimplemented, "a page of %d bytes of text; more than %d MiB cannot be read: write smaller pages", shared+own, pageMax>>20)
	}
	if err := s.grow(int(shared + own)); err != nil {
		return values{}, err
	}
	s.offsets = slices.Grow(s.offsets[:0], n+1)[:n+1]
	at, before := 0, 0 // where the current value begins, and the one before it
	for i := range n {
		prefix, suffix := int(prefixes[i]), int(suffixes[i])
		if prefix > at-before {
			return values{}, fmt.Errorf("a value that shares %d bytes with one of %d", prefix, at-before)
		}
		if width > 0 && prefix+suffix != width {
			return values{}, fmt.Errorf("a value of %d bytes where the schema says %d", prefix+suffix, width)
		}
		s.offsets[i] = uint32(at)
		copy(s.raw[at:], s.raw[before:before+prefix])
		copy(s.raw[at+prefix:], rest[:suffix])
		before, at, rest = at, at+prefix+suffix, rest[suffix:]
	}
	s.offsets[n] = uint32(at)
	v := values{n: n, raw: s.raw, offsets: s.offsets}
	if width > 0 {
		v.offsets = nil
	}
	return v, nil
}

func (s *scratch) splitStreams(data []byte, n, width int) (values, error) {
	if len(data) != n*width {
		return values{}, errEnds
	}
	if err := s.grow(len(data)); err != nil {
		return values{}, err
	}
	var err error
	switch e := new(bytestreamsplit.Encoding); width {
	case 4:
		_, err = e.DecodeFloat(view[float32](s.raw, n, false), data)
	case 8:
		_, err = e.DecodeDouble(view[float64](s.raw, n, false), data)
	default:
		_, err = e.DecodeFixedLenByteArray(s.raw, data, width)
	}
	return values{n: n, raw: s.raw}, err
}

var errNotText = errors.New("a text is not UTF-8; declare the column as binary")

// checkTexts refuses text that is not UTF-8: clients would fail on it far from its cause.
func (v *values) checkTexts() error {
	for i := range v.n {
		if !utf8.Valid(v.text(i)) {
			return errNotText
		}
	}
	return nil
}
