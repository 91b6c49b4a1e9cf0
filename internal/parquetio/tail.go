package parquetio

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
	"github.com/zeebo/xxh3"

	"github.com/flightd/flightd/internal/fault"
)

// Tail is a file's footer as it is stored, for who makes another file of its row groups without decoding them.
type Tail struct {
	name    string
	meta    format.FileMetaData
	end     int64    // of the row groups and all that belongs to them: where the footer begins
	first   int      // row groups from here on are flightd's, one after the other up to the indexes; all others are before
	digests []uint64 // of the chunks, 0 where it is not known; nil if none is
}

// ReadTail reads the footer of a file that Open accepts. name is how errors call the file.
func ReadTail(r io.ReaderAt, size int64, name string) (t *Tail, err error) {
	if _, err := Open(r, size, name); err != nil { // finds what is wrong with it
		return nil, err
	}
	t = &Tail{name: name}
	defer func() {
		if p := recover(); p != nil {
			t, err = nil, fault.New(fault.DataLoss, "%s: the reader gave up: %v", name, p)
		}
	}()
	if err := t.read(r, size); err != nil {
		return nil, fault.New(fault.DataLoss, "%s: %w", name, err)
	}
	return t, t.check()
}

func (t *Tail) read(r io.ReaderAt, size int64) error {
	var last [8]byte
	if _, err := r.ReadAt(last[:], size-8); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	length := int64(binary.LittleEndian.Uint32(last[:]))
	if length > size-12 {
		return fmt.Errorf("a footer of %d bytes in a file of %d", length, size)
	}
	t.end = size - 8 - length
	footer := make([]byte, length)
	if _, err := r.ReadAt(footer, t.end); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return thrift.Unmarshal(new(thrift.CompactProtocol), footer, &t.meta)
}

// check refuses files that cannot be continued, and finds out which row groups are flightd's.
func (t *Tail) check() error {
	if t.meta.EncryptionAlgorithm.Value != nil {
		return fault.New(fault.Unimplemented, "%s: the file is encrypted; rows cannot be added to it", t.name)
	}
	for i := range t.meta.RowGroups {
		for j := range t.meta.RowGroups[i].Columns {
			c := &t.meta.RowGroups[i].Columns[j]
			start, size := chunkStart(&c.MetaData), c.MetaData.TotalCompressedSize
			if c.FilePath != "" {
				return fault.New(fault.Unimplemented, "%s: a column chunk is in another file; rows cannot be added", t.name)
			}
			if t.meta.RowGroups[i].NumRows > 0 && (start < 4 || size < 0 || start > t.end || size > t.end-start) {
				return fault.New(fault.DataLoss, "%s: row group %d: a column chunk lies outside the file", t.name, i)
			}
		}
	}
	t.first = len(t.meta.RowGroups)
	text, _ := t.Metadata(digestsKey)
	if first, digests, ok := decodeDigests(&t.meta, text); ok && t.continuous(first) {
		t.first, t.digests = first, digests
	}
	return nil
}

// continuous says whether the chunks of row groups from one on follow each other, after all others.
func (t *Tail) continuous(first int) bool {
	var end int64
	for i := range t.meta.RowGroups {
		for j := range t.meta.RowGroups[i].Columns {
			c := &t.meta.RowGroups[i].Columns[j].MetaData
			start := chunkStart(c)
			if t.meta.RowGroups[i].NumRows == 0 { // has no pages, but possibly offsets that mean nothing
				continue
			}
			if i >= first && start < end {
				return false
			}
			end = max(end, start+c.TotalCompressedSize)
		}
	}
	return true
}

// Metadata looks up a key of the file's key-value metadata.
func (t *Tail) Metadata(key string) (string, bool) {
	for _, kv := range t.meta.KeyValueMetadata {
		if kv.Key == key {
			return kv.Value, true
		}
	}
	return "", false
}

// RowGroups are the numbers of rows of the file's row groups.
func (t *Tail) RowGroups() []int64 {
	rows := make([]int64, len(t.meta.RowGroups))
	for i := range rows {
		rows[i] = t.meta.RowGroups[i].NumRows
	}
	return rows
}

// Appended is the first of the row groups that flightd has added to the file; those before it are somebody else's.
func (t *Tail) Appended() int { return t.first }

