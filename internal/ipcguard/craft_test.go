package ipcguard

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/ipc"
	fb "github.com/google/flatbuffers/go"
)

// Messages that no writer makes are put together here, slot by slot.

// offsetTo is a table, vector or string that was built before.
type offsetTo fb.UOffsetT

// object builds a table of the slots given; nil leaves one out.
func object(b *fb.Builder, slots ...any) offsetTo {
	b.StartObject(len(slots))
	for i, v := range slots {
		switch v := v.(type) {
		case bool:
			b.PrependBoolSlot(i, v, !v)
		case uint8:
			b.PrependUint8Slot(i, v, v+1)
		case int16:
			b.PrependInt16Slot(i, v, v+1)
		case int32:
			b.PrependInt32Slot(i, v, v+1)
		case int64:
			b.PrependInt64Slot(i, v, v+1)
		case offsetTo:
			b.PrependUOffsetTSlot(i, fb.UOffsetT(v), 0)
		}
	}
	return offsetTo(b.EndObject())
}

func vector(b *fb.Builder, of ...offsetTo) offsetTo {
	b.StartVector(4, len(of), 4)
	for i := len(of) - 1; i >= 0; i-- {
		b.PrependUOffsetT(fb.UOffsetT(of[i]))
	}
	return offsetTo(b.EndVector(len(of)))
}

// pairs is a vector of structs of two numbers: nodes or buffers.
func pairs(b *fb.Builder, all [][2]int64) offsetTo {
	b.StartVector(16, len(all), 8)
	for i := len(all) - 1; i >= 0; i-- {
		b.PrependInt64(all[i][1])
		b.PrependInt64(all[i][0])
	}
	return offsetTo(b.EndVector(len(all)))
}

func text(b *fb.Builder, s string) offsetTo { return offsetTo(b.CreateString(s)) }

// envelope finishes a message around a header.
func envelope(b *fb.Builder, version int16, kind uint8, header offsetTo, body int64) []byte {
	b.Finish(fb.UOffsetT(object(b, version, kind, header, body)))
	return b.FinishedBytes()
}

// rawBatch is a record batch of which everything can be wrong.
type rawBatch struct {
	rows    int64
	nodes   [][2]int64 // length, null count
	buffers [][2]int64 // offset, length
	codec   int        // codecNone, codecLZ4, codecZSTD or nonsense
	views   bool
	body    []byte
	version int16 // 0: V5
}

func (r rawBatch) table(b *fb.Builder) offsetTo {
	var compression, views any
	if r.codec != codecNone {
		compression = object(b, uint8(r.codec), uint8(0))
	}
	if r.views {
		b.StartVector(8, 1, 8)
		b.PrependInt64(1)
		views = offsetTo(b.EndVector(1))
	}
	return object(b, r.rows, pairs(b, r.nodes), pairs(b, r.buffers), compression, views)
}

func (r rawBatch) record() [2][]byte {
	b := fb.NewBuilder(0)
	version := r.version
	if version == 0 {
		version = 4
	}
	return [2][]byte{envelope(b, version, kindRecordBatch, r.table(b), int64(len(r.body))), r.body}
}

// envelopeOf is the metadata of a record batch that says its body has n bytes.
func envelopeOf(r rawBatch, n int64) []byte {
	b := fb.NewBuilder(0)
	return envelope(b, 4, kindRecordBatch, r.table(b), n)
}

func (r rawBatch) dictionary(id int64, delta bool) [2][]byte {
	b := fb.NewBuilder(0)
	return [2][]byte{envelope(b, 4, kindDictionary, object(b, id, r.table(b), delta), int64(len(r.body))), r.body}
}

// schemaOf is the message for a schema of nullable columns.
func schemaOf(t testing.TB, types ...arrow.DataType) [2][]byte {
	var fields []arrow.Field
	for _, typ := range types {
		fields = append(fields, nullable("x", typ))
	}
	var stream bytes.Buffer
	if err := ipc.NewWriter(&stream, ipc.WithSchema(arrow.NewSchema(fields, nil))).Close(); err != nil {
		t.Fatal(err)
	}
	return split(t, stream.Bytes())[0]
}

// rawSchema is the message for a vector of fields.
func rawSchema(build func(b *fb.Builder) offsetTo) [2][]byte {
	b := fb.NewBuilder(0)
	return [2][]byte{envelope(b, 4, kindSchema, object(b, int16(0), build(b)), 0), nil}
}

// fieldOf is a field of the type with that number.
func fieldOf(b *fb.Builder, kind uint8, parameters, dictionary, children any) offsetTo {
	if parameters == nil {
		parameters = object(b)
	}
	return object(b, text(b, "f"), true, kind, parameters, dictionary, children)
}

func le(values ...any) []byte {
	var out []byte
	for _, v := range values {
		out, _ = binary.Append(out, binary.LittleEndian, v)
	}
	return out
}

// readRaw reads messages and returns the error, and how many records came before.
func readRaw(messages flightSource, lim Limits) (int, error) {
	_, recs, err := read(&messages, lim)
	return len(recs), err
}
