package parquetio

import (
	"bytes"
	"io"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/parquet-go/parquet-go/format"
)

// A page that is broken leaves nothing to the pages after it, which are decompressed with what is used again.
func TestDecompressAfterABrokenPage(t *testing.T) {
	noise := make([]byte, 1<<18)
	for i, x := 0, uint32(1); i < len(noise); i++ {
		x = x*1664525 + 1013904223
		noise[i] = byte(x >> 24)
	}
	for codec, compress := range map[format.CompressionCodec]func(io.Writer) io.WriteCloser{
		format.Brotli: func(w io.Writer) io.WriteCloser { return brotli.NewWriter(w) },
		format.Gzip:   func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) },
	} {
		var page bytes.Buffer
		w := compress(&page)
		_, _ = w.Write(noise)
		_ = w.Close()
		all := page.Bytes()
		for i := range 30 { // what is used again may be dropped at any time
			size, broken := len(noise), all[:len(all)/2]
			switch i % 3 {
			case 1:
				broken = append(bytes.Clone(all), 1, 2, 3)
			case 2:
				size, broken = 100, all
			}
			if err := decompress(codec, make([]byte, size), broken); err == nil {
				t.Errorf("%s: half a page, one with more behind it, or one of another size was decompressed", codec)
			}
			got := make([]byte, len(noise))
			if err := decompress(codec, got, all); err != nil || !bytes.Equal(got, noise) {
				t.Fatalf("%s, after a broken page: %v", codec, err)
			}
		}
	}
}
