package ipcguard

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

type bomb struct {
	name string
	src  Source
}

const mib = 1 << 20

// TestBombs reads small streams that stand for large tables. Each must be refused, and what it made the process allocate
// in all must stay below the budget and 64 MiB.
func TestBombs(t *testing.T) {
	all := slices.Concat(claims(t), frames(t), rowCounts(t), dictionaryBombs(t), lengths(t))
	if len(all) < 50 {
		t.Fatalf("only %d bombs", len(all))
	}
	const budget = 64 * mib
	var worst uint64
	for _, b := range all {
		var before, after runtime.MemStats
		account := &account{limit: budget}
		runtime.ReadMemStats(&before)
		_, recs, err := read(b.src, Limits{Budget: account})
		runtime.ReadMemStats(&after)
		took := after.TotalAlloc - before.TotalAlloc
		worst = max(worst, took)
		if err == nil {
			t.Errorf("%s: %d records were read", b.name, len(recs))
			continue
		}
		checkText(t, err)
		if took > budget+64*mib {
			t.Errorf("%s: %d MiB allocated, %v", b.name, took/mib, err)
		}
		if account.held != 0 {
			t.Errorf("%s: %d bytes stay reserved", b.name, account.held)
		}
	}
	t.Logf("%d bombs, at most %d MiB allocated for one, with a budget of %d MiB", len(all), worst/mib, budget/mib)
}

func stream(messages ...[2][]byte) Source {
	f := flightSource(messages)
	return &f
}

// packed is a batch of one int64 column whose values are compressed and claim that they are n bytes.
func packed(codec int, n int64, values []byte) rawBatch {
	body := append(le(n), values...)
	body = append(body, make([]byte, -len(body)&7)...)
	length := int64(8 + len(values))
	return rawBatch{rows: min(n, 1<<30) / 8, nodes: [][2]int64{{min(n, 1<<30) / 8, 0}}, buffers: [][2]int64{{0, 0}, {0, length}}, codec: codec, body: body}
}

// claims are buffers that say they are large.
func claims(t *testing.T) []bomb {
	var all []bomb
	for codec := codecLZ4; codec <= codecZSTD; codec++ {
		for _, n := range []int64{32 * mib, 1 << 30, 1 << 40, 64 << 40, math.MaxInt64, math.MinInt64, -2} {
			all = append(all, bomb{fmt.Sprintf("codec %d claims %d", codec, n), stream(schemaOf(t, p.Int64), packed(codec, n, []byte("xxxxxxxxxxxx")).record())})
		}
		dict := packed(codec, 64<<40, []byte("xxxxxxxxxxxx"))
		all = append(all, bomb{fmt.Sprintf("codec %d dictionary", codec), stream(schemaOf(t, dictOf(p.Int8, p.Int64)), dict.dictionary(0, false))})
		many := rawBatch{rows: 1, codec: codec} // each claim is small enough, all of them are not
		var types []arrow.DataType
		for i := range int64(1000) {
			types = append(types, p.Int64)
			many.nodes, many.buffers = append(many.nodes, [2]int64{1, 0}), append(many.buffers, [2]int64{}, [2]int64{16 * i, 16})
			many.body = append(many.body, le(int64(16*mib), int64(0))...)
		}
		all = append(all, bomb{fmt.Sprintf("codec %d in 1000 columns", codec), stream(schemaOf(t, types...), many.record())})
	}
	return all
}

