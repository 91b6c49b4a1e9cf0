package parquetio

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math"
	"runtime"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"

	"github.com/flightd/flightd/internal/arrowsize"
	"github.com/flightd/flightd/internal/fault"
)

// readEverything reads the file's columns and gathers a few rows, and returns the first error.
func readEverything(t *testing.T, f *File) error {
	for rg := range f.RowGroups() {
		for c := range f.schema.Fields() {
			for rec, err := range f.Read(t.Context(), rg, []int{c}) {
				if err != nil {
					return err
				}
				rec.Column(0).NullN()
			}
			if f.RowGroupRows(rg) > 0 {
				if _, err := f.Gather(t.Context(), rg, []int64{f.RowGroupRows(rg) - 1}, []int{c}); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// TestBombs opens and reads small files that claim much. Each is refused, and before it has cost much memory.
func TestBombs(t *testing.T) {
	huge := binary.AppendUvarint(nil, math.MaxInt32)
	text := format.LogicalType{Value: new(format.StringType)}
	packed := func(count uint64, more ...byte) []byte { // the head of a delta sequence with that many values
		head := binary.AppendUvarint([]byte{128, 1, 4}, count)
		return append(append(head, 0), more...)
	}
	size := func(p craftedPage, uncompressed int32) craftedPage {
		p.header.UncompressedPageSize = uncompressed
		return p
	}
	for name, c := range map[string]*crafted{
		"page of 2 GiB":                {rows: 10, codec: format.Snappy, pages: []craftedPage{size(v1(10, format.Plain, []byte("abcd")), math.MaxInt32)}},
		"page of 200 MiB, snappy":      {rows: 10, codec: format.Snappy, pages: []craftedPage{size(v1(10, format.Plain, huge), 200<<20)}},
		"page of a negative size":      {rows: 10, pages: []craftedPage{size(v1(10, format.Plain, make([]byte, 40)), -1)}},
		"2 billion values":             {rows: math.MaxInt32, optional: true, pages: []craftedPage{v1(math.MaxInt32, format.Plain, levelsBody(nil, run(math.MaxInt32, 0)))}},
		"negative number of values":    {rows: 10, pages: []craftedPage{v1(-10, format.Plain, make([]byte, 40))}},
		"run longer than the page":     {rows: 10, optional: true, pages: []craftedPage{v1(10, format.Plain, levelsBody(nil, run(math.MaxInt32, 1)))}},
		"many long runs":               {rows: 10, optional: true, pages: []craftedPage{v1(10, format.Plain, levelsBody(nil, bytes.Repeat(run(1<<30, 1), 1000)))}},
		"levels of 5":                  {rows: 10, optional: true, pages: []craftedPage{v1(10, format.Plain, levelsBody(make([]byte, 40), run(10, 5)))}},
		"booleans of 5":                {rows: 10, physical: format.Boolean, pages: []craftedPage{v1(10, format.RLE, levelsBody(nil, run(10, 5)))}},
		"index run longer":             {rows: 10, pages: []craftedPage{dictionary(1, make([]byte, 4)), v1(10, format.RLEDictionary, append([]byte{8}, run(math.MaxInt32, 0)...))}},
		"indexes of 255 bits":          {rows: 10, pages: []craftedPage{dictionary(1, make([]byte, 4)), v1(10, format.RLEDictionary, append([]byte{255}, run(10, 0)...))}},
		"index beyond the dictionary":  {rows: 10, pages: []craftedPage{dictionary(1, make([]byte, 4)), v1(10, format.RLEDictionary, append([]byte{8}, run(10, 1)...))}},
		"indexes without a dictionary": {rows: 10, pages: []craftedPage{v1(10, format.RLEDictionary, append([]byte{8}, run(10, 0)...))}},
		"dictionary of 2 billion":      {rows: 10, pages: []craftedPage{dictionary(math.MaxInt32, make([]byte, 4)), v1(10, format.RLEDictionary, append([]byte{8}, run(10, 0)...))}},
		"texts longer than the page":   {rows: 10, physical: format.ByteArray, logical: text, pages: []craftedPage{v1(10, format.Plain, bytes.Repeat([]byte{255, 255, 255, 127}, 20))}},
		"2 billion deltas":             {rows: 10, pages: []craftedPage{v1(10, format.DeltaBinaryPacked, packed(math.MaxInt32))}},
		"deltas of 200 bits":           {rows: 10, pages: []craftedPage{v1(10, format.DeltaBinaryPacked, packed(10, append([]byte{0, 200, 200, 200, 200}, make([]byte, 4000)...)...))}},
		"deltas in no blocks":          {rows: 10, pages: []craftedPage{v1(10, format.DeltaBinaryPacked, []byte{0, 0, 10, 0, 0, 0})}},
		"2 billion lengths":            {rows: 10, physical: format.ByteArray, logical: text, pages: []craftedPage{v1(10, format.DeltaLengthByteArray, packed(math.MaxInt32))}},
		"prefixes of prefixes":         {rows: 1 << 16, physical: format.ByteArray, logical: text, pages: []craftedPage{prefixBomb()}},
		"runs of booleans":             {rows: 10, physical: format.Boolean, pages: []craftedPage{v1(10, format.RLE, levelsBody(nil, run(math.MaxInt32, 1)))}},
		"values of 2 GiB each":         {rows: 10, physical: format.FixedLenByteArray, length: math.MaxInt32, pages: []craftedPage{v1(10, format.Plain, make([]byte, 40))}},
		"split streams too short":      {rows: 1 << 20, physical: format.Double, pages: []craftedPage{v1(1<<20, format.ByteStreamSplit, make([]byte, 64))}},
		"list of 3 billion nulls":      {list: true, rows: 1, values: 3 << 30, pages: nullElements(50)},
		"zstd that says less":          {rows: 10, codec: format.Zstd, pages: []craftedPage{size(v1(10, format.Plain, zstdZeros(t, 400<<20)), 40)}},
		"gzip that says less":          {rows: 10, codec: format.Gzip, pages: []craftedPage{size(v1(10, format.Plain, gzipZeros(t, 64<<20)), 40)}},
		"brotli that says less":        {rows: 10, codec: format.Brotli, pages: []craftedPage{size(v1(10, format.Plain, brotliZeros(t, 64<<20)), 40)}},
		"snappy that says less":        {rows: 10, codec: format.Snappy, pages: []craftedPage{size(v1(10, format.Plain, snappy.Encode(nil, make([]byte, 1<<20))), 40)}},
		"lz4 of garbage":               {rows: 10, codec: format.Lz4Raw, pages: []craftedPage{size(v1(10, format.Plain, []byte("not lz4")), 40)}},
		"lz4 frames of garbage":        {rows: 10, codec: format.Lz4, pages: []craftedPage{size(v1(10, format.Plain, []byte{0, 0, 0, 40, 255, 255, 255, 255, 1}), 40)}},
		"row groups of 2^62 rows":      {rows: 10, change: func(m *fileMetaData) { m.RowGroups[0].NumRows, m.NumRows = 1<<62, 1<<62 }},
		"schema of 2 billion fields":   {rows: 10, change: func(m *fileMetaData) { m.Schema[0].NumChildren = thrift.New(int32(math.MaxInt32)) }},
		"schema 1000 deep":             {rows: 10, change: func(m *fileMetaData) { m.Schema = deepSchema(1000) }},
		"schema without a type":        {rows: 10, change: func(m *fileMetaData) { m.Schema[1].Type.Valid = false }},
		"decimal of 200 digits":        {rows: 10, physical: format.ByteArray, logical: format.LogicalType{Value: &format.DecimalType{Precision: 38}}, pages: []craftedPage{v1(10, format.Plain, levelsBody(nil, bytes.Repeat([]byte{1}, 200)))}},
		"chunk outside the file":       {rows: 10, change: func(m *fileMetaData) { m.RowGroups[0].Columns[0].MetaData.DataPageOffset = 1 << 60 }},
		"chunk of a negative size":     {rows: 10, change: func(m *fileMetaData) { m.RowGroups[0].Columns[0].MetaData.TotalCompressedSize = -1 }},
	} {
		t.Run(name, func(t *testing.T) {
			if c.physical == 0 && c.length == 0 && c.logical.Value == nil && !strings.Contains(name, "booleans") {
				c.physical = format.Int32
			}
			spent := allocated(func() {
				f, err := c.open(t)
				if err == nil {
					err = readEverything(t, f)
				}
				if kind := fault.KindOf(err); err == nil || kind != fault.DataLoss && kind != fault.Unimplemented && kind != fault.Exhausted {
					t.Errorf("%v, want it refused", err)
				}
				if !strings.Contains(fmt.Sprint(err), "bomb.parquet") {
					t.Errorf("%v does not name the file", err)
				}
			})
			most := uint64(80 << 20)
			if c.list || strings.HasPrefix(name, "page of 200") { // what the bounds allow
				most = 4 << 30
			}
			if spent > most {
				t.Errorf("%d MiB allocated", spent>>20)
			}
		})
	}
}

// allocated is what some work takes from the heap, what it gives back again included.
func allocated(work func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	work()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// prefixBomb is a page of a few bytes that stands for 2^16 texts of up to 2^16 bytes.
func prefixBomb() craftedPage {
	const n = 1 << 16
	sequence := func(first, delta int64) []byte {
		s := binary.AppendUvarint([]byte{128, 1, 1}, n)
		s = binary.AppendVarint(s, first)
		for range (n + 126) / 128 {
			s = append(binary.AppendVarint(s, delta), 0)
		}
		return s
	}
	return v1(n, format.DeltaByteArray, append(append(sequence(0, 1), sequence(1, 0)...), bytes.Repeat([]byte{'a'}, n)...))
}

// nullElements are pages of one row with a list of nulls, each as long as a page may be.
func nullElements(n int) []craftedPage {
	pages := make([]craftedPage, n)
	for i := range pages {
		reps := run(valuesMax, 1)
		if i == 0 {
			reps = append(run(1, 0), run(valuesMax-1, 1)...)
		}
		pages[i] = v1(valuesMax, format.Plain, levelsBody(nil, reps, run(valuesMax, 1)))
	}
	return pages
}

func zstdZeros(t *testing.T, n int) []byte {
	var out bytes.Buffer
	w, err := zstd.NewWriter(&out)
	if err != nil {
		t.Fatal(err)
	}
	zeros := make([]byte, 1<<20)
	for range n >> 20 {
		w.Write(zeros)
	}
	w.Close()
	return out.Bytes()
}

func gzipZeros(t *testing.T, n int) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	w.Write(make([]byte, n))
	w.Close()
	return out.Bytes()
}

func brotliZeros(t *testing.T, n int) []byte {
	var out bytes.Buffer
	w := brotli.NewWriterLevel(&out, 1)
	w.Write(make([]byte, n))
	w.Close()
	return out.Bytes()
}

func deepSchema(n int) []format.SchemaElement {
	schema := []format.SchemaElement{{Name: "schema", NumChildren: thrift.New(int32(1))}}
	for range n {
		schema = append(schema, format.SchemaElement{Name: "x", NumChildren: thrift.New(int32(1)), RepetitionType: thrift.New(format.Optional)})
	}
	return append(schema, format.SchemaElement{Name: "leaf", Type: thrift.New(format.Int32), RepetitionType: thrift.New(format.Optional)})
}

// TestFooterBombs are footers that ask for more memory than they have bytes, or recurse.
func TestFooterBombs(t *testing.T) {
	list := func(field byte, n uint64, element byte) []byte { // a field with a list of structures that are one byte each
		return append(append(binary.AppendUvarint([]byte{field<<4 | 9, 0xfc}, n), bytes.Repeat([]byte{element}, int(n))...), 0)
	}
	for name, footer := range map[string][]byte{
		"a list of 2 billion":      append(binary.AppendUvarint([]byte{0x29, 0xfc}, math.MaxInt32), 0),
		"a million empty elements": list(2, 1<<20, 0),
		"a million row groups":     list(4, 1<<20, 0),
		"structures in structures": bytes.Repeat([]byte{0x1c}, 1<<22),
		"lists in lists":           append([]byte{0x19}, bytes.Repeat([]byte{0x19}, 1<<22)...),
		"a text of 2 GiB":          binary.AppendUvarint([]byte{0x68}, math.MaxInt32),
		"nothing":                  nil,
		"an empty structure":       {0},
	} {
		t.Run(name, func(t *testing.T) {
			data := append([]byte("PAR1"), footer...)
			data = append(binary.LittleEndian.AppendUint32(data, uint32(len(footer))), "PAR1"...)
			spent := allocated(func() {
				if _, err := Open(bytes.NewReader(data), int64(len(data)), "f"); fault.KindOf(err) != fault.DataLoss {
					t.Errorf("%v, want broken data", err)
				}
			})
			if spent > 4<<20+uint64(64*len(data)) {
				t.Errorf("%d MiB allocated for %d bytes", spent>>20, len(data))
			}
		})
	}
}

// TestLongTexts reads a small file whose dictionary makes rows far longer than the footer lets expect: the batches get
// shorter.
func TestLongTexts(t *testing.T) {
	const rows, long = 20_000, 1 << 20
	word := bytes.Repeat([]byte{'a'}, long)
	c := &crafted{rows: rows, physical: format.ByteArray, logical: format.LogicalType{Value: new(format.StringType)}, pages: []craftedPage{
		dictionary(1, append(binary.LittleEndian.AppendUint32(nil, long), word...)), v1(rows, format.RLEDictionary, append([]byte{1}, run(rows, 0)...))}}
	f, err := c.open(t)
	if err != nil {
		t.Fatal(err)
	}
	batches := 0
	for rec, err := range f.Read(t.Context(), 0, []int{0}) {
		if err != nil {
			t.Fatal(err)
		}
		if size := rec.NumRows() * long; size > batchBytes+long {
			t.Fatalf("a batch of %d bytes", size)
		}
		if batches++; batches == 50 {
			break
		}
	}
	if batches != 50 {
		t.Errorf("%d batches", batches)
	}
	all := make([]int64, rows)
	for i := range all {
		all[i] = int64(i)
	}
	if _, err := f.Gather(t.Context(), 0, all, []int{0}); fault.KindOf(err) != fault.Exhausted {
		t.Errorf("%v, want too much", err)
	}
}

// TestNullListsOfAFixedLength reads null lists, which take nothing in the file and as much as others in memory: the batches
// get shorter, and rows that are asked for by position are too many.
func TestNullListsOfAFixedLength(t *testing.T) {
	const rows = 65_536
	for _, length := range []int32{1536, 1 << 20} {
		field := arrow.Field{Name: "x", Type: arrow.FixedSizeListOf(length, arrow.PrimitiveTypes.Int64), Nullable: true}
		stored, err := encodeSchema(arrow.NewSchema([]arrow.Field{field}, nil))
		if err != nil {
			t.Fatal(err)
		}
		c := &crafted{rows: rows, physical: format.Int64, list: true, optional: true,
			pages:  []craftedPage{v1(rows, format.Plain, levelsBody(nil, run(rows, 0), run(rows, 0)))},
			change: func(m *fileMetaData) { m.KeyValueMetadata = []keyValue{{Key: storedSchema, Value: stored}} }}
		f, err := c.open(t)
		if err != nil {
			t.Fatal(err)
		}
		left := 5
		for rec, err := range f.Read(t.Context(), 0, []int{0}) {
			if err != nil {
				t.Fatal(err)
			}
			row := int64(length) * 8
			if rec.Column(0).DataType().ID() != arrow.FIXED_SIZE_LIST || rec.Column(0).NullN() != int(rec.NumRows()) {
				t.Fatalf("%d nulls in %d rows of type %s", rec.Column(0).NullN(), rec.NumRows(), rec.Column(0).DataType())
			}
			if size := rec.NumRows() * row; size > batchBytes+row {
				t.Fatalf("a batch of %d bytes", size)
			}
			if left--; left == 0 {
				break
			}
		}
		if left > 0 {
			t.Errorf("%d batches too few", left)
		}
		all := make([]int64, rows)
		for i := range all {
			all[i] = int64(i)
		}
		if _, err := f.Gather(t.Context(), 0, all, []int{0}); fault.KindOf(err) != fault.Exhausted {
			t.Errorf("%v, want too much", err)
		}
	}
}

// TestManyColumns reads columns that take nothing in the file: their batches are as short as those of any others.
func TestManyColumns(t *testing.T) {
	const rows, columns = 65_536, 1500
	for _, typ := range []arrow.DataType{arrow.PrimitiveTypes.Float64, arrow.BinaryTypes.String} {
		nulls := array.MakeArrayOfNull(memory.DefaultAllocator, typ, rows)
		fields, all, numbers := make([]arrow.Field, columns), make([]arrow.Array, columns), make([]int, columns)
		for i := range fields {
			fields[i], all[i], numbers[i] = arrow.Field{Name: fmt.Sprint("f", i), Type: typ, Nullable: true}, nulls, i
		}
		schema := arrow.NewSchema(fields, nil)
		var out bytes.Buffer
		w, err := NewWriter(&out, schema, WriterOptions{})
		if err == nil {
			err = w.Write(array.NewRecord(schema, all, rows))
		}
		if err == nil {
			err = w.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
		f, err := Open(bytes.NewReader(out.Bytes()), int64(out.Len()), "wide.parquet")
		if err != nil {
			t.Fatal(err)
		}
		var read int64
		for rg := range f.RowGroups() {
			for rec, err := range f.Read(t.Context(), rg, numbers) {
				if err != nil {
					t.Fatal(err)
				}
				if size := arrowsize.Record(rec); size > batchBytes+1<<20 {
					t.Fatalf("a batch of %d MiB", size>>20)
				}
				read += rec.NumRows()
			}
		}
		if read != rows {
			t.Errorf("%d rows of %d", read, rows)
		}
	}
}

// TestStoredBombs are stored Arrow schemas that make no sense, and some whose tables or texts are shared.
func TestStoredBombs(t *testing.T) {
	for _, raw := range [][]byte{nil, {1}, bytes.Repeat([]byte{0xff}, 100), bytes.Repeat([]byte{4, 0, 0, 0}, 1000), fanOut(), sharedName(1<<16, 4<<10)} {
		columns := []*node{{name: "x", kind: leafNode}}
		spent := allocated(func() { applyStored(columns, base64.StdEncoding.EncodeToString(raw)) })
		if spent > 64<<20 {
			t.Errorf("%d MiB allocated for a schema of %d bytes", spent>>20, len(raw))
		}
	}
	if fields, ok := readStored(fanOut()); ok {
		t.Errorf("%d fields came of 100 to the power of 20", len(fields))
	}
	if fields, ok := readStored(sharedName(10_000, 10_000)); ok {
		t.Errorf("%d fields came of one name", len(fields))
	}
	if fields, ok := readStored(sharedName(1, 1000)); !ok || len(fields) != 1 || len(fields[0].name) != 1000 {
		t.Errorf("%v, %t came of one field", fields, ok)
	}
}

// sharedName is a message with a schema of n fields, all of which are one table with a long name.
func sharedName(n, long int) []byte {
	le := binary.LittleEndian
	b := le.AppendUint32(nil, 0xffffffff)
	b = le.AppendUint32(b, 0) // the length, which nobody looks at
	words := func(values ...uint32) {
		for _, v := range values {
			b = le.AppendUint32(b, v)
		}
	}
	words(16)                              // root: the message
	words(10|12<<16, 8<<16, 4, 12, 16, 1)  // 4: its vtable; 16: the message, its header at 36, the kind of the header
	words(8|8<<16, 4<<16, 8, 4, uint32(n)) // 28: the vtable of the schema; 36: the schema; 44: its fields
	for i := range uint32(n) {
		words(4*(uint32(n)-i) + 8)
	}
	words(6|8<<16, 4, 8, 4, uint32(long)) // the vtable of the field; the field; its name
	return append(b, bytes.Repeat([]byte{'n'}, long)...)
}

// fanOut is a message with a schema of 100 fields, all of which are one table that has 100 children, all of which are one
// table, and so on.
func fanOut() []byte {
	const n, levels = 100, 20
	le := binary.LittleEndian
	b := le.AppendUint32(nil, 0xffffffff)
	b = le.AppendUint32(b, 0) // the length, which nobody looks at
	words := func(values ...uint32) {
		for _, v := range values {
			b = le.AppendUint32(b, v)
		}
	}
	vtable := func(slots ...uint16) { // of a table of 12 bytes
		b = le.AppendUint16(b, uint16(4+2*len(slots)))
		b = le.AppendUint16(b, 12)
		for _, s := range slots {
			b = le.AppendUint16(b, s)
		}
	}
	words(16)                       // root: the message
	vtable(0, 8, 4, 0)              // 4: its header at 4, the kind of the header at 8
	words(12, 8+12, 1)              // 16: the message; the schema comes 12 further than its end
	vtable(0, 4, 0, 0)              // 28: fields at 4
	words(12, 8, 0)                 // 40: the schema; its vector of fields comes next
	const block = 4 + 4*n + 16 + 12 // a vector, and the vtable and the table that it points to
	for range levels {
		words(n)
		for i := range uint32(n) {
			words(4*n - 4*i + 16)
		}
		vtable(0, 0, 0, 0, 0, 4)
		words(16, 8, 0)
	}
	return append(b, make([]byte, block)...)
}