// SameLayout says whether the columns of another file are stored the same way, so that row groups may change places.
func (t *Tail) SameLayout(other *Tail) bool {
	a, errA := thrift.Marshal(new(thrift.CompactProtocol), &format.FileMetaData{Schema: t.meta.Schema})
	b, errB := thrift.Marshal(new(thrift.CompactProtocol), &format.FileMetaData{Schema: other.meta.Schema})
	storedA, _ := t.Metadata(storedSchema)
	storedB, _ := other.Metadata(storedSchema)
	return errA == nil && errB == nil && slices.Equal(a, b) && storedA == storedB
}

// NewWriter begins a file whose columns are stored as in this one, with its key-value metadata. A column that rows cannot
// be added to is refused by name.
func (t *Tail) NewWriter(w io.Writer) (*Writer, error) {
	writer := &Writer{out: w, meta: format.FileMetaData{
		Version: t.meta.Version, Schema: t.meta.Schema, CreatedBy: t.meta.CreatedBy, ColumnOrders: t.meta.ColumnOrders,
		KeyValueMetadata: slices.Clone(t.meta.KeyValueMetadata),
	}}
	if err := writer.prepare(); err != nil {
		return nil, fault.New(fault.Unimplemented, "%s: %w; write the file anew with another type", t.name, err)
	}
	if groups := t.meta.RowGroups; len(groups) > 0 {
		for i, l := range writer.leaves {
			l.codec = codecFor(groups[len(groups)-1].Columns[i].MetaData.Codec)
		}
	}
	return writer, nil
}

// Keep begins the file with the first row groups of another one, which has the layout that this one was made with. They
// are copied byte for byte, so nothing about them changes. Row groups that are somebody else's are all kept.
func (w *Writer) Keep(r io.ReaderAt, t *Tail, groups int) error {
	if w.at != 0 || w.rows != 0 || groups < t.first || groups > len(t.meta.RowGroups) {
		return fmt.Errorf("%s: %d row groups are to be kept of %d", t.name, groups, len(t.meta.RowGroups))
	}
	end := t.endOf(groups)
	w.err = w.copy(r, 0, end)
	w.first = t.first
	for i := range t.meta.RowGroups[:groups] {
		g := t.meta.RowGroups[i]
		g.Ordinal, g.Columns = int16(i), slices.Clone(g.Columns)
		for j := range g.Columns {
			if w.err == nil {
				w.err = w.keepIndexes(r, t, &g.Columns[j], placedIndex{group: i, column: j}, end)
			}
			w.digests = append(w.digests, t.digest(i, j))
		}
		if w.err == nil {
			w.err = w.addGroup(g)
		}
	}
	return w.err
}

// endOf is where what belongs to the first row groups ends. What is not flightd's is kept with all that is around it.
func (t *Tail) endOf(groups int) int64 {
	switch {
	case groups < len(t.meta.RowGroups):
		return t.start(groups)
	case t.first == groups:
		return t.end
	}
	end := int64(4)
	for _, c := range t.meta.RowGroups[groups-1].Columns {
		end = max(end, chunkStart(&c.MetaData)+c.MetaData.TotalCompressedSize)
	}
	return end
}

func (t *Tail) start(group int) int64 {
	start := t.end
	for _, c := range t.meta.RowGroups[group].Columns {
		start = min(start, chunkStart(&c.MetaData))
	}
	return start
}

func (t *Tail) digest(group, column int) uint64 {
	if t.digests == nil {
		return 0
	}
	return t.digests[group*len(t.meta.RowGroups[group].Columns)+column]
}

// keepIndexes notes the indexes of a chunk that stand after what is kept, so that they are written again. One that is not
// where it should be is forgotten: files are complete without.
func (w *Writer) keepIndexes(r io.ReaderAt, t *Tail, c *format.ColumnChunk, at placedIndex, end int64) error {
	keep := func(kind indexKind, offset *int64, length int32) error {
		switch {
		case *offset <= 0 || *offset < end && *offset+int64(max(length, 0)) <= end:
			return nil
		case length <= 0 || *offset < end || int64(length) > t.end-*offset:
			*offset = 0
			return nil
		}
		at.kind, at.content = kind, make([]byte, length)
		if _, err := r.ReadAt(at.content, *offset); err != nil {
			return err
		}
		w.indexes = append(w.indexes, at)
		return nil
	}
	err := keep(pageOffsets, &c.OffsetIndexOffset, c.OffsetIndexLength)
	if err == nil {
		err = keep(pageBounds, &c.ColumnIndexOffset, c.ColumnIndexLength)
	}
	if err == nil {
		err = keep(bloomFilter, &c.MetaData.BloomFilterOffset, c.MetaData.BloomFilterLength)
	}
	if c.OffsetIndexOffset == 0 {
		c.OffsetIndexLength = 0
	}
	if c.ColumnIndexOffset == 0 {
		c.ColumnIndexLength = 0
	}
	return err
}

