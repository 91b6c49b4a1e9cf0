// Package ipcguard reads Arrow IPC messages that somebody else made, as if every byte of them were made to do harm.
//
// v15's own reader believes what it reads: a changed byte makes it allocate what no machine has, which ends the process,
// or hands out arrays that panic at the first value. So nothing of it is used. The metadata is read through offsets that
// are each checked (flat.go), and the arrays are laid straight over the bytes that came, or over what was decompressed.
//
// What holds for every record that a Reader yields:
//   - all its values can be read: offsets, UTF-8, dictionary indices, type ids and decimal digits have been checked,
//     except under nulls;
//   - every array begins at 0, has buffers of just its length, offsets that begin at 0, and a known null count;
//   - it refers to the messages' memory, which belongs to it: it may be kept, and shared by goroutines;
//   - the work and memory it took are proportional to the bytes that came, and the memory was reserved before.
//
// Extension types are read as their storage, with their name kept in the field's metadata.
package ipcguard

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"runtime/debug"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"github.com/flightd/flightd/internal/fault"
)

// fieldCost is reserved for the structures of one field of the schema.
const fieldCost = 512

// Source hands out messages one by one: metadata without length prefix, and body. The bytes must not change later. The
// end is io.EOF; other errors end the reading and reach the caller as they are.
type Source interface {
	Next() (metadata, body []byte, err error)
}

// Budget lends memory. Reserve blocks or fails as its owner decides; an error ends the reading.
type Budget interface {
	Reserve(ctx context.Context, bytes int64) error
	Release(bytes int64)
}

// Limits bounds what one stream may hold. Zero values mean no bound.
type Limits struct {
	Message int64  // bytes of one message, as it came
	Bytes   int64  // bytes of all messages, decompressed
	Budget  Budget // asked for every byte that is kept
}

// Reader reads one stream. It is not for concurrent use; its records are.
type Reader struct {
	ctx    context.Context
	src    Source
	lim    Limits
	schema *arrow.Schema
	fields []*field
	dicts  map[int64]*dictionary

	messages int
	received int64 // bytes of messages
	taken    int64 // bytes of messages and of what was made from them
	copied   int64 // bytes copied to put dictionaries together
	lent     int64 // bytes reserved for records
	err      error // why there are no more records; io.EOF at the end of the stream
}

// NewReader reads the schema, the first message of src. It returns io.EOF if src is empty. ctx bounds the waits for the
// budget, for the life of the Reader.
//
// Errors of a Reader name the message, counted from 1, the column and the rule that was broken. They are fault.Invalid;
// fault.Exhausted where a limit or the budget is reached; fault.Unimplemented for what Arrow allows and we do not read.
func NewReader(ctx context.Context, src Source, lim Limits) (*Reader, error) {
	r := &Reader{ctx: ctx, src: src, lim: lim}
	m, _, err := r.next()
	if err == io.EOF {
		return nil, err
	}
	if err == nil {
		err = r.contain(func() error { return r.readSchema(m) })
	}
	if err != nil {
		r.err = err
		r.Release()
		return nil, err
	}
	return r, nil
}

func (r *Reader) readSchema(m message) error {
	if m.kind != kindSchema {
		return fault.New(fault.Invalid, "a schema must come first")
	}
	d := schemaDecoder{dicts: map[int64]*dictionary{}}
	var err error
	if r.schema, r.fields, err = d.decode(m.header); err != nil {
		return err
	}
	r.dicts = d.dicts
	return r.reserve(fieldCost*int64(d.fields) + int64(m.header.f.walked))
}

// Schema returns the schema of the records, with its metadata and that of the fields.
func (r *Reader) Schema() *arrow.Schema { return r.schema }

// Records yields the record batches of the stream, and at most one error, at the end. Ranging again goes on where the
// last range stopped.
func (r *Reader) Records() iter.Seq2[arrow.Record, error] {
	return func(yield func(arrow.Record, error) bool) {
		for r.err == nil {
			rec, err := r.read()
			if r.err = err; err == io.EOF {
				return
			}
			if !yield(rec, err) {
				return
			}
		}
	}
}