// frames are compressed data that is larger, or wants more memory, than the buffer claims.
func frames(t *testing.T) []bomb {
	zeros := make([]byte, 8*mib)
	var z, l bytes.Buffer
	zw, err := zstd.NewWriter(&z)
	if err != nil {
		t.Fatal(err)
	}
	lw := lz4.NewWriter(&l)
	for range 8 {
		if _, err := io.MultiWriter(zw, lw).Write(zeros); err != nil {
			t.Fatal(err)
		}
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	if err := lw.Close(); err != nil {
		t.Fatal(err)
	}
	whole := zw.EncodeAll(zeros, nil) // its header tells the size
	var all []bomb
	for name, c := range map[string]struct {
		codec int
		data  []byte
	}{
		"zstd": {codecZSTD, z.Bytes()}, "lz4": {codecLZ4, l.Bytes()}, "zstd of known size": {codecZSTD, whole},
		"zstd twice": {codecZSTD, bytes.Repeat(whole, 40)},
		// magic, a frame of 8 bytes of content size or of a window, and one block of 128 KiB of the same byte
		"zstd header of 2^60":     {codecZSTD, append(le(uint32(0xFD2FB528), uint8(0xE0), uint64(1<<60)), 3, 0, 16, 0)},
		"zstd window of 2^41":     {codecZSTD, append(le(uint32(0xFD2FB528), uint8(0), uint8(0xFF)), 3, 0, 16, 0)},
		"zstd window of 512 MiB":  {codecZSTD, append(le(uint32(0xFD2FB528), uint8(0), uint8(19<<3)), 3, 0, 16, 0)},
		"zstd skippable of 4 GiB": {codecZSTD, le(uint32(0x184D2A50), uint32(math.MaxUint32), uint64(0))},
		"lz4 of 4 MiB blocks":     {codecLZ4, le(uint32(0x184D2204), uint8(0x40), uint8(0x70), uint8(0xDF), uint32(4*mib), uint64(0))},
		"lz4 skippable of 4 GiB":  {codecLZ4, le(uint32(0x184D2A50), uint32(math.MaxUint32), uint64(0))},
		"lz4 legacy":              {codecLZ4, le(uint32(0x184C2102), uint32(8*mib), uint64(0))},
	} {
		for _, claim := range []int64{8, 4096, 16 * mib} {
			all = append(all, bomb{fmt.Sprintf("%s claimed as %d", name, claim), stream(schemaOf(t, p.Int64), packed(c.codec, claim, c.data).record())})
		}
	}
	return all
}

// rowCounts are batches of more rows than their bytes can hold.
func rowCounts(t *testing.T) []bomb {
	var all []bomb
	add := func(name string, typ arrow.DataType, b rawBatch) {
		b.codec = codecNone
		all = append(all, bomb{name, stream(schemaOf(t, typ), b.record())})
	}
	for _, n := range []int64{1<<20 + 1, 1 << 31, 1 << 40, 1 << 62, math.MaxInt64} {
		one, none := [][2]int64{{n, n}}, [][2]int64{{0, 0}, {0, 0}}
		add(fmt.Sprint(n, " nulls"), arrow.Null, rawBatch{rows: n, nodes: one})
		add(fmt.Sprint(n, " of no width"), &arrow.FixedSizeBinaryType{}, rawBatch{rows: n, nodes: [][2]int64{{n, 0}}, buffers: none})
		add(fmt.Sprint(n, " structs of nothing"), arrow.StructOf(), rawBatch{rows: n, nodes: [][2]int64{{n, 0}}, buffers: none[:1]})
		add(fmt.Sprint(n, " unions of nothing"), arrow.SparseUnionOf(nil, nil), rawBatch{rows: n, nodes: [][2]int64{{n, 0}}, buffers: none[:1]})
		add(fmt.Sprint(n, " nulls in a list"), arrow.ListOf(arrow.Null), rawBatch{rows: 1, nodes: [][2]int64{{1, 0}, {n, n}},
			buffers: [][2]int64{{0, 0}, {0, 8}}, body: le(int32(0), int32(min(n, math.MaxInt32)))})
		add(fmt.Sprint(n, " nulls in a large list"), arrow.LargeListOf(arrow.Null), rawBatch{rows: 1, nodes: [][2]int64{{1, 0}, {n, n}},
			buffers: [][2]int64{{0, 0}, {0, 16}}, body: le(int64(0), n)})
		add(fmt.Sprint(n, " int64"), p.Int64, rawBatch{rows: n, nodes: [][2]int64{{n, 0}}, buffers: [][2]int64{{0, 0}, {0, 8}}, body: make([]byte, 8)})
	}
	wide := arrow.FixedSizeListOf(math.MaxInt32, arrow.FixedSizeListOf(math.MaxInt32, arrow.FixedSizeListOf(math.MaxInt32, arrow.Null)))
	nodes := [][2]int64{{4, 0}, {4 * math.MaxInt32, 0}, {math.MaxInt64, 0}, {math.MaxInt64, 0}}
	add("fixed-size lists in each other", wide, rawBatch{rows: 4, nodes: nodes, buffers: [][2]int64{{0, 0}, {0, 0}, {0, 0}}})
	add("wide binary", &arrow.FixedSizeBinaryType{ByteWidth: math.MaxInt32}, rawBatch{rows: mib, nodes: [][2]int64{{mib, 0}}, buffers: [][2]int64{{0, 0}, {0, 8}}, body: make([]byte, 8)})
	all = append(all, bomb{"rows without columns", stream(schemaOf(t), rawBatch{rows: 1 << 40, codec: codecNone}.record())})
	return all
}

// dictionaryBombs make a little cost much: deltas that are put together again for every batch.
func dictionaryBombs(t *testing.T) []bomb {
	text := strings.Repeat("x", 4*mib)
	base := rawBatch{rows: 1, nodes: [][2]int64{{1, 0}}, buffers: [][2]int64{{0, 0}, {0, 8}, {8, 4 * mib}}, codec: codecNone, body: append(le(int32(0), int32(4*mib)), text...)}
	delta := rawBatch{rows: 1, nodes: [][2]int64{{1, 0}}, buffers: [][2]int64{{0, 0}, {0, 8}, {0, 0}}, codec: codecNone, body: le(int64(0))}
	batch := rawBatch{rows: 1, nodes: [][2]int64{{1, 0}}, buffers: [][2]int64{{0, 0}, {0, 1}}, codec: codecNone, body: make([]byte, 8)}
	messages := flightSource{schemaOf(t, dictOf(p.Int8, s.String)), base.dictionary(0, false)}
	for range 200 {
		messages = append(messages, delta.dictionary(0, true), batch.record())
	}
	again := flightSource{messages[0]}
	for range 100 {
		again = append(again, messages[1])
	}
	return []bomb{{"small deltas of a large dictionary", &messages}, {"a dictionary again and again", &again}}
}

// lengths are streams whose prefixes and bodies say they are long.
func lengths(t *testing.T) []bomb {
	schema := schemaOf(t, p.Int64)[0]
	short := packed(codecNone, 8, nil)
	short.buffers = nil
	var all []bomb
	for _, n := range []uint32{mib + 1, 1 << 30, math.MaxInt32, math.MaxUint32 - 1} {
		all = append(all, bomb{fmt.Sprint("metadata of ", n), Stream(bytes.NewReader(le(uint32(math.MaxUint32), n, uint64(0))))},
			bomb{fmt.Sprint("metadata of ", n, " in memory"), Bytes(le(n, uint64(0)))})
	}
	for _, n := range []int64{1 << 20, 1 << 40, math.MaxInt64, -1} {
		long := envelopeOf(short, n)
		framed := slices.Concat(le(uint32(math.MaxUint32), uint32(len(schema))), schema, le(uint32(math.MaxUint32), uint32(len(long))), long, make([]byte, 16))
		all = append(all, bomb{fmt.Sprint("a body of ", n), Stream(bytes.NewReader(framed))},
			bomb{fmt.Sprint("a body of ", n, " in memory"), Bytes(framed)},
			bomb{fmt.Sprint("a body of ", n, " in Flight"), stream([2][]byte{schema}, [2][]byte{long, make([]byte, 16)})})
	}
	return all
}

// TestDeltasWithoutBudget holds the bound on copying where no budget ends it.
func TestDeltasWithoutBudget(t *testing.T) {
	n, err := readRaw(*dictionaryBombs(t)[0].src.(*flightSource), Limits{})
	if err == nil || !strings.Contains(err.Error(), "too many small deltas") {
		t.Errorf("%d records, %v", n, err)
	}
}
