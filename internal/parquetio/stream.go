package parquetio

import (
	"errors"
	"fmt"
	"io"

	"github.com/flightd/flightd/internal/fault"
)

// Bounds on what a page header may ask for.
const (
	pageMax   = 256 << 20 // bytes of a page, compressed or not, and levels in it
	headerMax = 16 << 20  // bytes of a header; it may hold the page's least and greatest value
)

// stream reads the bytes of a column chunk from the file, in few large reads.
type stream struct {
	from     io.ReaderAt
	held     *held
	buf      []byte // its capacity counts, not its length
	lo, hi   int    // what has been read and not consumed
	at, end  int64  // offsets in the file: of what comes after buf[:hi], and of the chunk's end
	readMore int    // what to read ahead beyond what is asked for
	window   window // buf, if that is mapped
}

// peek returns the next n bytes, and whatever has been read after them, without consuming them.
func (s *stream) peek(n int) ([]byte, error) {
	if s.hi-s.lo >= n {
		return s.buf[s.lo:s.hi], nil
	}
	missing := n - (s.hi - s.lo)
	if int64(missing) > s.end-s.at {
		return nil, errors.New("the column chunk ends in the middle of a page")
	}
	if s.window.mapper != nil {
		return s.peekMapped(n)
	}
	more := int(min(s.end-s.at, int64(missing+s.readMore)))
	if s.lo+(s.hi-s.lo)+more+slack > cap(s.buf) {
		if err := s.makeRoom(s.hi - s.lo + more); err != nil {
			return nil, err
		}
	}
	s.buf = s.buf[:s.hi+more]
	if err := readFull(s.from, s.buf[s.hi:], s.at); err != nil {
		return nil, err
	}
	s.hi, s.at = s.hi+more, s.at+int64(more)
	return s.buf[s.lo:s.hi], nil
}

// peekMapped is peek where the file is mapped.
func (s *stream) peekMapped(n int) ([]byte, error) {
	off := s.offset()
	data, ok := s.window.move(off, int(min(s.end-off, int64(max(n, windowBytes)))))
	s.buf, s.lo, s.hi, s.at = data, 0, len(data), off+int64(len(data))
	if !ok {
		return s.peek(n)
	}
	return s.buf, nil
}

// makeRoom moves what is left to the beginning of a buffer for n bytes.
func (s *stream) makeRoom(n int) error {
	left := s.hi - s.lo
	if cap(s.buf) >= n+slack {
		copy(s.buf[:left], s.buf[s.lo:s.hi])
	} else {
		larger, err := s.held.grow(nil, n)
		if err != nil {
			return err
		}
		copy(larger, s.buf[s.lo:s.hi])
		s.held.drop(s.buf)
		s.buf = larger
	}
	s.lo, s.hi = 0, left
	return nil
}

// skip consumes n bytes, read or not.
func (s *stream) skip(n int) {
	if ahead := n - (s.hi - s.lo); ahead > 0 {
		s.lo, s.hi = 0, 0
		s.at += int64(ahead)
		return
	}
	s.lo += n
}

// seek goes to an offset of the file.
func (s *stream) seek(off int64) {
	if have := s.at - int64(s.hi-s.lo); off >= have && off <= s.at {
		s.lo += int(off - have)
		return
	}
	s.lo, s.hi, s.at = 0, 0, off
}

// offset is where in the file the next byte is.
func (s *stream) offset() int64 { return s.at - int64(s.hi-s.lo) }

func (s *stream) close() {
	if s.window.release == nil {
		s.held.drop(s.buf)
	}
	s.window.close()
	s.buf = nil
}

// header reads the next page header.
func (s *stream) header() (*pageHeader, error) {
	want := 64
	for {
		data, err := s.peek(int(min(int64(want), s.end-s.offset())))
		if err != nil {
			return nil, err
		}
		h := new(pageHeader)
		n, err := decodeThrift(data[:min(len(data), headerMax)], h, func([]int16) int64 { return 32 })
		if errors.Is(err, errShort) && len(data) < headerMax && int64(len(data)) < s.end-s.offset() {
			want = max(4*want, 2*len(data))
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("a page header: %w", err)
		}
		s.skip(n)
		return h, s.checkHeader(h)
	}
}

func (s *stream) checkHeader(h *pageHeader) error {
	switch {
	case h.CompressedPageSize < 0 || int64(h.CompressedPageSize) > s.end-s.offset():
		return fmt.Errorf("a page of %d bytes where the column chunk has %d left", h.CompressedPageSize, s.end-s.offset())
	case h.UncompressedPageSize < 0:
		return fmt.Errorf("a page of %d bytes", h.UncompressedPageSize)
	case h.UncompressedPageSize > pageMax || h.CompressedPageSize > pageMax:
		return fault.New(fault.Unimplemented, "a page of %d bytes; more than %d MiB cannot be read: write smaller pages", h.UncompressedPageSize, pageMax>>20)
	}
	return nil
}
