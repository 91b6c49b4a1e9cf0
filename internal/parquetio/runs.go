package parquetio

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/parquet-go/parquet-go/encoding/rle"
)

// The decoders of parquet-go allocate what the lengths in the encoded bytes ask for, and its assembly trusts them. So
// encoded bytes are walked before they are decoded: this file for levels, dictionary indexes and booleans, delta.go for
// the delta encodings.

var errEnds = errors.New("the page ends before its values do")

// hybridEnd walks runs of the RLE and bit-packing hybrid up to n values of a width in bits, at least one. It returns where
// they end and how many values there are until then: the last of the bit-packed groups may be filled up, by some writers
// far beyond the last value, or cut off after it.
func hybridEnd(data []byte, width, n int) (end, total int, err error) {
	for total < n {
		head, size := binary.Uvarint(data[end:])
		if size <= 0 {
			return 0, 0, errEnds
		}
		end += size
		count := head >> 1
		if head&1 == 0 { // one value, repeated
			if count > uint64(n-total) {
				return 0, 0, fmt.Errorf("a run of %d values where the page has %d left", count, n-total)
			}
			total += int(count)
			end += (width + 7) / 8
		} else { // groups of eight
			if count > uint64(cap(data)-end)/uint64(width) || 8*(len(data)-end)/width < min(8*int(count), n-total) {
				return 0, 0, errEnds
			}
			total += int(count) * 8
			end += int(count) * width // beyond the data, in what the buffer has after it, if the last group is cut off
			continue
		}
		if end > len(data) {
			return 0, 0, errEnds
		}
	}
	return end, total, nil
}

// levels decodes n levels, each a byte, into a buffer.
func (h *held) levels(buf *[]byte, data []byte, width, n int) error {
	end, total, err := hybridEnd(data, width, n)
	if err != nil {
		return err
	}
	if *buf, err = h.grow(*buf, total); err != nil {
		return err
	}
	out, err := (&rle.Encoding{BitWidth: width}).DecodeLevels(*buf, data[:end])
	if err != nil {
		return err
	}
	*buf = out[:n]
	return nil
}

// indexes decodes n dictionary indexes into a buffer. There is one more element after them, a zero. They are not compared
// with the length of the dictionary: who uses them does.
func (h *held) indexes(buf *[]byte, data []byte, n int) ([]int32, error) {
	end, total, width := 0, n, 0
	if n > 0 && len(data) == 0 {
		return nil, errEnds
	}
	if n > 0 {
		if width = int(data[0]); width > 32 {
			return nil, fmt.Errorf("dictionary indexes of %d bits", width)
		}
	}
	var err error
	if width > 0 { // otherwise all are the first, and some writers leave it at that
		if end, total, err = hybridEnd(data[1:], width, n); err != nil {
			return nil, err
		}
	}
	if *buf, err = h.grow(*buf, 4*(total+1)); err != nil {
		return nil, err
	}
	out := view[int32](*buf, total+1, false)
	if width == 0 {
		clear(out)
		return out[:n], nil
	}
	decoded, err := new(rle.DictionaryEncoding).DecodeInt32(out, data[:1+end])
	if err != nil {
		return nil, err
	}
	if len(decoded) < n || &decoded[0] != &out[0] {
		return nil, errEnds
	}
	out[n] = 0
	return out[:n], nil
}
