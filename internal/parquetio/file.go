// Package parquetio reads and writes Parquet files.
//
// Reading stands on the page layer of parquet-go and makes Arrow arrays of its pages itself, in the caller's goroutine.
// No byte of a file is trusted: the library runs under recover, counts are compared with the footer, and whatever is wrong
// is an error that names the file, the row group and the column (fault.DataLoss), or the encoding that cannot be read
// (fault.Unimplemented). Writing is arrow's own writer with the settings that are safe and fast.
package parquetio

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"

	"github.com/flightd/flightd/internal/fault"
)

// File is an open Parquet file. It holds the footer; rows are read from the ReaderAt when they are asked for. Its methods
// may be called by several goroutines at once.
type File struct {
	name    string
	file    *parquet.File
	size    int64
	columns []*node
	schema  *arrow.Schema
}

// Open reads and checks the footer. name is how errors call the file.
func Open(r io.ReaderAt, size int64, name string) (f *File, err error) {
	if err := checkMagic(r, size, name); err != nil {
		return nil, err
	}
	f = &File{name: name, size: size}
	err = f.guard(-1, "", func() error {
		f.file, err = parquet.OpenFile(r, size, parquet.SkipBloomFilters(true), parquet.SkipPageIndex(true),
			parquet.FileReadMode(parquet.ReadModeSync))
		if err != nil {
			return err
		}
		return f.readFooter()
	})
	if err != nil {
		return nil, err
	}
	return f, nil
}

func checkMagic(r io.ReaderAt, size int64, name string) error {
	var magic [4]byte
	if size < 12 {
		return fault.New(fault.DataLoss, "%s: not a Parquet file: it has only %d bytes", name, size)
	}
	if _, err := r.ReadAt(magic[:], size-4); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	switch string(magic[:]) {
	case "PAR1":
		return nil
	case "PARE":
		return fault.New(fault.Unimplemented, "%s: the file is encrypted; encrypted Parquet cannot be read", name)
	}
	return fault.New(fault.DataLoss, "%s: not a Parquet file, or cut off: it does not end in PAR1", name)
}

func (f *File) readFooter() error {
	meta := f.file.Metadata()
	columns, err := readSchema(meta.Schema)
	if err != nil {
		return err
	}
	for _, kv := range meta.KeyValueMetadata {
		if kv.Key == "ARROW:schema" {
			applyStored(columns, kv.Value)
		}
	}
	fields := make([]arrow.Field, len(columns))
	for i, c := range columns {
		fields[i] = c.field()
		fields[i].Nullable = true
	}
	f.columns, f.schema = columns, arrow.NewSchema(fields, nil)
	var rows int64
	for i := range meta.RowGroups {
		n := meta.RowGroups[i].NumRows
		if n < 0 || rows+n < rows {
			return fmt.Errorf("row group %d claims %d rows", i, n)
		}
		rows += n
		if len(meta.RowGroups[i].Columns) != leavesOf(columns) {
			return fmt.Errorf("row group %d has %d column chunks where the schema has %d columns", i, len(meta.RowGroups[i].Columns), leavesOf(columns))
		}
	}
	if rows != meta.NumRows {
		return fmt.Errorf("the footer counts %d rows and its row groups %d", meta.NumRows, rows)
	}
	return nil
}

func leavesOf(nodes []*node) int {
	n := 0
	for _, c := range nodes {
		if c.kind == leafNode {
			n++
		}
		n += leavesOf(c.children)
	}
	return n
}

// Schema holds the columns as pyarrow would read them, dictionaries decoded. Every column is nullable.
func (f *File) Schema() *arrow.Schema { return f.schema }

// NumRows is the number of rows in the file.
func (f *File) NumRows() int64 { return f.file.NumRows() }

// RowGroups is the number of row groups.
func (f *File) RowGroups() int { return len(f.file.Metadata().RowGroups) }

// RowGroupRows is the number of rows of a row group.
func (f *File) RowGroupRows(rg int) int64 { return f.file.Metadata().RowGroups[rg].NumRows }

// Metadata looks up a key of the file's key-value metadata.
func (f *File) Metadata(key string) (string, bool) {
	for _, kv := range f.file.Metadata().KeyValueMetadata {
		if kv.Key == key {
			return kv.Value, true
		}
	}
	return "", false
}

