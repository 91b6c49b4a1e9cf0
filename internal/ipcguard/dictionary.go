package ipcguard

import (
	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/flightd/flightd/internal/fault"
)

// Putting the parts of a dictionary together copies all of it, for every batch that follows a delta. What is copied in
// all may be this many times what came, after a start that is free: else small deltas cost quadratic work.
const (
	deltaWork  = 64
	deltaStart = 64 << 20
)

// dictionary holds the values that dictionary-encoded columns refer to. It is decoded when it comes: one that refers to
// another comes after it. A batch keeps the values as they were when it came.
type dictionary struct {
	id     int64
	values *field
	parts  []*array.Data // the first, and its deltas
	held   int64         // bytes reserved for parts
}

// addDictionary takes a dictionary message in: the first of its id, one that replaces it, or a delta.
func (r *Reader) addDictionary(m message, data []byte) error {
	id, isDelta := m.header.i64(0), m.header.bool(2)
	t, ok := m.header.sub(1)
	if m.header.f.err != nil {
		return m.header.f.err
	}
	d := r.dicts[id]
	if !ok || d == nil {
		return fault.New(fault.Invalid, "dictionary %d has no values, or no column refers to it", id)
	}
	before := r.lent
	b, err := r.newBatch(m, t, data)
	if err != nil {
		return err
	}
	part, err := b.load(d.values, whole)
	if err != nil {
		return err
	}
	if err := b.finish(); err != nil {
		return err
	}
	if int64(part.Len()) != b.rows {
		return fault.New(fault.Invalid, "dictionary %d has %d values and says %d", id, part.Len(), b.rows)
	}
	own := r.lent - before + int64(len(data))
	if !isDelta {
		r.drop(d)
	} else if err := d.takesDelta(); err != nil {
		return err
	}
	d.parts = append(d.parts, part)
	r.hold(d, own)
	return nil
}

// drop forgets the values of a dictionary. Records that were yielded may still refer to them.
func (r *Reader) drop(d *dictionary) {
	r.lent += d.held
	d.parts, d.held = nil, 0
}

// hold moves what has just been reserved from the lent records to a dictionary.
func (r *Reader) hold(d *dictionary, n int64) {
	r.lent -= n
	d.held += n
}

func (d *dictionary) takesDelta() error {
	if len(d.parts) == 0 {
		return fault.New(fault.Invalid, "dictionary %d begins with a delta", d.id)
	}
	if !concatenates(d.values) {
		return fault.New(fault.Unimplemented, "deltas of a dictionary of %s cannot be read; send the dictionary whole", d.values.Type)
	}
	return nil
}

// concatenates says which values v15 can put together. It has no unions, and compares or merges nested dictionaries at a
// cost that nothing bounds; the writers known to us send neither.
func concatenates(f *field) bool {
	if f.dict != nil || arrow.IsUnion(f.Type.ID()) {
		return false
	}
	for _, c := range f.children {
		if !concatenates(c) {
			return false
		}
	}
	return true
}

// resolve returns the present values of a dictionary as one array.
func (r *Reader) resolve(d *dictionary) (*array.Data, error) {
	switch len(d.parts) {
	case 0:
		return nil, fault.New(fault.Invalid, "dictionary %d has not come before the batch that needs it", d.id)
	case 1:
		return d.parts[0], nil
	}
	parts := make([]arrow.Array, len(d.parts))
	var size int64
	for i, p := range d.parts {
		size += bytesOf(p)
		parts[i] = array.MakeFromData(p)
	}
	if r.copied += size; r.copied > deltaStart+deltaWork*r.received {
		return nil, fault.New(fault.Exhausted, "dictionary %d grows by too many small deltas; send it whole", d.id)
	}
	if err := r.reserve(size); err != nil {
		return nil, err
	}
	all, err := array.Concatenate(parts, memory.DefaultAllocator)
	if err != nil {
		return nil, &fault.Error{Kind: fault.Exhausted, Err: conceal(err, "dictionary %d is too large with its deltas", d.id)}
	}
	r.drop(d)
	r.hold(d, size)
	d.parts = []*array.Data{all.Data().(*array.Data)}
	countNulls(d.parts[0])
	return d.parts[0], nil
}

// bytesOf is the size of an array's buffers. Every buffer has just the length that the array needs.
func bytesOf(d arrow.ArrayData) int64 {
	n := int64(nodeCost)
	for _, b := range d.Buffers() {
		if b != nil {
			n += int64(b.Len())
		}
	}
	for _, c := range d.Children() {
		n += bytesOf(c)
	}
	return n
}

// countNulls makes every null count known: v15 writes it on first use, which is a race when goroutines share the array.
func countNulls(d arrow.ArrayData) {
	array.MakeFromData(d).NullN()
	for _, c := range d.Children() {
		countNulls(c)
	}
}

// settle makes the dictionaries of an array that v15 would make on first use, for the same reason.
func settle(a arrow.Array) {
	switch a := a.(type) {
	case *array.Dictionary:
		settle(a.Dictionary())
	case *array.Map:
		settle(a.ListValues())
		settle(a.Keys())
		settle(a.Items())
	case array.ListLike:
		settle(a.ListValues())
	case *array.Struct:
		for i := range a.NumField() {
			settle(a.Field(i))
		}
	case array.Union:
		for i := range a.NumFields() {
			settle(a.Field(i))
		}
	}
}
