package parquetio

import (
	"encoding/base64"
	"encoding/binary"

	"github.com/parquet-go/parquet-go/format"
	"github.com/zeebo/xxh3"
)

// digestsKey is the footer's key for the digests of the column chunks: base64 of a version, the seal, the number of the
// first row group that flightd wrote, and an xxh3 of the stored bytes of each chunk, 0 where it is not known.
const digestsKey = "flightd.chunks"

const digestsHead = 1 + 8 + 4

func encodeDigests(meta *format.FileMetaData, first int, digests []uint64) string {
	raw := make([]byte, 0, digestsHead+8*len(digests))
	raw = append(raw, 1)
	raw = binary.LittleEndian.AppendUint64(raw, seal(meta))
	raw = binary.LittleEndian.AppendUint32(raw, uint32(first))
	for _, d := range digests {
		raw = binary.LittleEndian.AppendUint64(raw, d)
	}
	return base64.StdEncoding.EncodeToString(raw)
}

// decodeDigests reads what encodeDigests has written about this very file. Other programs keep key-value metadata when
// they write a file anew; the seal tells.
func decodeDigests(meta *format.FileMetaData, text string) (first int, digests []uint64, ok bool) {
	chunks := 0
	for i := range meta.RowGroups {
		chunks += len(meta.RowGroups[i].Columns)
	}
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(raw) != digestsHead+8*chunks || raw[0] != 1 || binary.LittleEndian.Uint64(raw[1:]) != seal(meta) {
		return 0, nil, false
	}
	digests = make([]uint64, chunks)
	for i := range digests {
		digests[i] = binary.LittleEndian.Uint64(raw[digestsHead+8*i:])
	}
	first = int(binary.LittleEndian.Uint32(raw[9:]))
	return first, digests, first <= len(meta.RowGroups)
}

// seal is a hash of where the chunks are, which no two ways to write the same rows have in common.
func seal(meta *format.FileMetaData) uint64 {
	h := xxh3.New()
	var words []byte
	for i := range meta.RowGroups {
		for j := range meta.RowGroups[i].Columns {
			c := &meta.RowGroups[i].Columns[j].MetaData
			words = binary.LittleEndian.AppendUint64(words[:0], uint64(chunkStart(c)))
			words = binary.LittleEndian.AppendUint64(words, uint64(c.TotalCompressedSize))
			words = binary.LittleEndian.AppendUint64(words, uint64(c.NumValues))
			h.Write(words) // a hash does not fail
		}
	}
	return h.Sum64()
}

// chunkStart is where the pages of a chunk begin, its dictionary included.
func chunkStart(c *format.ColumnMetaData) int64 {
	if c.DictionaryPageOffset > 0 && c.DictionaryPageOffset < c.DataPageOffset {
		return c.DictionaryPageOffset
	}
	return c.DataPageOffset
}