// Bytes is the stored size of a column in a row group.
func (f *File) Bytes(rg, column int) int64 {
	var n int64
	for _, leaf := range leafIndexes(f.columns[column]) {
		n += f.chunk(rg, leaf).TotalCompressedSize
	}
	return n
}

func (f *File) chunk(rg, leaf int) *format.ColumnMetaData {
	return &f.file.Metadata().RowGroups[rg].Columns[leaf].MetaData
}

func leafIndexes(n *node) []int {
	if n.kind == leafNode {
		return []int{n.leaf}
	}
	var all []int
	for _, c := range n.children {
		all = append(all, leafIndexes(c)...)
	}
	return all
}

// Range returns bounds on the non-null values of an integer, date or timestamp column, from the statistics of the column
// chunk, in the column's own unit. lo > hi means that there is no such value; not ok that nothing is known.
func (f *File) Range(rg, column int) (lo, hi int64, ok bool) {
	n := f.columns[column]
	if n.kind != leafNode {
		return 0, 0, false
	}
	width := 0
	switch n.typ.ID() {
	case arrow.INT8, arrow.INT16, arrow.INT32, arrow.DATE32:
		width = 4
	case arrow.INT64, arrow.TIMESTAMP:
		width = 8
	}
	chunk := f.chunk(rg, n.leaf)
	if width == 0 || chunk.Type == format.Int96 {
		return 0, 0, false
	}
	least, most := chunk.Statistics.MinValue, chunk.Statistics.MaxValue
	if least == nil && most == nil { // the older pair of fields, which is right for signed numbers
		least, most = chunk.Statistics.Min, chunk.Statistics.Max
	}
	if len(least) != width || len(most) != width {
		return 0, 0, false
	}
	if width == 4 {
		return int64(int32(binary.LittleEndian.Uint32(least))), int64(int32(binary.LittleEndian.Uint32(most))), true
	}
	return int64(binary.LittleEndian.Uint64(least)), int64(binary.LittleEndian.Uint64(most)), true
}

// guard runs work that looks at untrusted bytes and gives its errors, and its panics, a place and a kind.
func (f *File) guard(rg int, column string, work func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = f.broken(rg, column, fmt.Errorf("the reader gave up: %v", p))
		}
	}()
	if err := work(); err != nil {
		return f.broken(rg, column, err)
	}
	return nil
}

func (f *File) broken(rg int, column string, err error) error {
	var known *fault.Error
	if errors.As(err, &known) || fault.IsContext(err) {
		return err
	}
	where := f.name
	if rg >= 0 {
		where += fmt.Sprintf(": row group %d", rg)
	}
	if column != "" {
		where += fmt.Sprintf(": column %q", column)
	}
	return fault.New(fault.DataLoss, "%s: %w", where, err)
}

// codecs are those that read right. lz4_raw is not among them yet: some of its pages come out wrong.
var codecs = map[format.CompressionCodec]bool{
	format.Uncompressed: true, format.Snappy: true, format.Gzip: true, format.Brotli: true, format.Zstd: true,
}

// checkChunk refuses what cannot be read before a page of it is touched.
func (f *File) checkChunk(rg int, n *node, leaf int) error {
	c := f.chunk(rg, leaf)
	if !codecs[c.Codec] {
		return fault.New(fault.Unimplemented, "%s: column %q is compressed with %s, which cannot be read; write it with snappy, zstd, gzip, "+
			"brotli or none", f.name, n.name, c.Codec)
	}
	for _, e := range c.Encoding {
		if e < format.Plain || e > format.ByteStreamSplit || e == 1 {
			return fault.New(fault.Unimplemented, "%s: column %q has the encoding %s, which cannot be read", f.name, n.name, e)
		}
	}
	if c.TotalCompressedSize < 0 || c.TotalUncompressedSize < 0 || c.DataPageOffset < 0 || c.DataPageOffset > f.size ||
		c.TotalCompressedSize > f.size {
		return f.broken(rg, n.name, errors.New("the column chunk lies outside the file"))
	}
	if n.kind == leafNode && n.rep == 0 && c.NumValues != f.RowGroupRows(rg) {
		return f.broken(rg, n.name, fmt.Errorf("the column chunk counts %d values in a row group of %d rows", c.NumValues, f.RowGroupRows(rg)))
	}
	return nil
}
