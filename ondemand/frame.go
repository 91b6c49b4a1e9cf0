package ondemand

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

const (
	magic      = "FDOD"
	prefixSize = len(magic) + 4 + 8
	maxHeader  = 1 << 20
)

// errGarbage is the class of errors for which the other side is to blame: what came is not what the protocol says.
var errGarbage = errors.New("broken protocol")

// writeFrame sends a header and the parts of a body.
func writeFrame(w io.Writer, header any, body ...[]byte) error {
	text, err := json.Marshal(header)
	if err != nil {
		return err
	}
	if len(text) > maxHeader {
		return fmt.Errorf("a header of %d bytes, at most %d are sent", len(text), maxHeader)
	}
	size := 0
	for _, part := range body {
		size += len(part)
	}
	prefix := binary.LittleEndian.AppendUint32([]byte(magic), uint32(len(text)))
	prefix = binary.LittleEndian.AppendUint64(prefix, uint64(size))
	for _, part := range append([][]byte{append(prefix, text...)}, body...) {
		if _, err := w.Write(part); err != nil {
			return err
		}
	}
	return nil
}

// readFrame reads a frame whose body has at most maxBody bytes. It returns io.EOF if nothing came.
func readFrame(r io.Reader, maxBody int64, header any) (body []byte, err error) {
	var prefix [prefixSize]byte
	if n, err := io.ReadFull(r, prefix[:]); err != nil {
		if n > 0 && string(prefix[:min(n, len(magic))]) != magic[:min(n, len(magic))] {
			return nil, fmt.Errorf("%w: it begins with %q", errGarbage, prefix[:n])
		}
		return nil, err
	}
	if string(prefix[:len(magic)]) != magic {
		return nil, fmt.Errorf("%w: it begins with %q", errGarbage, prefix)
	}
	textSize, bodySize := binary.LittleEndian.Uint32(prefix[4:]), binary.LittleEndian.Uint64(prefix[8:])
	if textSize > maxHeader || bodySize > uint64(maxBody) {
		return nil, fmt.Errorf("%w: a header of %d bytes and a body of %d, at most %d and %d are read", errGarbage, textSize, bodySize, maxHeader, maxBody)
	}
	text, err := readExactly(r, int(textSize))
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, header); err != nil {
		return nil, fmt.Errorf("%w: %v", errGarbage, err)
	}
	return readExactly(r, int(bodySize))
}

// readExactly reads n bytes. Memory grows with what really comes, not with n.
func readExactly(r io.Reader, n int) ([]byte, error) {
	buf := make([]byte, 0, min(n, 1<<20))
	for len(buf) < n {
		if len(buf) == cap(buf) {
			buf = append(make([]byte, 0, min(n, 2*len(buf))), buf...)
		}
		got, err := io.ReadFull(r, buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+got]
		if err != nil {
			return nil, errors.Join(io.ErrUnexpectedEOF, err)
		}
	}
	return buf, nil
}
