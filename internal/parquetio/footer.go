package parquetio

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unsafe"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/parquet-go/parquet-go/format"

	"github.com/flightd/flightd/internal/fault"
)

const (
	footerMax  = 128 << 20 // bytes of a footer; pyarrow reads up to 100 MB
	footerTail = 64 << 10  // what is read at first from the end of a file: most footers are inside
	signature  = 28        // bytes after the footer of a file with encrypted columns
	forgotten  = 100       // bytes that old parquet-mr may have left out of the size of a column chunk, as pyarrow allows
)

// rowGroup is what reading needs of a row group's description.
type rowGroup struct {
	rows   int64
	chunks []chunk
}

// chunk is what reading needs of a column chunk's description. Much else is in the footer, and footers are remembered.
type chunk struct {
	values       int64 // nulls included
	start, size  int64 // of its pages in the file
	uncompressed int64
	index        int64 // of the offset index in the file; 0: none
	indexSize    int32
	codec        format.CompressionCodec
	physical     format.Type
	elsewhere    bool // in another file
	encrypted    bool
	short        bool  // size may be too small
	least, most  int64 // bounds on the values of an integer or time column
	bounded      bool  // whether they are known
}

// footerOf reads and decodes the footer. A file that is no Parquet file is said to be none.
func footerOf(r io.ReaderAt, size int64) (*fileMetaData, error) {
	if size < 12 {
		return nil, fault.New(fault.DataLoss, "not a Parquet file: it has only %d bytes", size)
	}
	tail := make([]byte, min(size, footerTail))
	if err := readFull(r, tail, size-int64(len(tail))); err != nil {
		return nil, err
	}
	switch magic := string(tail[len(tail)-4:]); magic {
	case "PAR1":
	case "PARE":
		return nil, fault.New(fault.Unimplemented, "the file is encrypted; encrypted Parquet cannot be read")
	default:
		return nil, fault.New(fault.DataLoss, "not a Parquet file, or cut off: it does not end in PAR1")
	}
	length := int64(binary.LittleEndian.Uint32(tail[len(tail)-8:]))
	if length > size-12 {
		return nil, fmt.Errorf("a footer of %d bytes in a file of %d", length, size)
	}
	if length > footerMax {
		return nil, fault.New(fault.Unimplemented, "a footer of %d bytes; more than %d cannot be read: write fewer columns or larger row groups",
			length, footerMax)
	}
	if length+8 > int64(len(tail)) {
		tail = make([]byte, length+8)
		if err := readFull(r, tail, size-length-8); err != nil {
			return nil, err
		}
	}
	return decodeFooter(tail[int64(len(tail))-8-length : len(tail)-8])
}

func decodeFooter(data []byte) (*fileMetaData, error) {
	meta := new(fileMetaData)
	n, err := decodeThrift(data, meta, footerWeight)
	if err != nil {
		return nil, fmt.Errorf("its footer: %w", err)
	}
	if left := len(data) - n; left != 0 && !(left == signature && meta.EncryptionAlgorithm.Value != nil) {
		return nil, fmt.Errorf("its footer: %d bytes are left over", left)
	}
	return meta, nil
}

// footerWeight is the size in memory of an element of a list in the footer.
func footerWeight(path []int16) int64 {
	switch {
	case slices.Equal(path, []int16{2}):
		return int64(unsafe.Sizeof(format.SchemaElement{}))
	case slices.Equal(path, []int16{4}):
		return int64(unsafe.Sizeof(rowGroupMetaData{}))
	case slices.Equal(path, []int16{4, 0, 1}):
		return int64(unsafe.Sizeof(columnChunk{}))
	}
	return 32
}

