package parquetio

import (
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// The structures of the file, cut down to what reading needs: the rest, statistics of pages above all, is skipped when
// they are decoded. Fields keep the names of the Parquet specification.

type fileMetaData struct {
	Schema              thrift.Slice[format.SchemaElement] `thrift:"2,required"`
	NumRows             int64                              `thrift:"3,required"`
	RowGroups           thrift.Slice[rowGroupMetaData]     `thrift:"4,required"`
	KeyValueMetadata    thrift.Slice[keyValue]             `thrift:"5,optional"`
	CreatedBy           string                             `thrift:"6,optional"`
	EncryptionAlgorithm format.EncryptionAlgorithm         `thrift:"8,optional"`
}

type keyValue struct {
	Key   string `thrift:"1,required"`
	Value string `thrift:"2,optional"`
}

type rowGroupMetaData struct {
	Columns thrift.Slice[columnChunk] `thrift:"1,required"`
	NumRows int64                     `thrift:"3,required"`
}

type columnChunk struct {
	FilePath                string                      `thrift:"1,optional"`
	MetaData                columnMetaData              `thrift:"3,optional"`
	OffsetIndexOffset       int64                       `thrift:"4,optional"`
	OffsetIndexLength       int32                       `thrift:"5,optional"`
	CryptoMetadata          format.ColumnCryptoMetaData `thrift:"8,optional"`
	EncryptedColumnMetadata []byte                      `thrift:"9,optional"`
}

type columnMetaData struct {
	Type                  format.Type             `thrift:"1,required"`
	Codec                 format.CompressionCodec `thrift:"4,required"`
	NumValues             int64                   `thrift:"5,required"`
	TotalUncompressedSize int64                   `thrift:"6,required"`
	TotalCompressedSize   int64                   `thrift:"7,required"`
	DataPageOffset        int64                   `thrift:"9,required"`
	DictionaryPageOffset  int64                   `thrift:"11,optional"`
	Statistics            statistics              `thrift:"12,optional"`
}

type statistics struct {
	Max      []byte `thrift:"1"`
	Min      []byte `thrift:"2"`
	MaxValue []byte `thrift:"5"`
	MinValue []byte `thrift:"6"`
}

type pageHeader struct {
	Type                 format.PageType                   `thrift:"1,required"`
	UncompressedPageSize int32                             `thrift:"2,required"`
	CompressedPageSize   int32                             `thrift:"3,required"`
	CRC                  thrift.Null[int32]                `thrift:"4,optional"`
	DataPageHeader       thrift.Null[dataPageHeader]       `thrift:"5,optional"`
	DictionaryPageHeader thrift.Null[dictionaryPageHeader] `thrift:"7,optional"`
	DataPageHeaderV2     thrift.Null[dataPageHeaderV2]     `thrift:"8,optional"`
}

type dataPageHeader struct {
	NumValues               int32           `thrift:"1,required"`
	Encoding                format.Encoding `thrift:"2,required"`
	DefinitionLevelEncoding format.Encoding `thrift:"3,required"`
	RepetitionLevelEncoding format.Encoding `thrift:"4,required"`
}

type dictionaryPageHeader struct {
	NumValues int32           `thrift:"1,required"`
	Encoding  format.Encoding `thrift:"2,required"`
}

type dataPageHeaderV2 struct {
	NumValues                  int32             `thrift:"1,required"`
	Encoding                   format.Encoding   `thrift:"4,required"`
	DefinitionLevelsByteLength int32             `thrift:"5,required"`
	RepetitionLevelsByteLength int32             `thrift:"6,required"`
	IsCompressed               thrift.Null[bool] `thrift:"7,optional"`
}

type offsetIndex struct {
	PageLocations thrift.Slice[format.PageLocation] `thrift:"1,required"`
}