// Copy appends all row groups of a file that a Writer of the same layout has made, byte for byte.
func (w *Writer) Copy(r io.ReaderAt, t *Tail) error {
	if w.err == nil {
		w.err = w.copyAll(r, t)
	}
	return w.err
}

func (w *Writer) copyAll(r io.ReaderAt, t *Tail) error {
	if t.first != 0 {
		return fmt.Errorf("%s: row groups that are not flightd's cannot be moved", t.name)
	}
	if err := w.flush(); err != nil {
		return err
	}
	if err := w.begin(); err != nil {
		return err
	}
	for i := range t.meta.RowGroups {
		g := format.RowGroup{NumRows: t.meta.RowGroups[i].NumRows, FileOffset: w.at, Ordinal: int16(len(w.meta.RowGroups))}
		for j := range t.meta.RowGroups[i].Columns {
			if err := w.copyChunk(r, t, &g, i, j); err != nil {
				return err
			}
		}
		if err := w.addGroup(g); err != nil {
			return err
		}
	}
	return nil
}

func (w *Writer) copyChunk(r io.ReaderAt, t *Tail, g *format.RowGroup, group, column int) error {
	c := t.meta.RowGroups[group].Columns[column]
	start := chunkStart(&c.MetaData)
	by := w.at - start
	var index format.OffsetIndex
	raw := make([]byte, c.OffsetIndexLength)
	if _, err := r.ReadAt(raw, c.OffsetIndexOffset); err != nil {
		return err
	}
	if err := thrift.Unmarshal(new(thrift.CompactProtocol), raw, &index); err != nil {
		return err
	}
	moved, err := shifted(&index, by)
	if err != nil {
		return err
	}
	w.indexes = append(w.indexes, placedIndex{len(w.meta.RowGroups), column, pageOffsets, moved})
	c.MetaData.DataPageOffset += by
	if err := w.copy(r, start, start+c.MetaData.TotalCompressedSize); err != nil {
		return err
	}
	w.addChunk(g, c, t.digest(group, column))
	return nil
}

// copyBuffer is how much is copied at once.
const copyBuffer = 1 << 20

// copy appends a range of bytes of another file.
func (w *Writer) copy(r io.ReaderAt, start, end int64) error {
	n, err := io.CopyBuffer(onlyWriter{w.out}, io.NewSectionReader(r, start, end-start), make([]byte, min(copyBuffer, end-start)+1))
	w.at += n
	if err == nil && n < end-start {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// onlyWriter hides what else a writer can do: a copy goes through the buffer that it was given.
type onlyWriter struct{ io.Writer }

// CheckDigests reads the bytes of all column chunks whose digest the footer has, and compares. A chunk that has changed
// since it was written is DataLoss.
func (t *Tail) CheckDigests(r io.ReaderAt) error {
	var buf []byte
	for i := range t.meta.RowGroups {
		for j := range t.meta.RowGroups[i].Columns {
			want := t.digest(i, j)
			if want == 0 {
				continue
			}
			if buf == nil {
				buf = make([]byte, copyBuffer)
			}
			c := &t.meta.RowGroups[i].Columns[j].MetaData
			h := xxh3.New()
			if _, err := io.CopyBuffer(onlyWriter{h}, io.NewSectionReader(r, chunkStart(c), c.TotalCompressedSize), buf); err != nil {
				return fmt.Errorf("%s: %w", t.name, err)
			}
			if h.Sum64() != want {
				return fault.New(fault.DataLoss, "%s: row group %d: column %q: the bytes are not those that were written",
					t.name, i, strings.Join(c.PathInSchema, "."))
			}
		}
	}
	return nil
}
