package parquetio

import (
	"context"
	"math/bits"
	"sync"

	"github.com/flightd/flightd/internal/fault"
	"github.com/flightd/flightd/internal/lent"
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

// held is the memory that one reader has: for pages, for what it collects of nested columns, and for texts of rows that it
// gathers. A file says how large these are, so there is a bound on them: the memory that the call lends.
type held struct {
	bytes    int64
	free     int64 // bytes for which nobody is asked
	reserved int64 // bytes beyond them
	reserve  func(bytes int64) error
	release  func(bytes int64)
}

// Where nobody lends memory, every column may have what pages of the usual megabyte take, and all of them together room for
// large ones.
const (
	heldMax       = 1 << 30
	heldPerColumn = 4 << 20
	heldStep      = 1 << 20 // what is reserved at least
)

// newHeld is for a reader of so many columns at once.
func newHeld(ctx context.Context, columns int) *held {
	if m, ok := lent.From(ctx); ok {
		return &held{free: m.Free, reserve: func(n int64) error { return m.Budget.Reserve(ctx, n) }, release: m.Budget.Release}
	}
	most := heldMax + heldPerColumn*int64(columns)
	return &held{free: most, release: func(int64) {}, reserve: func(int64) error {
		return fault.New(fault.Exhausted, "the columns asked for take more than %d MiB at once; ask for fewer columns", most>>20)
	}}
}

// take counts bytes before they are allocated.
func (h *held) take(n int64) error {
	if more := h.bytes + n - h.free - h.reserved; more > 0 {
		more = max(more, heldStep)
		if err := h.reserve(more); err != nil {
			return err
		}
		h.reserved += more
	}
	h.bytes += n
	return nil
}

// give counts bytes that are not used any more. Those that are reserved stay so until close: they will be needed again.
func (h *held) give(n int64) { h.bytes -= n }

func (h *held) close() {
	h.release(h.reserved)
	h.reserved = 0
}

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
	if err := h.take(int64(size)); err != nil {
		return nil, err
	}
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
	h.give(int64(cap(buf)))
	if n := bits.Len(uint(cap(buf)-slack)) - 1; n <= mostBuffer && cap(buf) == 1<<n+slack {
		buf = buf[:cap(buf)]
		spare[n].Put(&buf)
	}
}
