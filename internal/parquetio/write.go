package parquetio

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"

	"github.com/flightd/flightd/internal/arrowsize"
	"github.com/flightd/flightd/internal/fault"
)

const (
	rowGroupRows  = 128 << 10 // small enough to skip, large enough to be fast
	rowGroupBytes = 64 << 20  // compressed, which is what a writer holds in memory
	rowGroupsMost = 32 << 10  // of a file: their number is stored in 16 bits
	sliceBytes    = 4 << 20   // of a record between two looks at the size of the row group
)

// createdBy is what footers say about who wrote the file.
const createdBy = "flightd version 1"

// WriterOptions are the choices of a writer. The zero value is usable.
type WriterOptions struct {
	Metadata map[string]string // key-value metadata of the file
}

// Writer writes records to a Parquet file, in memory that does not grow with their number: pages are encoded as rows
// come, and a row group is written as soon as it is large enough. Pages carry checksums, and the footer digests of the
// column chunks.
type Writer struct {
	out     io.Writer
	at      int64 // offset of the next byte
	meta    format.FileMetaData
	schema  *arrow.Schema // of the records
	nodes   []*node
	leaves  []*leafWriter
	rows    int64 // of the row group in memory
	first   int   // row groups before this one were written by somebody else
	digests []uint64
	indexes []placedIndex
	closed  bool
	err     error // a failed writer stays failed: what is in the file is not known
}

// placedIndex is the offset or column index, or the bloom filter, of a column chunk, to be written after the row groups.
type placedIndex struct {
	group, column int
	kind          indexKind
	content       []byte
}

type indexKind int

const (
	pageOffsets indexKind = iota
	pageBounds
	bloomFilter
)

// NewWriter begins a file of new columns. It never closes w. Columns that a file cannot hold so that every reader
// understands them are refused by name; dictionaries are decoded, extension types stored as what they are made of.
func NewWriter(w io.Writer, schema *arrow.Schema, opt WriterOptions) (*Writer, error) {
	elements, err := schemaElements(schema)
	if err != nil {
		return nil, err
	}
	stored, err := encodeSchema(schema)
	if err != nil {
		return nil, err
	}
	writer := &Writer{out: w, schema: schema, meta: format.FileMetaData{Version: 2, Schema: elements, CreatedBy: createdBy}}
	meta := schema.Metadata()
	for i, key := range meta.Keys() {
		writer.SetMetadata(key, meta.Values()[i])
	}
	for key, value := range opt.Metadata {
		writer.SetMetadata(key, value)
	}
	writer.SetMetadata(storedSchema, stored)
	if err := writer.prepare(); err != nil {
		return nil, err
	}
	writer.meta.ColumnOrders = slices.Repeat([]format.ColumnOrder{{Value: &format.TypeDefinedOrder{}}}, len(writer.leaves))
	return writer, nil
}

// prepare makes the encoders for the schema of the file.
func (w *Writer) prepare() error {
	var err error
	if w.nodes, err = readSchema(w.meta.Schema); err != nil {
		return err
	}
	if stored, ok := w.metadata(storedSchema); ok {
		applyStored(w.nodes, stored)
	}
	if w.leaves, err = newLeafWriters(w.meta.Schema, w.nodes); err != nil {
		return err
	}
	if w.schema == nil {
		fields := make([]arrow.Field, len(w.nodes))
		for i, n := range w.nodes {
			fields[i] = arrow.Field{Name: n.name, Type: n.typ, Nullable: true}
		}
		w.schema = arrow.NewSchema(fields, nil)
	}
	return nil
}

// Schema has the columns that records must have.
func (w *Writer) Schema() *arrow.Schema { return w.schema }

// SetMetadata sets a key of the file's key-value metadata, until Close.
func (w *Writer) SetMetadata(key, value string) {
	for i, kv := range w.meta.KeyValueMetadata {
		if kv.Key == key {
			w.meta.KeyValueMetadata[i].Value = value
			return
		}
	}
	w.meta.KeyValueMetadata = append(w.meta.KeyValueMetadata, format.KeyValue{Key: key, Value: value})
}

