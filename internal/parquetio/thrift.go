package parquetio

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/parquet-go/parquet-go/encoding/thrift"
)

// errShort says that a structure goes on where the bytes at hand end.
var errShort = errors.New("the structure is cut off")

// maxThriftDepth bounds the nesting of a structure; Parquet's own go nine deep.
const maxThriftDepth = 24

// decodeThrift decodes the structure at the beginning of data into v and returns its length. v may share bytes with data.
// The library's decoder trusts the lengths of lists and recurses as deep as its input says, so the structure is walked
// first: all lengths lie inside it, and what its lists will take in memory is in proportion to the bytes they have here.
func decodeThrift(data []byte, v any, weigh func(path []int16) int64) (int, error) {
	w := walker{data: data, weigh: weigh}
	if err := w.structure(); err != nil {
		return 0, err
	}
	if w.cost > 1<<20+64*int64(w.at) {
		return 0, fmt.Errorf("%d bytes of lists of next to nothing", w.at)
	}
	var protocol thrift.CompactProtocol
	r := protocol.NewReaderFromBytes(data[:w.at])
	if err := thrift.NewDecoder(r).Decode(v); err != nil {
		return 0, err
	}
	if r.BytesRead() != w.at {
		return 0, errors.New("the structure has fields of the wrong type")
	}
	return w.at, nil
}

// walker passes over one structure in Thrift's compact protocol.
type walker struct {
	data  []byte
	at    int
	path  []int16 // field ids from the outermost structure to where the walker is
	cost  int64   // estimate of the memory that lists will take
	weigh func(path []int16) int64
}

func (w *walker) structure() error {
	if len(w.path) >= maxThriftDepth {
		return fmt.Errorf("a structure nested more than %d deep", maxThriftDepth)
	}
	w.path = append(w.path, 0)
	defer func() { w.path = w.path[:len(w.path)-1] }()
	for {
		head, err := w.byte()
		if err != nil || head == 0 {
			return err
		}
		id := &w.path[len(w.path)-1]
		if delta := head >> 4; delta != 0 {
			*id += int16(delta)
		} else {
			v, err := w.uvarint()
			if err != nil {
				return err
			}
			*id = int16(v>>1) ^ -int16(v&1)
		}
		if kind := thrift.Type(head & 0xf); kind != thrift.TRUE && kind != thrift.FALSE { // the value of a boolean field is its type
			if err := w.value(kind); err != nil {
				return err
			}
		}
	}
}

func (w *walker) value(kind thrift.Type) error {
	switch kind {
	case thrift.TRUE, thrift.FALSE, thrift.I8:
		return w.skip(1)
	case thrift.I16, thrift.I32, thrift.I64:
		_, err := w.uvarint()
		return err
	case thrift.DOUBLE:
		return w.skip(8)
	case thrift.BINARY:
		n, err := w.uvarint()
		if err != nil {
			return err
		}
		return w.skip(n)
	case thrift.LIST, thrift.SET:
		return w.list()
	case thrift.STRUCT:
		return w.structure()
	}
	return fmt.Errorf("a field of the unknown type %d", kind)
}

func (w *walker) list() error {
	head, err := w.byte()
	if err != nil {
		return err
	}
	n := uint64(head >> 4)
	if n == 15 {
		if n, err = w.uvarint(); err != nil {
			return err
		}
	}
	if n > uint64(len(w.data)-w.at) { // an element has at least one byte
		return errShort
	}
	w.cost += int64(n) * w.weigh(w.path)
	w.path = append(w.path, 0)
	defer func() { w.path = w.path[:len(w.path)-1] }()
	if len(w.path) >= maxThriftDepth {
		return fmt.Errorf("lists nested more than %d deep", maxThriftDepth)
	}
	for range n {
		if err := w.value(thrift.Type(head & 0xf)); err != nil {
			return err
		}
	}
	return nil
}

func (w *walker) byte() (byte, error) {
	if w.at == len(w.data) {
		return 0, errShort
	}
	w.at++
	return w.data[w.at-1], nil
}

func (w *walker) skip(n uint64) error {
	if n > uint64(len(w.data)-w.at) {
		return errShort
	}
	w.at += int(n)
	return nil
}

func (w *walker) uvarint() (uint64, error) {
	v, n := binary.Uvarint(w.data[w.at:])
	switch {
	case n == 0:
		return 0, errShort
	case n < 0:
		return 0, errors.New("an integer of more than 64 bits")
	}
	w.at += n
	return v, nil
}
