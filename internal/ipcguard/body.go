package ipcguard

import (
	"bytes"
	"encoding/binary"
	"io"
	"sync"
	"unsafe"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"github.com/flightd/flightd/internal/fault"
)

// Compressed buffers may claim this many times their bytes, or a size that no bomb is made of: a constant column
// compresses a thousand times and more.
const (
	maxRatio   = 1000
	freeClaims = 16 << 20
)

// body is the second half of a dictionary or record batch: its buffers, taken one by one in the order of the schema.
type body struct {
	data    []byte
	layout  []byte // pairs of offset and length
	codec   int    // -1: not compressed
	next    int    // index of the next buffer
	claimed int64  // bytes of all buffers when decompressed
}

const (
	codecNone = -1
	codecLZ4  = 0
	codecZSTD = 1
)

// newBody checks where the buffers lie, before one of them is looked at: inside the body, 8-aligned, in order and without
// overlap. Every writer lays them out so, and it keeps the work proportional to the bytes that came.
func newBody(batch table, data []byte) (*body, error) {
	b := &body{data: data, layout: batch.vector(2, 16), codec: codecNone}
	if compression, ok := batch.sub(3); ok {
		b.codec = compression.u8(0)
		if method := compression.u8(1); b.codec > codecZSTD || method != 0 {
			return nil, fault.New(fault.Unimplemented, "body compression %d.%d is not known; use lz4, zstd or none", b.codec, method)
		}
	}
	end := int64(0)
	for i := range len(b.layout) / 16 {
		offset, length := b.place(i)
		switch {
		case offset < 0 || length < 0 || length > int64(len(data)) || offset > int64(len(data))-length:
			return nil, fault.New(fault.Invalid, "buffer %d lies outside the body of %d bytes", i, len(data))
		case length == 0:
			continue
		case offset%8 != 0:
			return nil, fault.New(fault.Invalid, "buffer %d begins at byte %d, not at a multiple of 8", i, offset)
		case offset < end:
			return nil, fault.New(fault.Invalid, "buffer %d overlaps with the one before", i)
		}
		end = offset + length
		claim, err := b.claim(i, data[offset:end])
		if err != nil {
			return nil, err
		}
		if b.claimed += claim; b.claimed < 0 {
			return nil, fault.New(fault.Exhausted, "the buffers claim more bytes than can be counted")
		}
	}
	return b, nil
}

func (b *body) place(i int) (offset, length int64) {
	return int64(binary.LittleEndian.Uint64(b.layout[16*i:])), int64(binary.LittleEndian.Uint64(b.layout[16*i+8:]))
}

// claim is how many bytes a buffer says it has. A compressed one begins with that number, -1 if it is not compressed.
func (b *body) claim(i int, raw []byte) (int64, error) {
	if b.codec == codecNone {
		return int64(len(raw)), nil
	}
	if len(raw) < 8 {
		return 0, fault.New(fault.Invalid, "compressed buffer %d has %d bytes, too few for its length", i, len(raw))
	}
	claim, compressed := int64(binary.LittleEndian.Uint64(raw)), int64(len(raw)-8)
	switch {
	case claim == -1:
		return compressed, nil
	case claim < 0:
		return 0, fault.New(fault.Invalid, "compressed buffer %d claims %d bytes", i, claim)
	case claim > freeClaims && claim > maxRatio*compressed:
		return 0, fault.New(fault.Exhausted, "buffer %d claims %d bytes from %d compressed ones, more than %d times as many; "+
			"send smaller batches, or without compression", i, claim, compressed, maxRatio)
	}
	return claim, nil
}

// take returns the next buffer, decompressed.
func (b *body) take() ([]byte, error) {
	if 16*(b.next+1) > len(b.layout) {
		return nil, fault.New(fault.Invalid, "the batch has %d buffers, its schema needs more", len(b.layout)/16)
	}
	offset, length := b.place(b.next)
	b.next++
	if length == 0 {
		return nil, nil
	}
	raw := b.data[offset : offset+length : offset+length]
	if b.codec == codecNone {
		return raw, nil
	}
	claim, compressed := int64(binary.LittleEndian.Uint64(raw)), raw[8:]
	if claim == -1 {
		return compressed, nil
	}
	out, err := decompress(b.codec, compressed, int(claim))
	if err != nil {
		return nil, &fault.Error{Kind: fault.Invalid, Err: conceal(err, "buffer %d cannot be decompressed to the %d bytes it claims", b.next-1, claim)}
	}
	return out, nil
}

// skip passes over a buffer that is not needed.
func (b *body) skip() error {
	if b.next++; 16*b.next > len(b.layout) {
		return fault.New(fault.Invalid, "the batch has %d buffers, its schema needs more", len(b.layout)/16)
	}
	return nil
}

// unzip decodes whole buffers in the caller's goroutine and never writes beyond the room it is given.
var unzip = sync.OnceValues(func() (*zstd.Decoder, error) {
	return zstd.NewReader(nil, zstd.WithDecodeAllCapLimit(true), zstd.WithDecoderMaxMemory(1<<40))
})

// decompress fills exactly n bytes, or fails.
func decompress(codec int, src []byte, n int) ([]byte, error) {
	out := aligned(n)
	if codec == codecZSTD {
		d, err := unzip()
		if err != nil {
			return nil, err
		}
		got, err := d.DecodeAll(src, out[:0:n])
		if err == nil && len(got) != n {
			err = io.ErrUnexpectedEOF
		}
		return out, err
	}
	r := lz4.NewReader(bytes.NewReader(src))
	if _, err := io.ReadFull(r, out); err != nil {
		return nil, err
	}
	if _, err := io.ReadFull(r, make([]byte, 1)); err != io.EOF {
		return nil, io.ErrShortBuffer
	}
	return out, nil
}

// aligned returns n zero bytes that begin at a multiple of 8: small allocations need not.
func aligned(n int) []byte { return make([]byte, n, (n+15)&^15)[:n:n] }

// isAligned reports whether values of 8 bytes may be read in place.
func isAligned(b []byte) bool { return uintptr(unsafe.Pointer(unsafe.SliceData(b)))%8 == 0 }
