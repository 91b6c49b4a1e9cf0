package parquetio

import (
	"encoding/binary"
	"fmt"

	"github.com/parquet-go/parquet-go/encoding/delta"
)

// deltaEnd walks one DELTA_BINARY_PACKED sequence of at most n values of a width in bits and returns how many it has and
// where it ends. The blocks of a sequence are cut into miniblocks with a width of their own each.
func deltaEnd(data []byte, width, n int) (count, end int, err error) {
	var head [3]uint64 // values in a block, miniblocks in a block, values
	at := 0
	for i := range head {
		v, size := binary.Uvarint(data[at:])
		if size <= 0 {
			return 0, 0, errEnds
		}
		head[i], at = v, at+size
	}
	if _, size := binary.Varint(data[at:]); size <= 0 {
		return 0, 0, errEnds
	} else {
		at += size
	}
	block, minis := head[0], head[1]
	if block == 0 || block%128 != 0 || block > 1<<16 || minis == 0 || minis > block || block%minis != 0 || block/minis%32 != 0 {
		return 0, 0, fmt.Errorf("blocks of %d deltas in %d parts", block, minis)
	}
	if head[2] > uint64(n) {
		return 0, 0, fmt.Errorf("%d deltas in a page of %d values", head[2], n)
	}
	count = int(head[2])
	for left := count - 1; left > 0; {
		_, size := binary.Varint(data[at:])
		if size <= 0 {
			return 0, 0, errEnds
		}
		at += size
		widths := data[at:]
		if at += int(minis); at > len(data) {
			return 0, 0, errEnds
		}
		perMini := int(block / minis)
		for i := 0; i < int(minis) && left > 0; i++ {
			bits := int(widths[i])
			if bits > width {
				return 0, 0, fmt.Errorf("deltas of %d bits in values of %d", bits, width)
			}
			size := bits * perMini / 8
			if here := len(data) - at; here < size { // the last may lack what no value needs
				if here < (min(left, perMini)*bits+7)/8 {
					return 0, 0, errEnds
				}
				size = here
			}
			at += size
			left -= perMini
		}
	}
	return count, at, nil
}

// deltaLengths decodes the sequence of lengths at the beginning of data, which must be n, none of them negative, and
// returns them, their sum and what comes after them.
func deltaLengths(dst []int32, data []byte, n int) (lengths []int32, sum int64, rest []byte, err error) {
	count, end, err := deltaEnd(data, 32, n)
	if err != nil {
		return nil, 0, nil, err
	}
	if count != n {
		return nil, 0, nil, errEnds
	}
	lengths, err = new(delta.BinaryPackedEncoding).DecodeInt32(dst[:0], data[:end])
	if err != nil {
		return nil, 0, nil, err
	}
	for _, v := range lengths {
		if v < 0 {
			return nil, 0, nil, fmt.Errorf("a length of %d", v)
		}
		sum += int64(v)
	}
	return lengths, sum, data[end:], nil
}
