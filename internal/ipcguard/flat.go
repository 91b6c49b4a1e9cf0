package ipcguard

import (
	"encoding/binary"
	"fmt"
	"unicode/utf8"

	"github.com/flightd/flightd/internal/fault"
)

// Bounds on the metadata of one message. Each is far above what a table of entity rows needs.
const (
	maxMetadata = 1 << 20         // bytes of metadata
	maxWalked   = 4 * maxMetadata // bytes of vectors and strings looked at: a flatbuffer may refer to a string many times
	maxFields   = 10_000          // fields of a schema, nested ones included
	maxNesting  = 32              // fields within fields
)

// flat is a flatbuffer in which no offset is believed. What does not lie inside the bytes reads as zero and sets err, so
// a caller reads what it needs and asks for err before it acts upon it. After an error every vector is empty: loops end.
type flat struct {
	buf    []byte
	walked int
	err    error
}

// table is a flatbuffer table; the zero table has no fields.
type table struct {
	f       *flat
	pos     int
	vtable  int
	entries int // slots in the vtable
}

func (f *flat) fail(kind fault.Kind, format string, args ...any) {
	if f.err == nil {
		f.err = fault.New(kind, "the metadata is not valid: "+format, args...)
	}
}

// at returns n bytes at pos, nil if they are not there.
func (f *flat) at(pos, n int) []byte {
	if f.err != nil || pos < 0 || n < 0 || pos > len(f.buf)-n {
		f.fail(fault.Invalid, "an offset points outside its %d bytes", len(f.buf))
		return nil
	}
	return f.buf[pos : pos+n]
}

func (f *flat) u16(pos int) int {
	if b := f.at(pos, 2); b != nil {
		return int(binary.LittleEndian.Uint16(b))
	}
	return 0
}

func (f *flat) u32(pos int) int {
	if b := f.at(pos, 4); b != nil {
		return int(binary.LittleEndian.Uint32(b))
	}
	return 0
}

func (f *flat) i64(pos int) int64 {
	if b := f.at(pos, 8); b != nil {
		return int64(binary.LittleEndian.Uint64(b))
	}
	return 0
}

// follow reads the offset at pos and returns the place it points to.
func (f *flat) follow(pos int) int { return pos + f.u32(pos) }

func (f *flat) walk(n int) {
	if f.walked += n; f.walked > maxWalked {
		f.fail(fault.Exhausted, "its strings and vectors take more than %d MiB", maxWalked>>20)
	}
}

func (f *flat) table(pos int) table {
	vtable := pos - int(int32(f.u32(pos)))
	size := f.u16(vtable)
	if f.at(vtable, size) == nil || size < 4 {
		f.fail(fault.Invalid, "a table has no layout")
		return table{f: f}
	}
	return table{f: f, pos: pos, vtable: vtable, entries: size/2 - 2}
}

// field returns where the value of a slot is, 0 if it is absent and so has its default.
func (t table) field(slot int) int {
	if slot >= t.entries || t.f.err != nil {
		return 0
	}
	if offset := t.f.u16(t.vtable + 4 + 2*slot); offset != 0 {
		return t.pos + offset
	}
	return 0
}

func (t table) u8(slot int) int {
	if pos := t.field(slot); pos != 0 {
		if b := t.f.at(pos, 1); b != nil {
			return int(b[0])
		}
	}
	return 0
}

func (t table) bool(slot int) bool { return t.u8(slot) != 0 }

func (t table) i16(slot, absent int) int {
	if pos := t.field(slot); pos != 0 {
		return int(int16(t.f.u16(pos)))
	}
	return absent
}

func (t table) i32(slot, absent int) int {
	if pos := t.field(slot); pos != 0 {
		return int(int32(t.f.u32(pos)))
	}
	return absent
}

func (t table) i64(slot int) int64 {
	if pos := t.field(slot); pos != 0 {
		return t.f.i64(pos)
	}
	return 0
}

// sub returns the table in a slot; ok is false if it is absent.
func (t table) sub(slot int) (sub table, ok bool) {
	pos := t.field(slot)
	if pos == 0 {
		return table{f: t.f}, false
	}
	sub = t.f.table(t.f.follow(pos))
	return sub, t.f.err == nil
}

// vector returns the bytes of a vector whose elements are size bytes wide.
func (t table) vector(slot, size int) []byte {
	pos := t.field(slot)
	if pos == 0 {
		return nil
	}
	pos = t.f.follow(pos)
	n := t.f.u32(pos)
	if n > len(t.f.buf)/size {
		t.f.fail(fault.Invalid, "a vector of %d elements does not fit into its %d bytes", n, len(t.f.buf))
		return nil
	}
	t.f.walk(n * size)
	return t.f.at(pos+4, n*size)
}

// tables returns the elements of a vector of tables.
func (t table) tables(slot int) []table {
	pos := t.field(slot)
	if pos == 0 {
		return nil
	}
	first := t.f.follow(pos) + 4
	n := len(t.vector(slot, 4)) / 4
	t.f.walk(12 * n) // a table takes at least these; it too may be referred to many times
	var all []table
	for i := range n {
		if t.f.err != nil {
			return nil
		}
		all = append(all, t.f.table(t.f.follow(first+4*i)))
	}
	return all
}

func (t table) bytes(slot int) string { return string(t.vector(slot, 1)) }

// text is a string that must be UTF-8: a name that ends up in messages, logs and JSON.
func (t table) text(slot int) string {
	s := t.bytes(slot)
	if !utf8.ValidString(s) {
		t.f.fail(fault.Invalid, "the name %.40q is not UTF-8", s)
	}
	return s
}

// Kinds of messages, as the format numbers them.
const (
	kindSchema       = 1
	kindDictionary   = 2
	kindRecordBatch  = 3
	kindTensor       = 4
	kindSparseTensor = 5
)

// message is the envelope of a message's metadata.
type message struct {
	version int // 3: V4, 4: V5
	kind    int
	header  table
	body    int64 // bytes the body is said to have
}

// parseMessage reads the envelope. What is inside header is still unread.
func parseMessage(metadata []byte) (message, error) {
	if len(metadata) > maxMetadata {
		return message{}, fault.New(fault.Exhausted, "the metadata has %d bytes, at most %d are read", len(metadata), maxMetadata)
	}
	f := &flat{buf: metadata}
	root := f.table(f.follow(0))
	m := message{version: root.i16(0, 0), kind: root.u8(1), body: root.i64(3)}
	m.header, _ = root.sub(2)
	switch {
	case f.err != nil:
		return message{}, f.err
	case m.kind == kindTensor || m.kind == kindSparseTensor:
		return message{}, fault.New(fault.Unimplemented, "tensor messages cannot be read; send a table")
	case m.kind < kindSchema || m.kind > kindSparseTensor || m.header.pos == 0:
		return message{}, fault.New(fault.Invalid, "the metadata is not valid: it holds no schema, dictionary or record batch")
	case m.version != 3 && m.version != 4:
		return message{}, fault.New(fault.Unimplemented, "%s cannot be read; metadata V4 and V5 can", versionName(m.version))
	case m.body < 0:
		return message{}, fault.New(fault.Invalid, "the metadata is not valid: a body of %d bytes", m.body)
	}
	return m, nil
}

func versionName(v int) string {
	if v >= 0 && v < 16 {
		return fmt.Sprintf("metadata V%d", v+1)
	}
	return "metadata of an unknown version"
}
