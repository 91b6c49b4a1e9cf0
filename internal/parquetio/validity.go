package parquetio

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/apache/arrow/go/v15/arrow/bitutil"
	"github.com/apache/arrow/go/v15/arrow/memory"
)

// validity is the null bitmap of a column under construction. It comes into being with the first null.
type validity struct {
	bits  []byte
	rows  int
	nulls int
}

// valid adds slots with values.
func (v *validity) valid(n int) {
	if v.nulls > 0 {
		v.room(n)
		bitutil.SetBitsTo(v.bits, int64(v.rows), int64(n), true)
	}
	v.rows += n
}

// null adds one null.
func (v *validity) null() {
	v.begin()
	v.room(1)
	bitutil.ClearBit(v.bits, v.rows)
	v.rows++
	v.nulls++
}

// mark adds slots, each with a value where some is 1.
func (v *validity) mark(some []byte) {
	nulls := len(some) - bytes.Count(some, ones)
	if nulls == 0 {
		v.valid(len(some))
		return
	}
	v.begin()
	v.room(len(some))
	packBits(v.bits, v.rows, some)
	v.rows += len(some)
	v.nulls += nulls
}

// begin makes the bitmap of the slots so far before the first null.
func (v *validity) begin() {
	if v.nulls == 0 {
		v.bits = v.bits[:0]
		rows := v.rows
		v.rows = 0
		v.room(rows)
		bitutil.SetBitsTo(v.bits, 0, int64(rows), true)
		v.rows = rows
	}
}

// room makes the bitmap long enough for n more slots.
func (v *validity) room(n int) {
	if need := (v.rows + n + 7) / 8; need > len(v.bits) {
		had := len(v.bits)
		v.bits = slices.Grow(v.bits, need-had)[:need]
		clear(v.bits[had:])
	}
}

// take returns the bitmap, nil if there is no null, and starts anew.
func (v *validity) take(reuse bool) (bits *memory.Buffer, rows, nulls int) {
	rows, nulls = v.rows, v.nulls
	if nulls > 0 {
		bits = memory.NewBufferBytes(v.bits)
	}
	spare := v.bits[:0:0]
	if reuse {
		spare = v.bits[:0]
	}
	*v = validity{bits: spare}
	return bits, rows, nulls
}

// packBits sets the bits from at on to bytes that are 0 or 1.
func packBits(bits []byte, at int, from []byte) {
	for len(from) > 0 && at%8 != 0 {
		bitutil.SetBitTo(bits, at, from[0] == 1)
		at, from = at+1, from[1:]
	}
	for ; len(from) >= 8; at, from = at+8, from[8:] {
		bits[at/8] = byte(binary.LittleEndian.Uint64(from) * 0x0102040810204080 >> 56) // gathers the lowest bit of each byte
	}
	for i, b := range from {
		bitutil.SetBitTo(bits, at+i, b == 1)
	}
}