// Release gives back what is reserved for the records yielded so far; call it when they are no longer used. What coming
// records need stays reserved until the stream has ended.
func (r *Reader) Release() {
	n := r.lent
	r.lent = 0
	if r.err != nil {
		for _, d := range r.dicts {
			n, d.held = n+d.held, 0
		}
	}
	if r.lim.Budget != nil && n > 0 {
		r.lim.Budget.Release(n)
	}
}

// read returns the next record. Dictionaries on the way are taken in.
func (r *Reader) read() (rec arrow.Record, err error) {
	for rec == nil {
		m, body, err := r.next()
		if err != nil {
			return nil, err
		}
		err = r.contain(func() (err error) {
			switch m.kind {
			case kindSchema:
				return fault.New(fault.Invalid, "a second schema")
			case kindDictionary:
				return r.addDictionary(m, body)
			}
			rec, err = r.decode(m, body)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return rec, nil
}

func (r *Reader) decode(m message, data []byte) (arrow.Record, error) {
	b, err := r.newBatch(m, m.header, data)
	if err != nil {
		return nil, err
	}
	columns := make([]arrow.Array, len(r.fields))
	for i, f := range r.fields {
		d, err := b.load(f, whole)
		if err != nil {
			return nil, err
		}
		if int64(d.Len()) != b.rows {
			return nil, b.invalid(f, "it has %d values in a batch of %d rows", d.Len(), b.rows)
		}
		columns[i] = array.MakeFromData(d)
		settle(columns[i])
	}
	if err := b.finish(); err != nil {
		return nil, err
	}
	return array.NewRecord(r.schema, columns, b.rows), nil
}

// next fetches a message and reads its envelope.
func (r *Reader) next() (m message, body []byte, err error) {
	metadata, body, err := r.src.Next()
	if err != nil {
		return message{}, nil, err
	}
	r.messages++
	err = r.contain(func() error {
		size := int64(len(metadata)) + int64(len(body))
		r.received += size
		if r.lim.Message > 0 && size > r.lim.Message {
			return fault.New(fault.Exhausted, "it has %d bytes, more than the limit of %d; send smaller batches", size, r.lim.Message)
		}
		if err := r.reserve(size); err != nil {
			return err
		}
		if m, err = parseMessage(metadata); err != nil {
			return err
		}
		if m.body > int64(len(body)) {
			return fault.New(fault.Invalid, "its body should have %d bytes and has %d", m.body, len(body))
		}
		body = body[:m.body:m.body]
		return nil
	})
	return m, body, err
}

// reserve asks for n more bytes, for the records.
func (r *Reader) reserve(n int64) error {
	if n > math.MaxInt64-r.taken {
		return fault.New(fault.Exhausted, "it asks for more bytes than can be counted")
	}
	if r.taken += n; r.lim.Bytes > 0 && r.taken > r.lim.Bytes {
		return fault.New(fault.Exhausted, "the stream takes more than %d bytes", r.lim.Bytes)
	}
	if r.lim.Budget != nil && n > 0 {
		if err := r.lim.Budget.Reserve(r.ctx, n); err != nil {
			return &refusal{err}
		}
	}
	r.lent += n
	return nil
}

// refusal carries an error of the budget past the naming of messages: it is about the server, not about the stream.
type refusal struct{ error }

// contain runs a step, names the message in its error and turns a panic into one. A panic is a bug, in here or in v15;
// its text is for the log.
func (r *Reader) contain(step func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			cause := fmt.Errorf("panic: %v\n%s", p, debug.Stack())
			err = &fault.Error{Kind: fault.Invalid, Err: conceal(cause, "Arrow message %d cannot be read", r.messages)}
		}
	}()
	err = step()
	var budget *refusal
	switch {
	case err == nil:
		return nil
	case errors.As(err, &budget):
		return budget.error
	}
	return fault.New(fault.KindOf(err), "Arrow message %d: %w", r.messages, err)
}

// concealed is an error with a text of ours. The cause is for those who unwrap it: the log.
type concealed struct {
	text  string
	cause error
}

func conceal(cause error, format string, args ...any) error {
	return &concealed{fmt.Sprintf(format, args...), cause}
}

func (c *concealed) Error() string { return c.text }
func (c *concealed) Unwrap() error { return c.cause }
