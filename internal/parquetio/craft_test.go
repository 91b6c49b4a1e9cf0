package parquetio

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// crafted is a Parquet file of one column in one row group, made byte by byte: writers do not write what is tested here.
type crafted struct {
	physical format.Type
	length   int32
	logical  format.LogicalType
	optional bool
	list     bool // the elements of a list, which may be null; then optional says that the list may be, too
	codec    format.CompressionCodec
	rows     int64
	values   int64 // as the chunk counts them; 0: rows
	pages    []craftedPage
	change   func(*fileMetaData)
}

type craftedPage struct {
	header pageHeader
	body   []byte
}

// v1 is a data page that is stored as it is.
func v1(n int32, enc format.Encoding, body []byte) craftedPage {
	size := int32(len(body))
	return craftedPage{body: body, header: pageHeader{Type: format.DataPage, UncompressedPageSize: size, CompressedPageSize: size,
		DataPageHeader: thrift.New(dataPageHeader{NumValues: n, Encoding: enc, DefinitionLevelEncoding: format.RLE, RepetitionLevelEncoding: format.RLE})}}
}

func dictionary(n int32, body []byte) craftedPage {
	size := int32(len(body))
	return craftedPage{body: body, header: pageHeader{Type: format.DictionaryPage, UncompressedPageSize: size, CompressedPageSize: size,
		DictionaryPageHeader: thrift.New(dictionaryPageHeader{NumValues: n, Encoding: format.Plain})}}
}

// levelsBody is the level bytes of a page, each kind after its length, and the values.
func levelsBody(values []byte, kinds ...[]byte) []byte {
	var body []byte
	for _, levels := range kinds {
		body = binary.LittleEndian.AppendUint32(body, uint32(len(levels)))
		body = append(body, levels...)
	}
	return append(body, values...)
}

// run is a run of n times one value of at most eight bits.
func run(n uint64, value byte) []byte { return append(binary.AppendUvarint(nil, n<<1), value) }

func (c *crafted) bytes(t *testing.T) []byte {
	t.Helper()
	protocol := new(thrift.CompactProtocol)
	marshal := func(v any) []byte {
		raw, err := thrift.Marshal(protocol, v)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	file := []byte("PAR1")
	for _, p := range c.pages {
		file = append(file, marshal(p.header)...)
		file = append(file, p.body...)
	}
	repetition := format.Required
	if c.optional {
		repetition = format.Optional
	}
	leaf := format.SchemaElement{Name: "x", Type: thrift.New(c.physical), TypeLength: thrift.Null[int32]{V: c.length, Valid: c.length > 0},
		RepetitionType: thrift.New(repetition), LogicalType: c.logical}
	schema := []format.SchemaElement{{Name: "schema", NumChildren: thrift.New(int32(1))}, leaf}
	if c.list {
		leaf.Name, leaf.RepetitionType = "element", thrift.New(format.Optional)
		schema = []format.SchemaElement{schema[0],
			{Name: "x", RepetitionType: thrift.New(repetition), NumChildren: thrift.New(int32(1)), LogicalType: format.LogicalType{Value: new(format.ListType)}},
			{Name: "list", RepetitionType: thrift.New(format.Repeated), NumChildren: thrift.New(int32(1))}, leaf}
	}
	values := c.values
	if values == 0 {
		values = c.rows
	}
	meta := &fileMetaData{Schema: schema, NumRows: c.rows, RowGroups: []rowGroupMetaData{{NumRows: c.rows, Columns: []columnChunk{{
		MetaData: columnMetaData{Type: c.physical, Codec: c.codec, NumValues: values, TotalCompressedSize: int64(len(file) - 4),
			TotalUncompressedSize: int64(len(file) - 4), DataPageOffset: 4}}}}}}
	if c.change != nil {
		c.change(meta)
	}
	footer := marshal(meta)
	file = append(file, footer...)
	file = binary.LittleEndian.AppendUint32(file, uint32(len(footer)))
	return append(file, "PAR1"...)
}

// open opens the file.
func (c *crafted) open(t *testing.T) (*File, error) {
	t.Helper()
	data := c.bytes(t)
	return Open(bytes.NewReader(data), int64(len(data)), "bomb.parquet")
}
