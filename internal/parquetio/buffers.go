package parquetio

import (
	"math/bits"
	"sync"

	"github.com/flightd/flightd/internal/fault"
)

// slack is what every buffer of encoded values has after its end, so that decoders may look ahead and loops may load one
// value too many.
const slack = 64

// Buffers of these sizes, powers of two and the slack, are used again by later readers.
const (
	leastBuffer = 12 // 4 KiB
	mostBuffer  = 22 // 4 MiB
)

var spare [mostBuffer + 1]sync.Pool

// held is the memory that one reader has for pages. A file says how large its pages are, so there is a bound on it.
type held struct {
	columns int // that are read at once
	bytes   int64
}

// The bound leaves every column what pages of the usual megabyte take, and all of them together room for large ones.
const (
	heldMax       = 1 << 30
	heldPerColumn = 4 << 20
)

func (h *held) max() int64 { return heldMax + heldPerColumn*int64(h.columns) }

// grow returns a buffer with room for n bytes and the slack, buf itself if it is large enough. The content is lost.
func (h *held) grow(buf []byte, n int) ([]byte, error) {
	if cap(buf) >= n+slack {
		return buf[:n], nil
	}
	h.drop(buf)
	class := max(bits.Len(uint(max(n, 1)-1)), leastBuffer)
	size := n + slack
	if class <= mostBuffer {
		size = 1<<class + slack
	}
	if h.bytes+int64(size) > h.max() {
		return nil, fault.New(fault.Exhausted, "the pages of the columns asked for take more than %d MiB at once; ask for fewer columns", h.max()>>20)
	}
	h.bytes += int64(size)
	if class <= mostBuffer {
		if b, _ := spare[class].Get().(*[]byte); b != nil {
			return (*b)[:n], nil
		}
	}
	return make([]byte, n, size), nil
}

// drop gives a buffer back.
func (h *held) drop(buf []byte) {
	if cap(buf) == 0 {
		return
	}
	h.bytes -= int64(cap(buf))
	if n := bits.Len(uint(cap(buf)-slack)) - 1; n <= mostBuffer && cap(buf) == 1<<n+slack {
		buf = buf[:cap(buf)]
		spare[n].Put(&buf)
	}
}
