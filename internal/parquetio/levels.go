package parquetio

import "encoding/binary"

// appendLevels encodes definition or repetition levels of a width in bits, as the hybrid of runs and bit-packed groups of
// eight that the format calls RLE, without a length in front. Levels need at most eight bits.
func appendLevels(dst, levels []byte, width int) []byte {
	for i := 0; i < len(levels); {
		if run := runLength(levels[i:]); run >= 8 {
			dst = binary.AppendUvarint(dst, uint64(run)<<1)
			dst = append(dst, levels[i])
			i += run
			continue
		}
		end := i + 8
		for end < len(levels) && runLength(levels[end:]) < 8 {
			end += 8
		}
		dst = appendPacked(dst, levels[i:min(end, len(levels))], width)
		i = end
	}
	return dst
}

// runLength is the number of equal levels at the beginning.
func runLength(levels []byte) int {
	n := 1
	for n < len(levels) && levels[n] == levels[0] {
		n++
	}
	return n
}

// appendPacked writes groups of eight, the last one filled up with zeros.
func appendPacked(dst, levels []byte, width int) []byte {
	groups := (len(levels) + 7) / 8
	dst = binary.AppendUvarint(dst, uint64(groups)<<1|1)
	for g := range groups {
		var bits uint64
		for i, level := range levels[g*8 : min(g*8+8, len(levels))] {
			bits |= uint64(level) << (i * width)
		}
		for range width {
			dst = append(dst, byte(bits))
			bits >>= 8
		}
	}
	return dst
}
