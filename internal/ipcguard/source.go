package ipcguard

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"

	"github.com/flightd/flightd/internal/fault"
)

// magic begins and ends an Arrow IPC file; a stream has none.
const magic = "ARROW1"

// Bytes is a source of the IPC stream that stands in memory. Records refer to it.
func Bytes(stream []byte) Source {
	return &encapsulated{
		take: func(n int64) ([]byte, error) {
			got := stream[:min(n, int64(len(stream)))]
			stream = stream[len(got):]
			return short(got, n)
		},
		left: func() int64 { return int64(len(stream)) },
	}
}

// Stream is a source of an IPC stream that is read as it comes.
func Stream(r io.Reader) Source {
	return &encapsulated{take: func(n int64) ([]byte, error) {
		got, err := readUpTo(r, n)
		if err != nil {
			return nil, err
		}
		return short(got, n)
	}}
}

// Open is a source of an IPC stream or file, told apart by their first bytes. A file needs an r that can seek, as
// *os.File does: its batches end where its footer begins. The footer's own list of batches is not needed.
func Open(r io.Reader) (Source, error) {
	head, err := readUpTo(r, int64(len(magic)))
	if err != nil {
		return nil, err
	}
	if string(head) != magic {
		return Stream(io.MultiReader(bytes.NewReader(head), r)), nil
	}
	file, ok := r.(io.ReadSeeker)
	if !ok {
		return nil, fault.New(fault.Unimplemented, "an Arrow IPC file cannot be read from a pipe; name the file, or pipe an Arrow IPC stream")
	}
	end, err := footer(file)
	if err != nil {
		return nil, err
	}
	if _, err := file.Seek(8, io.SeekStart); err != nil {
		return nil, err
	}
	return Stream(io.LimitReader(file, end-8)), nil
}

// footer returns where the footer of an IPC file begins.
func footer(file io.ReadSeeker) (int64, error) {
	var tail [4 + len(magic)]byte
	at, err := file.Seek(-int64(len(tail)), io.SeekEnd)
	if err != nil {
		return 0, fault.New(fault.Invalid, "the Arrow IPC file is cut off: it has no footer")
	}
	if _, err := io.ReadFull(file, tail[:]); err != nil {
		return 0, err
	}
	begin := at - int64(binary.LittleEndian.Uint32(tail[:]))
	if string(tail[4:]) != magic || begin < 8 {
		return 0, fault.New(fault.Invalid, "the Arrow IPC file is cut off: it has no footer")
	}
	return begin, nil
}

// encapsulated splits a stream into messages.
type encapsulated struct {
	take func(n int64) ([]byte, error) // the next n bytes; io.EOF if there are none, io.ErrUnexpectedEOF if fewer
	left func() int64                  // bytes that are still to come; nil: nobody knows
	n    int
	done bool
}

// Next reads the length, the metadata, and the body whose length the metadata gives. A stream may end with a length of
// zero, or just end.
func (e *encapsulated) Next() (metadata, body []byte, err error) {
	size, err := e.length()
	if err == io.EOF || err == nil && size == 0 {
		e.done = true
	}
	if e.done {
		return nil, nil, io.EOF
	}
	e.n++
	if err != nil {
		return nil, nil, e.cut(err)
	}
	switch {
	case e.left != nil && size > e.left():
		return nil, nil, e.cut(io.ErrUnexpectedEOF)
	case size > maxMetadata:
		return nil, nil, fault.New(fault.Exhausted, "Arrow message %d: its metadata has %d bytes, at most %d are read; is this Arrow IPC?", e.n, size, maxMetadata)
	}
	if metadata, err = e.take(size); err != nil {
		return nil, nil, e.cut(err)
	}
	m, err := parseMessage(metadata)
	if err != nil {
		return nil, nil, fault.New(fault.KindOf(err), "Arrow message %d: %w", e.n, err)
	}
	if m.body > 0 {
		if body, err = e.take(m.body); err != nil {
			return nil, nil, e.cut(err)
		}
	}
	return metadata, body, nil
}

// length reads what stands before a message: a mark, missing before Arrow 0.15, and the length of the metadata.
func (e *encapsulated) length() (int64, error) {
	if e.done {
		return 0, nil
	}
	const mark = 0xFFFFFFFF
	b, err := e.take(4)
	if err != nil {
		return 0, err
	}
	if n := binary.LittleEndian.Uint32(b); n != mark {
		return int64(n), nil
	}
	if b, err = e.take(4); err != nil {
		return 0, errors.Join(io.ErrUnexpectedEOF, err)
	}
	return int64(binary.LittleEndian.Uint32(b)), nil
}

func (e *encapsulated) cut(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fault.New(fault.Invalid, "Arrow message %d: the stream ends in the middle of it; is this an Arrow IPC stream?", e.n)
	}
	return err
}

func short(got []byte, n int64) ([]byte, error) {
	switch {
	case int64(len(got)) == n:
		return got[:n:n], nil
	case len(got) == 0:
		return nil, io.EOF
	}
	return nil, io.ErrUnexpectedEOF
}

// readUpTo reads n bytes, or fewer at the end of r. Memory grows with what really comes, not with n.
func readUpTo(r io.Reader, n int64) ([]byte, error) {
	buf := aligned(int(min(n, 1<<20)))[:0]
	for int64(len(buf)) < n {
		if len(buf) == cap(buf) {
			buf = append(aligned(int(min(n, 2*int64(len(buf)))))[:0], buf...)
		}
		got, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+got]
		if err == io.EOF {
			return buf, nil
		}
		if err != nil {
			return nil, err
		}
	}
	return buf, nil
}
