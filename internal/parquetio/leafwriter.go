package parquetio

import (
	"bytes"
	"hash/crc32"
	"math/bits"

	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
	"github.com/zeebo/xxh3"

	"github.com/flightd/flightd/internal/fault"
)

const (
	pageFull    = 256 << 10 // bytes of values at which a page is complete: small enough to fetch single rows
	largestPage = 255 << 20 // that a page may have because its one row is so large; more is not read back
)

// leafWriter makes the pages of one column chunk after the other: values and levels are collected for a page, complete
// pages wait in compressed form until the row group is complete.
type leafWriter struct {
	values   plainValues
	physical format.Type
	codec    format.CompressionCodec
	path     []string
	step     int // rows of a flat column between two looks at the size of the page
	maxDef   byte
	maxRep   byte

	// Of the page:
	plain      []byte
	defs, reps []byte
	rows       int
	entries    int // values, nulls included
	nulls      int

	// Of the chunk:
	pages        bytes.Buffer
	places       []format.PageLocation // offsets from the beginning of the chunk
	rowsBefore   int64                 // in complete pages
	totalEntries int64
	totalNulls   int64
	uncompressed int64

	body, packed []byte // scratch
}

// startRow is called before the first value of each row: pages begin with a row.
func (l *leafWriter) startRow() error {
	l.rows++
	return l.turn(1)
}

// turn ends the page if it is full without the last few rows, which have been counted and have no values yet.
func (l *leafWriter) turn(begun int) error {
	if len(l.plain) < pageFull && len(l.defs) < pageFull && len(l.reps) < pageFull {
		return nil
	}
	l.rows -= begun
	err := l.endPage()
	l.rows = begun
	return err
}

// missing appends a null, or an empty list, which ends at a definition level.
func (l *leafWriter) missing(def, rep byte) {
	l.levels(1, def, rep)
	l.nulls++
}

// levels appends n times the levels of one value.
func (l *leafWriter) levels(n int, def, rep byte) {
	l.entries += n
	if l.maxDef > 0 {
		l.defs = appendRepeated(l.defs, def, n)
	}
	if l.maxRep > 0 {
		l.reps = appendRepeated(l.reps, rep, n)
	}
}

func appendRepeated(dst []byte, b byte, n int) []byte {
	for range n {
		dst = append(dst, b)
	}
	return dst
}

// append appends values of the bound array that are all there.
func (l *leafWriter) append(lo, hi int, rep byte) (err error) {
	l.plain, err = l.values.appendRange(l.plain, lo, hi)
	l.levels(hi-lo, l.maxDef, rep)
	return err
}

// flat appends rows of a column that is not nested.
func (l *leafWriter) flat(v *shredded, lo, hi int) error {
	for lo < hi {
		end := min(hi, lo+l.step)
		l.rows += end - lo
		if err := l.turn(end - lo); err != nil {
			return err
		}
		for lo < end {
			run := v.run(lo, end)
			if run > 0 {
				if err := v.append(lo, lo+run, 0); err != nil {
					return err
				}
				lo += run
				continue
			}
			if l.maxDef == 0 {
				return errNotNull
			}
			l.missing(l.maxDef-1, 0)
			lo++
		}
	}
	return nil
}

var errNotNull = fault.New(fault.Invalid, "a null where the file has a column without nulls")

// endPage encodes and compresses what has been collected.
func (l *leafWriter) endPage() error {
	if l.entries == 0 {
		return nil
	}
	body := l.body[:0]
	if l.maxRep > 0 {
		body = appendLevels(body, l.reps, bits.Len8(l.maxRep))
	}
	repBytes := len(body)
	if l.maxDef > 0 {
		body = appendLevels(body, l.defs, bits.Len8(l.maxDef))
	}
	levelBytes := len(body)
	l.body = body

	plain := l.plain
	if l.physical == format.Boolean {
		l.packed = packBools(l.packed[:0], l.plain)
		plain = l.packed
	}
	size := levelBytes + len(plain)
	if size > largestPage {
		return fault.New(fault.Invalid, "a row of %d bytes in one column; at most %d MiB can be stored", size, largestPage>>20)
	}
	body, err := appendCompressed(body, plain, l.codec)
	if err != nil {
		return err
	}
	l.body = body
	err = l.putPage(body, size, repBytes, levelBytes-repBytes)
	l.plain, l.defs, l.reps = l.plain[:0], l.defs[:0], l.reps[:0]
	l.rows, l.entries, l.nulls = 0, 0, 0
	return err
}

func (l *leafWriter) putPage(body []byte, size, repBytes, defBytes int) error {
	header, err := thrift.Marshal(new(thrift.CompactProtocol), &format.PageHeader{
		Type:                 format.DataPageV2,
		UncompressedPageSize: int32(size),
		CompressedPageSize:   int32(len(body)),
		CRC:                  int32(crc32.ChecksumIEEE(body)),
		DataPageHeaderV2: thrift.New(format.DataPageHeaderV2{
			NumValues: int32(l.entries), NumNulls: int32(l.nulls), NumRows: int32(l.rows), Encoding: format.Plain,
			DefinitionLevelsByteLength: int32(defBytes), RepetitionLevelsByteLength: int32(repBytes),
			Statistics: format.Statistics{NullCount: int64(l.nulls)},
		}),
	})
	if err != nil {
		return err
	}
	l.places = append(l.places, format.PageLocation{
		Offset: int64(l.pages.Len()), CompressedPageSize: int32(len(header) + len(body)), FirstRowIndex: l.rowsBefore,
	})
	l.pages.Write(header) // a buffer does not fail
	l.pages.Write(body)
	l.uncompressed += int64(len(header) + size)
	l.rowsBefore += int64(l.rows)
	l.totalEntries += int64(l.entries)
	l.totalNulls += int64(l.nulls)
	return nil
}

// held is how many bytes wait in memory.
func (l *leafWriter) held() int {
	return l.pages.Len() + len(l.plain) + len(l.defs) + len(l.reps)
}

// chunk describes the complete chunk that will stand at an offset of the file, and its digest, without writing it.
func (l *leafWriter) chunk(offset int64) (c format.ColumnChunk, digest uint64) {
	least, most := l.values.bounds()
	c = format.ColumnChunk{
		MetaData: format.ColumnMetaData{
			Type: l.physical, Encoding: []format.Encoding{format.Plain, format.RLE}, PathInSchema: l.path, Codec: l.codec,
			NumValues: l.totalEntries, TotalUncompressedSize: l.uncompressed, TotalCompressedSize: int64(l.pages.Len()),
			DataPageOffset: offset,
			Statistics:     format.Statistics{NullCount: l.totalNulls, MinValue: least, MaxValue: most},
		},
	}
	return c, xxh3.Hash(l.pages.Bytes())
}

// reset begins the next chunk.
func (l *leafWriter) reset() {
	l.pages.Reset()
	l.places = l.places[:0]
	l.rowsBefore, l.totalEntries, l.totalNulls, l.uncompressed = 0, 0, 0, 0
}