func (w *Writer) metadata(key string) (string, bool) {
	for _, kv := range w.meta.KeyValueMetadata {
		if kv.Key == key {
			return kv.Value, true
		}
	}
	return "", false
}

// Write appends the rows of a record.
func (w *Writer) Write(rec arrow.Record) error {
	if w.err != nil {
		return w.err
	}
	if w.closed {
		return errors.New("the file is complete")
	}
	if err := w.accepts(rec); err != nil {
		return err
	}
	w.err = w.write(rec)
	return w.err
}

// accepts checks the columns of a record. Nothing has been written if it does not.
func (w *Writer) accepts(rec arrow.Record) error {
	if len(w.schema.Fields()) != int(rec.NumCols()) {
		return fmt.Errorf("a record of %d columns for a file of %d", rec.NumCols(), len(w.schema.Fields()))
	}
	for i, f := range w.schema.Fields() {
		if have := rec.Schema().Field(i); have.Name != f.Name || !arrow.TypeEqual(rec.Column(i).DataType(), f.Type) {
			return fmt.Errorf("column %d is %q (%s) in a record and %q (%s) in the file", i, have.Name, rec.Column(i).DataType(), f.Name, f.Type)
		}
	}
	return nil
}

func (w *Writer) write(rec arrow.Record) error {
	if rec.NumRows() == 0 {
		return nil
	}
	views := make([]*shredded, len(w.nodes))
	for i, n := range w.nodes {
		var err error
		if views[i], err = look(n, rec.Column(i), w.leaves); err != nil {
			return fmt.Errorf("column %q: %w", n.name, err)
		}
	}
	step := max(1, sliceBytes/max(1, arrowsize.Record(rec)/rec.NumRows()))
	for at := int64(0); at < rec.NumRows(); {
		n := min(step, rec.NumRows()-at, rowGroupRows-w.rows)
		for _, v := range views {
			if err := v.rows(int(at), int(at+n)); err != nil {
				return fmt.Errorf("column %q: %w", v.node.name, err)
			}
		}
		at, w.rows = at+n, w.rows+n
		if w.rows == rowGroupRows || w.held() >= rowGroupBytes {
			if err := w.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *Writer) held() int {
	n := 0
	for _, l := range w.leaves {
		n += l.held()
	}
	return n
}

// flush writes the row group in memory.
func (w *Writer) flush() error {
	if w.rows == 0 {
		return nil
	}
	if err := w.begin(); err != nil {
		return err
	}
	g := format.RowGroup{NumRows: w.rows, FileOffset: w.at, Ordinal: int16(len(w.meta.RowGroups))}
	for i, l := range w.leaves {
		if err := l.endPage(); err != nil {
			return fmt.Errorf("column %q: %w", l.path[0], err)
		}
		index, err := shifted(&format.OffsetIndex{PageLocations: l.places}, w.at)
		if err != nil {
			return err
		}
		chunk, digest := l.chunk(w.at)
		if err := w.put(l.pages.Bytes()); err != nil {
			return err
		}
		w.addChunk(&g, chunk, digest)
		w.indexes = append(w.indexes, placedIndex{len(w.meta.RowGroups), i, pageOffsets, index})
		l.reset()
	}
	w.rows = 0
	return w.addGroup(g)
}

func (w *Writer) addChunk(g *format.RowGroup, c format.ColumnChunk, digest uint64) {
	g.TotalByteSize += c.MetaData.TotalUncompressedSize
	g.TotalCompressedSize += c.MetaData.TotalCompressedSize
	g.Columns = append(g.Columns, c)
	w.digests = append(w.digests, digest)
}

func (w *Writer) addGroup(g format.RowGroup) error {
	if len(w.meta.RowGroups) >= rowGroupsMost {
		return fault.New(fault.Exhausted, "more than %d row groups in one file; write to a folder, or in larger pieces", rowGroupsMost)
	}
	w.meta.RowGroups = append(w.meta.RowGroups, g)
	w.meta.NumRows += g.NumRows
	return nil
}

// shifted encodes an index of pages that have been moved.
func shifted(index *format.OffsetIndex, by int64) ([]byte, error) {
	for i := range index.PageLocations {
		index.PageLocations[i].Offset += by
	}
	return thrift.Marshal(new(thrift.CompactProtocol), index)
}

// begin writes the beginning of the file if nothing has been written.
func (w *Writer) begin() error {
	if w.at > 0 {
		return nil
	}
	return w.put([]byte("PAR1"))
}

func (w *Writer) put(b []byte) error {
	n, err := w.out.Write(b)
	w.at += int64(n)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	return err
}

// Rows is the number of rows written so far.
func (w *Writer) Rows() int64 { return w.meta.NumRows + w.rows }

// Close writes the footer. The file is complete only if it returns nil.
func (w *Writer) Close() error {
	if w.err == nil && !w.closed {
		w.closed = true
		w.err = w.finish()
	}
	return w.err
}

func (w *Writer) finish() error {
	if err := w.flush(); err != nil {
		return err
	}
	if err := w.begin(); err != nil {
		return err
	}
	for _, index := range w.indexes {
		if err := w.putIndex(index); err != nil {
			return err
		}
	}
	w.SetMetadata(digestsKey, encodeDigests(&w.meta, w.first, w.digests))
	footer, err := thrift.Marshal(new(thrift.CompactProtocol), &w.meta)
	if err != nil {
		return err
	}
	footer = binary.LittleEndian.AppendUint32(footer, uint32(len(footer)))
	return w.put(append(footer, "PAR1"...))
}

func (w *Writer) putIndex(index placedIndex) error {
	c := &w.meta.RowGroups[index.group].Columns[index.column]
	switch index.kind {
	case pageOffsets:
		c.OffsetIndexOffset, c.OffsetIndexLength = w.at, int32(len(index.content))
	case pageBounds:
		c.ColumnIndexOffset, c.ColumnIndexLength = w.at, int32(len(index.content))
	case bloomFilter:
		c.MetaData.BloomFilterOffset = w.at
	}
	return w.put(index.content)
}

// newLeafWriters makes the writers of all leaves, in the order of the file's columns.
func newLeafWriters(elements []format.SchemaElement, nodes []*node) ([]*leafWriter, error) {
	b := leafBuilder{elements: elements, at: 1}
	for _, n := range nodes {
		b.find(n)
	}
	for range nodes {
		if err := b.field(nil, 0, 0); err != nil {
			return nil, err
		}
	}
	return b.made, nil
}

// leafBuilder walks the schema elements beside the leaves of the nodes made of them.
type leafBuilder struct {
	elements []format.SchemaElement
	at       int
	leaves   []*node
	made     []*leafWriter
}

func (b *leafBuilder) find(n *node) {
	if n.kind == leafNode {
		b.leaves = append(b.leaves, n)
	}
	for _, c := range n.children {
		b.find(c)
	}
}

// field makes the writers below one element, whose parent has the given path and levels.
func (b *leafBuilder) field(path []string, def, rep byte) error {
	e := &b.elements[b.at]
	b.at++
	path = append(slices.Clip(path), e.Name)
	switch e.RepetitionType.V {
	case format.Optional:
		def++
	case format.Repeated:
		def, rep = def+1, rep+1
	}
	for range e.NumChildren.V {
		if err := b.field(path, def, rep); err != nil {
			return err
		}
	}
	if e.NumChildren.V > 0 {
		return nil
	}
	l, err := newLeafWriter(b.leaves[len(b.made)], e)
	if err != nil {
		return fmt.Errorf("column %q: %w", path[0], err)
	}
	l.path, l.maxDef, l.maxRep = path, def, rep
	b.made = append(b.made, l)
	return nil
}

// newLeafWriter prepares a leaf. Rows of a flat column whose values have one width go to a page many at a time.
func newLeafWriter(n *node, e *format.SchemaElement) (*leafWriter, error) {
	values, err := newPlainValues(n, e)
	if err != nil {
		return nil, err
	}
	l := &leafWriter{values: values, physical: e.Type.V, codec: format.Snappy, step: 1 << 10}
	switch e.Type.V {
	case format.ByteArray:
		l.step = 1
	case format.FixedLenByteArray:
		l.step = max(1, min(l.step, pageFull/max(1, int(e.TypeLength.V))))
	}
	return l, nil
}
