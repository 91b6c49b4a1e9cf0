package parquetio

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go/format"
	"github.com/pierrec/lz4/v4"
)

// codecs are the compressions that decompress knows.
var codecs = map[format.CompressionCodec]bool{
	format.Uncompressed: true, format.Snappy: true, format.Gzip: true, format.Brotli: true, format.Zstd: true, format.Lz4Raw: true, format.Lz4: true,
}

// decompress fills dst, whose length is what the page header says, or fails. parquet-go's own codecs are not used: they
// allocate what the compressed bytes ask for, without end for some, and its lz4_raw drops what it had to allocate.
func decompress(codec format.CompressionCodec, dst, src []byte) error {
	switch codec {
	case format.Snappy:
		if n, err := snappy.DecodedLen(src); err != nil || n != len(dst) {
			return errors.Join(err, errSize)
		}
		_, err := snappy.Decode(dst, src)
		return err
	case format.Zstd:
		return unzstd(dst, src)
	case format.Gzip:
		r := gzips.Get().(*gzip.Reader)
		defer gzips.Put(r)
		if err := r.Reset(bytes.NewReader(src)); err != nil {
			return err
		}
		return fill(dst, r)
	case format.Brotli:
		r := brotlis.Get().(*brotli.Reader)
		err := r.Reset(bytes.NewReader(src))
		if err == nil {
			err = fill(dst, r)
		}
		if err == nil {
			brotlis.Put(r) // Reset leaves to one that has not come to its end what it had still to read
		}
		return err
	case format.Lz4Raw:
		return unlz4(dst, src)
	case format.Lz4:
		if unhadoop(dst, src) == nil {
			return nil
		}
		return unlz4(dst, src) // some writers never framed it
	}
	return fmt.Errorf("unknown compression %s", codec)
}

var errSize = errors.New("the page decompresses to another size than its header says")

var (
	gzips   = sync.Pool{New: func() any { return new(gzip.Reader) }}
	brotlis = sync.Pool{New: func() any { return brotli.NewReader(nil) }}
)

// fill reads exactly len(dst) bytes, which must be all there are.
func fill(dst []byte, r io.Reader) error {
	if _, err := io.ReadFull(r, dst); err != nil {
		return err
	}
	var one [1]byte
	switch n, err := io.ReadFull(r, one[:]); {
	case n != 0:
		return errSize
	case err != io.EOF:
		return err
	}
	return nil
}

// zstds decodes whole buffers without goroutines of its own, as many at once as there are processors.
var zstds = sync.OnceValues(func() (*zstd.Decoder, error) {
	return zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecodeAllCapLimit(true))
})

func unzstd(dst, src []byte) error {
	d, err := zstds()
	if err != nil {
		return err
	}
	out, err := d.DecodeAll(src, dst[:0:len(dst)])
	if err == nil && len(out) != len(dst) {
		err = errSize
	}
	return err
}

func unlz4(dst, src []byte) error {
	n, err := lz4.UncompressBlock(src, dst)
	if err == nil && n != len(dst) {
		err = errSize
	}
	return err
}

// unhadoop decodes the frames that Hadoop puts around lz4 blocks: the size of a stretch of data, then blocks, each after
// its compressed size, until the stretch is full. Both sizes are big-endian.
func unhadoop(dst, src []byte) error {
	for len(dst) > 0 {
		if len(src) < 4 {
			return io.ErrUnexpectedEOF
		}
		stretch := int64(binary.BigEndian.Uint32(src))
		src = src[4:]
		if stretch > int64(len(dst)) {
			return errSize
		}
		for stretch > 0 {
			if len(src) < 4 {
				return io.ErrUnexpectedEOF
			}
			block := int64(binary.BigEndian.Uint32(src))
			if src = src[4:]; block == 0 || block > int64(len(src)) {
				return io.ErrUnexpectedEOF
			}
			n, err := lz4.UncompressBlock(src[:block], dst[:stretch])
			if err != nil {
				return err
			}
			dst, src, stretch = dst[n:], src[block:], stretch-int64(n)
		}
	}
	if len(src) > 0 {
		return errSize
	}
	return nil
}
