package flightsvc

import (
	"bytes"
	"iter"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/flight"
	"github.com/apache/arrow/go/v15/arrow/ipc"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/flightd/flightd/internal/arrowsize"
)

// Sizes of answer batches. Two MiB moves fastest through gRPC, and stays below the four that Go clients accept.
const (
	batchBytes    = 2 << 20
	maxBatchBytes = 4<<20 - 64<<10 // the rest is for the header
	maxBatchRows  = 64 << 10
)

// dataSender is the sending half of DoGet and DoExchange.
type dataSender interface {
	Send(*flight.FlightData) error
}

// answer writes records as Flight messages, each record cut to batch size. The newest message is held back until the
// next one comes, because the last of all may carry metadata.
type answer struct {
	out    dataSender
	writer *ipc.Writer
	held   *flight.FlightData
	schema *arrow.Schema
	rows   int64
	bytes  int64
}

func newAnswer(out dataSender, schema *arrow.Schema) *answer {
	a := &answer{out: out, schema: schema}
	a.writer = ipc.NewWriterWithPayloadWriter(a, ipc.WithSchema(schema))
	return a
}

// stream sends a whole answer; last, if there is one, gives the metadata of its last batch.
func (a *answer) stream(records iter.Seq2[arrow.Record, error], last func() []byte) error {
	for rec, err := range records {
		if err != nil {
			return err
		}
		if err := a.write(rec); err != nil {
			return err
		}
	}
	if last == nil {
		return a.close(nil)
	}
	return a.close(last())
}

// write sends one record in pieces of batch size.
func (a *answer) write(rec arrow.Record) error {
	for piece := range pieces(rec) {
		err := a.writer.Write(piece)
		piece.Release()
		if err != nil {
			return err
		}
		a.rows += piece.NumRows()
	}
	return nil
}

// close sends what is held back. Metadata needs a batch to travel with, so an empty answer gets an empty one.
func (a *answer) close(metadata []byte) error {
	if metadata != nil && a.rows == 0 {
		empty := emptyRecord(a.schema)
		defer empty.Release()
		if err := a.writer.Write(empty); err != nil {
			return err
		}
	}
	if err := a.writer.Close(); err != nil { // writes the schema if nothing else did
		return err
	}
	a.held.AppMetadata = metadata
	return a.flush()
}

// Start implements ipc.PayloadWriter.
func (a *answer) Start() error { return nil }

// Close implements ipc.PayloadWriter.
func (a *answer) Close() error { return nil }

// WritePayload implements ipc.PayloadWriter: it sends the message held back so far and holds this one.
func (a *answer) WritePayload(p ipc.Payload) error {
	if err := a.flush(); err != nil {
		return err
	}
	header := p.Meta()
	defer header.Release()
	var body bytes.Buffer
	if err := p.SerializeBody(&body); err != nil {
		return err
	}
	a.held = &flight.FlightData{DataHeader: bytes.Clone(header.Bytes()), DataBody: body.Bytes()}
	return nil
}

func (a *answer) flush() error {
	if a.held == nil {
		return nil
	}
	a.bytes += int64(len(a.held.DataHeader) + len(a.held.DataBody))
	err := a.out.Send(a.held)
	a.held = nil
	return err
}

func emptyRecord(schema *arrow.Schema) arrow.Record {
	columns := make([]arrow.Array, len(schema.Fields()))
	for i, f := range schema.Fields() {
		columns[i] = array.MakeFromData(emptyData(f.Type))
	}
	return array.NewRecord(schema, columns, 0)
}

// emptyData is an array without rows. v15's builders would do, but for dictionaries of some types there are none.
func emptyData(t arrow.DataType) arrow.ArrayData {
	switch t := t.(type) {
	case *arrow.DictionaryType:
		dictionary := emptyData(t.ValueType).(*array.Data)
		return array.NewDataWithDictionary(t, 0, []*memory.Buffer{nil, memory.NewBufferBytes(nil)}, 0, 0, dictionary)
	case *arrow.StructType, *arrow.FixedSizeListType, *arrow.ListType, *arrow.MapType, *arrow.LargeListType:
		buffers := []*memory.Buffer{nil}
		if _, offsets := t.(arrow.OffsetsDataType); offsets {
			buffers = append(buffers, memory.NewBufferBytes(make([]byte, 8)))
		}
		var children []arrow.ArrayData
		for _, f := range t.(arrow.NestedType).Fields() {
			children = append(children, emptyData(f.Type))
		}
		return array.NewData(t, 0, buffers, children, 0, 0)
	}
	builder := array.NewBuilder(memory.DefaultAllocator, t)
	defer builder.Release()
	empty := builder.NewArray()
	empty.Data().Retain()
	defer empty.Release()
	return empty.Data()
}

// pieces cuts a record into batches of about batchBytes and at most maxBatchRows; one row may be larger than any limit.
func pieces(rec arrow.Record) iter.Seq[arrow.Record] {
	return func(yield func(arrow.Record) bool) {
		rows := rec.NumRows()
		if rows == 0 {
			rec.Retain()
			yield(rec)
			return
		}
		size := arrowsize.Record(rec)
		step := min(maxBatchRows, max(1, rows*batchBytes/max(size, 1)))
		if size <= batchBytes+batchBytes/4 {
			step = maxBatchRows
		}
		for lo := int64(0); lo < rows; {
			n := min(step, rows-lo)
			piece := rec.NewSlice(lo, lo+n)
			for n > 1 && arrowsize.Record(piece) > maxBatchBytes {
				piece.Release()
				n /= 2
				piece = rec.NewSlice(lo, lo+n)
			}
			if !yield(piece) {
				return
			}
			lo += n
		}
	}
}
