package parquetio

import (
	"encoding/binary"
	"strings"
	"unicode/utf8"
)

// storedField is what matters of a field of a stored Arrow schema. Arrow's own reader refuses a schema as a whole for one
// type that it does not know, and writers are ahead of it; so the few values are picked out of the flatbuffer here.
type storedField struct {
	name       string
	kind       byte
	dictionary bool
	extension  bool
	zone       string
	unit       int // of a duration
	bits       int // of a decimal
	size       int // of a list of a fixed length
	children   []storedField
}

// Types of a field, numbered as in Arrow's Schema.fbs.
const (
	storedDecimal       = 7
	storedTimestamp     = 10
	storedList          = 12
	storedStruct        = 13
	storedFixedSizeList = 16
	storedMap           = 17
	storedDuration      = 18
	storedLargeBinary   = 19
	storedLargeUtf8     = 20
	storedLargeList     = 21
	storedListView      = 25
	storedLargeListView = 26
)

// maxStored bounds the fields of a stored schema, nested ones included: a flatbuffer can point to one table many times.
const maxStored = 1 << 16

// readStored reads an Arrow IPC message with a schema.
func readStored(message []byte) (fields []storedField, ok bool) {
	defer func() {
		if recover() != nil { // an offset out of bounds
			fields, ok = nil, false
		}
	}()
	if binary.LittleEndian.Uint32(message) == 0xFFFFFFFF {
		message = message[4:]
	}
	b := flatbuffer{data: message[4:]}
	root := b.table(0)
	if root.byte(1, 0) != 1 { // the header is not a schema
		return nil, false
	}
	fields = root.child(2).fields(1, 0)
	return fields, b.count <= maxStored && b.texts <= len(b.data)
}

// flatbuffer is a serialized tree of tables. Its methods panic where an offset leads out of it.
type flatbuffer struct {
	data  []byte
	count int // fields that were read
	texts int // bytes of texts that were read: a text, too, can be pointed to many times, and each time is a copy
}

// table is one table of a flatbuffer, or none.
type table struct {
	b  *flatbuffer
	at int
}

// table follows the offset at a position.
func (b *flatbuffer) table(pos int) table {
	return table{b, pos + int(binary.LittleEndian.Uint32(b.data[pos:]))}
}

// slot is the position of a field of the table, 0 if it is not there.
func (t table) slot(field int) int {
	if t.b == nil {
		return 0
	}
	vtable := t.at - int(int32(binary.LittleEndian.Uint32(t.b.data[t.at:])))
	if 4+2*field+2 > int(binary.LittleEndian.Uint16(t.b.data[vtable:])) {
		return 0
	}
	offset := int(binary.LittleEndian.Uint16(t.b.data[vtable+4+2*field:]))
	if offset == 0 {
		return 0
	}
	return t.at + offset
}

func (t table) child(field int) table {
	if pos := t.slot(field); pos != 0 {
		return t.b.table(pos)
	}
	return table{}
}

func (t table) byte(field int, missing byte) byte {
	if pos := t.slot(field); pos != 0 {
		return t.b.data[pos]
	}
	return missing
}

func (t table) int16(field int, missing int16) int {
	if pos := t.slot(field); pos != 0 {
		return int(int16(binary.LittleEndian.Uint16(t.b.data[pos:])))
	}
	return int(missing)
}

func (t table) int32(field int, missing int32) int {
	if pos := t.slot(field); pos != 0 {
		return int(int32(binary.LittleEndian.Uint32(t.b.data[pos:])))
	}
	return int(missing)
}

func (t table) text(field int) string {
	pos := t.slot(field)
	if pos == 0 {
		return ""
	}
	pos += int(binary.LittleEndian.Uint32(t.b.data[pos:]))
	text := t.b.data[pos+4 : pos+4+int(binary.LittleEndian.Uint32(t.b.data[pos:]))]
	if t.b.texts += len(text); t.b.texts > len(t.b.data) {
		return ""
	}
	return strings.ToValidUTF8(string(text), string(utf8.RuneError))
}

// vector is the position of the first element of a vector and its length.
func (t table) vector(field int) (pos, n int) {
	if pos = t.slot(field); pos == 0 {
		return 0, 0
	}
	pos += int(binary.LittleEndian.Uint32(t.b.data[pos:]))
	return pos + 4, int(binary.LittleEndian.Uint32(t.b.data[pos:]))
}

func (t table) fields(field, depth int) []storedField {
	pos, n := t.vector(field)
	if t.b == nil || depth > maxDepth {
		return nil
	}
	if t.b.count += n; t.b.count > maxStored {
		return nil
	}
	fields := make([]storedField, n)
	for i := range fields {
		fields[i] = t.b.table(pos + 4*i).field(depth)
	}
	return fields
}

func (t table) field(depth int) storedField {
	s := storedField{name: t.text(0), kind: t.byte(2, 0), dictionary: t.slot(4) != 0, children: t.fields(5, depth+1)}
	kind := t.child(3)
	switch s.kind {
	case storedTimestamp:
		s.zone = kind.text(1)
	case storedDuration:
		s.unit = kind.int16(0, 1)
	case storedDecimal:
		s.bits = kind.int32(2, 128)
	case storedFixedSizeList:
		s.size = kind.int32(0, 0)
	}
	pos, n := t.vector(6)
	for i := 0; i < n && t.b.count <= maxStored; i++ {
		t.b.count++
		s.extension = s.extension || t.b.table(pos+4*i).text(0) == "ARROW:extension:name"
	}
	return s
}
