package parquetio

import (
	"github.com/klauspost/compress/s2"
	"github.com/parquet-go/parquet-go/compress"
	"github.com/parquet-go/parquet-go/compress/brotli"
	"github.com/parquet-go/parquet-go/compress/gzip"
	"github.com/parquet-go/parquet-go/compress/zstd"
	"github.com/parquet-go/parquet-go/format"
)

// New files are compressed with snappy, which is fast. What is added to a file keeps to the file's compression, because
// some readers take one for all row groups of a column.
var compressors = map[format.CompressionCodec]compress.Codec{
	format.Gzip:   &gzip.Codec{Level: gzip.DefaultCompression},
	format.Brotli: &brotli.Codec{Quality: brotli.DefaultQuality, LGWin: brotli.DefaultLGWin},
	format.Zstd:   &zstd.Codec{Level: zstd.SpeedFastest},
}

// codecFor is the compression for what is added to a file that has one: snappy instead of those that only old files have.
func codecFor(have format.CompressionCodec) format.CompressionCodec {
	if have == format.Uncompressed || compressors[have] != nil {
		return have
	}
	return format.Snappy
}

// appendCompressed appends the compressed form of a page's values.
func appendCompressed(dst, plain []byte, codec format.CompressionCodec) ([]byte, error) {
	switch codec {
	case format.Uncompressed:
		return append(dst, plain...), nil
	case format.Snappy:
		return appendSnappy(dst, plain), nil
	}
	packed, err := compressors[codec].Encode(nil, plain)
	return append(dst, packed...), err
}

func appendSnappy(dst, plain []byte) []byte {
	at := len(dst)
	need := at + s2.MaxEncodedLen(len(plain))
	if cap(dst) < need {
		dst = append(make([]byte, 0, need), dst...)
	}
	return dst[:at+len(s2.EncodeSnappy(dst[at:need], plain))]
}
