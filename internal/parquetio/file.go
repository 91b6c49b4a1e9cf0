// Package parquetio reads and writes Parquet files.
//
// Reading finds the pages of a file itself, leaves the encodings of their values to parquet-go, and makes Arrow arrays in
// the caller's goroutine. No byte of a file is trusted: every length is checked before something is allocated or decoded
// for it, everything runs under recover, and whatever is wrong is an error that names the file, the row group and the
// column (fault.DataLoss), or the encoding that cannot be read (fault.Unimplemented). Writing encodes
// Arrow arrays in the plain encoding, with checksums, statistics and an index of the pages, into new files or after the row
// groups of existing ones.
package parquetio

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"unsafe"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/flightd/flightd/internal/fault"
)

// File is an open Parquet file. It holds the footer; rows are read from the ReaderAt when they are asked for. Its methods
// may be called by several goroutines at once.
type File struct {
	name     string
	from     io.ReaderAt
	size     int64
	rows     int64
	columns  []*node
	schema   *arrow.Schema
	groups   []rowGroup
	metadata map[string]string
}

// Open reads and checks the footer. name is how errors call the file.
func Open(r io.ReaderAt, size int64, name string) (f *File, err error) {
	f = &File{name: name, from: r, size: size}
	err = f.guard(-1, "", func() error {
		meta, err := footerOf(r, size)
		if err != nil {
			return err
		}
		return f.take(meta)
	})
	if err != nil {
		return nil, err
	}
	return f, nil
}

// storedSchema is the key of the Arrow schema that the writer had.
const storedSchema = "ARROW:schema"

// take keeps what reading needs of a footer. Its texts are copied: those of the footer share its memory.
func (f *File) take(meta *fileMetaData) error {
	var err error
	if f.columns, err = readSchema(meta.Schema); err != nil {
		return err
	}
	f.metadata = make(map[string]string)
	for _, kv := range meta.KeyValueMetadata {
		if kv.Key == storedSchema {
			applyStored(f.columns, kv.Value)
		} else {
			f.metadata[strings.Clone(kv.Key)] = strings.Clone(kv.Value)
		}
	}
	fields := make([]arrow.Field, len(f.columns))
	var leaves []*node
	for i, c := range f.columns {
		fields[i] = c.field()
		fields[i].Nullable = true
		leaves = append(leaves, c.leaves()...)
	}
	f.schema = arrow.NewSchema(fields, nil)
	if f.groups, err = compact(meta, leaves); err != nil {
		return err
	}
	f.rows = meta.NumRows
	return nil
}

// Schema holds the columns as pyarrow would read them, dictionaries decoded. Every column is nullable.
func (f *File) Schema() *arrow.Schema { return f.schema }

// NumRows is the number of rows in the file.
func (f *File) NumRows() int64 { return f.rows }

// RowGroups is the number of row groups.
func (f *File) RowGroups() int { return len(f.groups) }

// RowGroupRows is the number of rows of a row group.
func (f *File) RowGroupRows(rg int) int64 { return f.groups[rg].rows }

// Metadata looks up a key of the file's key-value metadata.
func (f *File) Metadata(key string) (string, bool) {
	value, ok := f.metadata[key]
	return value, ok
}

// Memory is an estimate of the bytes that the file holds in memory: what is left of its footer.
func (f *File) Memory() int64 {
	const perNode = 512 // with its type and its field
	n := int64(perNode)
	leaves := int64(0)
	for _, c := range f.columns {
		n += perNode * c.nodes()
		leaves += int64(len(c.leaves()))
	}
	for key, value := range f.metadata {
		n += int64(64 + len(key) + len(value))
	}
	return n + int64(len(f.groups))*(int64(unsafe.Sizeof(rowGroup{}))+leaves*int64(unsafe.Sizeof(chunk{})))
}

// Bytes is the stored size of a column in a row group.
func (f *File) Bytes(rg, column int) int64 {
	var n int64
	for _, leaf := range f.columns[column].leaves() {
		n += f.chunk(rg, leaf.leaf).size
	}
	return n
}

func (f *File) chunk(rg, leaf int) *chunk { return &f.groups[rg].chunks[leaf] }

// Range returns bounds on the non-null values of an integer, date or timestamp column, from the statistics of the column
// chunk, in the column's own unit. lo > hi means that there is no such value; not ok that nothing is known.
func (f *File) Range(rg, column int) (lo, hi int64, ok bool) {
	n := f.columns[column]
	if n.kind != leafNode {
		return 0, 0, false
	}
	c := f.chunk(rg, n.leaf)
	return c.least, c.most, c.bounded
}

// guard runs work that looks at untrusted bytes and gives its errors, and its panics, a place and a kind.
func (f *File) guard(rg int, column string, work func() error) (err error) {
	defer func() {
		if p := recover(); isFault(p) {
			err = f.placed(rg, column, fault.New(fault.DataLoss, "the file cannot be read any more: it became shorter, or its disk fails"))
		} else if p != nil {
			err = f.placed(rg, column, fault.New(fault.DataLoss, "%s", panicText(p)))
		}
	}()
	if err := work(); err != nil {
		return f.placed(rg, column, err)
	}
	return nil
}

// panicText says what a panic over the bytes of a file means. Indexes into dictionaries and offsets of texts are compared
// with what they point into by Go itself.
func panicText(p any) string {
	if e, ok := p.(runtime.Error); ok {
		return "a value points outside its page or dictionary: " + e.Error()
	}
	return fmt.Sprintf("the reader gave up: %v", p)
}

// placed puts the place before an error. What has no kind is broken data.
func (f *File) placed(rg int, column string, err error) error {
	if fault.IsContext(err) {
		return err
	}
	kind := fault.DataLoss
	var known *fault.Error
	if errors.As(err, &known) {
		kind = known.Kind
	}
	where := f.name
	if rg >= 0 {
		where += fmt.Sprintf(": row group %d", rg)
	}
	if column != "" {
		where += fmt.Sprintf(": column %q", column)
	}
	return fault.New(kind, "%s: %w", where, err)
}