// readFull reads all of p, which lies inside the file.
func readFull(r io.ReaderAt, p []byte, off int64) error {
	n, err := r.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// compact keeps what reading needs of the row groups, and checks that they fit the schema and each other.
func compact(meta *fileMetaData, leaves []*node) ([]rowGroup, error) {
	groups := make([]rowGroup, len(meta.RowGroups))
	short := forgetful(meta.CreatedBy)
	var rows int64
	for i := range meta.RowGroups {
		from := &meta.RowGroups[i]
		if from.NumRows < 0 || rows+from.NumRows < rows {
			return nil, fmt.Errorf("row group %d claims %d rows", i, from.NumRows)
		}
		rows += from.NumRows
		if len(from.Columns) != len(leaves) {
			return nil, fmt.Errorf("row group %d has %d column chunks where the schema has %d columns", i, len(from.Columns), len(leaves))
		}
		groups[i] = rowGroup{rows: from.NumRows, chunks: make([]chunk, len(leaves))}
		for j := range from.Columns {
			groups[i].chunks[j] = compactChunk(&from.Columns[j], leaves[j])
			groups[i].chunks[j].short = short
		}
	}
	if rows != meta.NumRows {
		return nil, fmt.Errorf("the footer counts %d rows and its row groups %d", meta.NumRows, rows)
	}
	return groups, nil
}

// forgetful says whether a file comes from a parquet-mr before 1.2.9, which forgot the dictionary's header (PARQUET-816).
func forgetful(createdBy string) bool {
	version, ok := strings.CutPrefix(createdBy, "parquet-mr")
	if !ok {
		return false
	}
	var major, minor, patch int
	n, _ := fmt.Sscanf(version, " version %d.%d.%d", &major, &minor, &patch)
	return n == 0 || major == 0 || major == 1 && (minor < 2 || minor == 2 && patch < 9)
}

func compactChunk(from *columnChunk, leaf *node) chunk {
	m := &from.MetaData
	c := chunk{
		values: m.NumValues, start: m.DataPageOffset, size: m.TotalCompressedSize, uncompressed: m.TotalUncompressedSize,
		index: from.OffsetIndexOffset, indexSize: from.OffsetIndexLength, codec: m.Codec, physical: m.Type,
		elsewhere: from.FilePath != "", encrypted: from.CryptoMetadata.Value != nil || len(from.EncryptedColumnMetadata) > 0,
	}
	if at := m.DictionaryPageOffset; at > 0 && at < c.start { // some writers give 0, or an offset behind the data, for none
		c.start = at
	}
	c.bound(leaf, &m.Statistics)
	return c
}

// bound takes over the statistics of an integer, date or timestamp column. Those of unsigned columns are wrong in the
// files of some writers.
func (c *chunk) bound(leaf *node, s *statistics) {
	width := 0
	switch leaf.typ.ID() {
	case arrow.INT8, arrow.INT16, arrow.INT32, arrow.DATE32:
		width = 4
	case arrow.INT64, arrow.TIMESTAMP:
		width = 8
	}
	if width == 0 || c.physical == format.Int96 {
		return
	}
	least, most := s.MinValue, s.MaxValue
	if least == nil && most == nil { // the older pair of fields, which is right for signed numbers
		least, most = s.Min, s.Max
	}
	if len(least) != width || len(most) != width {
		return
	}
	if width == 4 {
		c.least, c.most = int64(int32(binary.LittleEndian.Uint32(least))), int64(int32(binary.LittleEndian.Uint32(most)))
	} else {
		c.least, c.most = int64(binary.LittleEndian.Uint64(least)), int64(binary.LittleEndian.Uint64(most))
	}
	c.bounded = c.least <= c.most // otherwise they say nothing
}

// checkChunk refuses what cannot be read before a byte of it is.
func (f *File) checkChunk(rg int, leaf *node) error {
	c := f.chunk(rg, leaf.leaf)
	switch {
	case c.encrypted:
		return fault.New(fault.Unimplemented, "it is encrypted, which cannot be read")
	case c.elsewhere:
		return fault.New(fault.Unimplemented, "its values are in another file, which cannot be read")
	case !codecs[c.codec]:
		return fault.New(fault.Unimplemented, "it is compressed with %s (%d), which cannot be read; write it with snappy, zstd, lz4, gzip, brotli or none",
			c.codec, c.codec)
	case c.physical != leaf.physical:
		return fmt.Errorf("the column chunk has values of type %s where the schema says %s", c.physical, leaf.physical)
	case c.values > 0 && (c.start < 4 || c.size < 0 || c.start > f.size-8 || c.size > f.size-8-c.start):
		return errors.New("the column chunk lies outside the file")
	case c.values < 0 || leaf.maxRep == 0 && c.values != f.groups[rg].rows:
		return fmt.Errorf("the column chunk counts %d values in a row group of %d rows", c.values, f.groups[rg].rows)
	}
	return nil
}
