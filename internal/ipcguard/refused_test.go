package ipcguard

import (
	"math"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	fb "github.com/google/flatbuffers/go"

	"github.com/flightd/flightd/internal/fault"
)

// Every rule has a message that breaks it and no other, and says so.
func TestRefused(t *testing.T) {
	i32, str := p.Int32, s.String
	list, dict := arrow.ListOf(p.Int32), dictOf(p.Int8, s.String)
	sparse := arrow.SparseUnionOf([]arrow.Field{nullable("a", p.Int8)}, []arrow.UnionTypeCode{3})
	dense := arrow.DenseUnionOf([]arrow.Field{nullable("a", p.Int8)}, []arrow.UnionTypeCode{3})
	ab := rawBatch{rows: 2, nodes: [][2]int64{{2, 0}}, buffers: [][2]int64{{0, 0}, {0, 12}, {16, 2}}, codec: -1, body: le(int32(0), int32(1), int32(2), int32(0), [8]byte{'a', 'b'})}
	for _, c := range []struct {
		name  string
		typ   arrow.DataType
		first [][2][]byte
		batch rawBatch
		want  string
	}{
		{name: "a buffer beyond the body", typ: i32, batch: rawBatch{rows: 1, nodes: [][2]int64{{1, 0}}, buffers: [][2]int64{{0, 0}, {8, 4}}, body: make([]byte, 8)}, want: "buffer 1 lies outside the body"},
		{name: "an unaligned buffer", typ: i32, batch: rawBatch{rows: 1, nodes: [][2]int64{{1, 0}}, buffers: [][2]int64{{0, 0}, {4, 4}}, body: make([]byte, 8)}, want: "not at a multiple of 8"},
		{name: "overlapping buffers", typ: i32, batch: rawBatch{rows: 1, nodes: [][2]int64{{1, 0}}, buffers: [][2]int64{{0, 8}, {0, 8}}, body: make([]byte, 8)}, want: "overlaps"},
		{name: "too few values", typ: i32, batch: rawBatch{rows: 3, nodes: [][2]int64{{3, 0}}, buffers: [][2]int64{{0, 0}, {0, 8}}, body: make([]byte, 8)}, want: "3 values of 4 bytes in 8 bytes"},
		{name: "too few nodes", typ: i32, batch: rawBatch{rows: 1, buffers: [][2]int64{{0, 0}, {0, 8}}, body: make([]byte, 8)}, want: "no array for it"},
		{name: "too few buffers", typ: i32, batch: rawBatch{rows: 1, nodes: [][2]int64{{1, 0}}, buffers: [][2]int64{{0, 0}}, body: make([]byte, 8)}, want: "1 buffers, its schema needs more"},
		{name: "too many", typ: i32, batch: rawBatch{rows: 1, nodes: [][2]int64{{1, 0}, {1, 0}}, buffers: [][2]int64{{0, 0}, {0, 8}}, body: make([]byte, 8)}, want: "1 arrays and 0 buffers more"},
		{name: "buffers of views", typ: i32, batch: rawBatch{rows: 1, nodes: [][2]int64{{1, 0}}, buffers: [][2]int64{{0, 0}, {0, 8}}, body: make([]byte, 8), views: true}, want: "views"},
		{name: "rows unlike the column's", typ: i32, batch: rawBatch{rows: 2, nodes: [][2]int64{{1, 0}}, buffers: [][2]int64{{0, 0}, {0, 8}}, body: make([]byte, 8)}, want: "1 values in a batch of 2 rows"},
		{name: "negative rows", typ: i32, batch: rawBatch{rows: -1}, want: "-1 rows do not fit"},
		{name: "a negative length", typ: i32, batch: rawBatch{nodes: [][2]int64{{-1, 0}}, buffers: [][2]int64{{0, 0}, {0, 0}}}, want: "-1 values do not fit"},
		{name: "more nulls than values", typ: i32, batch: rawBatch{rows: 1, nodes: [][2]int64{{1, 2}}, buffers: [][2]int64{{0, 8}, {8, 4}}, body: make([]byte, 16)}, want: "2 nulls in 1 values"},
		{name: "nulls without bitmap", typ: i32, batch: rawBatch{rows: 1, nodes: [][2]int64{{1, 1}}, buffers: [][2]int64{{0, 0}, {0, 4}}, body: make([]byte, 8)}, want: "0 bytes of validity"},
		{name: "a wrong null count", typ: i32, batch: rawBatch{rows: 2, nodes: [][2]int64{{2, 1}}, buffers: [][2]int64{{0, 1}, {8, 8}}, body: make([]byte, 16)}, want: "1 nulls are declared, 2 are there"},
		{name: "no offsets", typ: str, batch: rawBatch{rows: 1, nodes: [][2]int64{{1, 0}}, buffers: [][2]int64{{0, 0}, {0, 4}, {0, 0}}, body: make([]byte, 8)}, want: "2 values of 4 bytes in 4 bytes"},
		{name: "falling offsets", typ: str, batch: rawBatch{rows: 2, nodes: [][2]int64{{2, 0}}, buffers: [][2]int64{{0, 0}, {0, 12}, {16, 8}}, body: le(int32(0), int32(5), int32(2), int32(0), int64(0))}, want: "offset 2 is 2, after 5"},
		{name: "a negative offset", typ: str, batch: rawBatch{rows: 1, nodes: [][2]int64{{1, 0}}, buffers: [][2]int64{{0, 0}, {0, 8}, {8, 8}}, body: le(int32(-4), int32(2), int64(0))}, want: "first offset is -4"},
		{name: "offsets beyond the text", typ: str, batch: rawBatch{rows: 1, nodes: [][2]int64{{1, 0}}, buffers: [][2]int64{{0, 0}, {0, 8}, {8, 8}}, body: le(int32(0), int32(9), int64(0))}, want: "9 values of 1 bytes in 8 bytes"},
		{name: "not UTF-8", typ: str, batch: rawBatch{rows: 2, nodes: [][2]int64{{2, 0}}, buffers: [][2]int64{{0, 0}, {0, 12}, {16, 2}}, body: le(int32(0), int32(1), int32(2), int32(0), [8]byte{0xC3, 0xBC})}, want: "value 0 is not UTF-8"},
		{name: "a list beyond its values", typ: list, batch: rawBatch{rows: 1, nodes: [][2]int64{{1, 0}, {2, 0}}, buffers: [][2]int64{{0, 0}, {0, 8}, {0, 0}, {8, 8}}, body: le(int32(0), int32(3), int64(0))}, want: "it has 2 values, at least 3"},
		{name: "a short fixed-size list", typ: arrow.FixedSizeListOf(3, p.Int8), batch: rawBatch{rows: 2, nodes: [][2]int64{{2, 0}, {5, 0}}, buffers: [][2]int64{{0, 0}, {0, 0}, {0, 5}}, body: make([]byte, 8)}, want: "it has 5 values, at least 6"},
		{name: "a short struct field", typ: arrow.StructOf(nullable("a", p.Int8)), batch: rawBatch{rows: 2, nodes: [][2]int64{{2, 0}, {1, 0}}, buffers: [][2]int64{{0, 0}, {0, 0}, {0, 1}}, body: make([]byte, 8)}, want: "it has 1 values, at least 2"},
		{name: "a null key", typ: arrow.MapOf(p.Int8, p.Int8), batch: rawBatch{rows: 1, nodes: [][2]int64{{1, 0}, {1, 0}, {1, 1}, {1, 0}}, buffers: [][2]int64{{0, 0}, {0, 8}, {0, 0}, {8, 1}, {16, 1}, {0, 0}, {24, 1}}, body: le(int32(0), int32(1), int64(0), int64(0), int64(0))}, want: "null keys"},
		{name: "a type id the union has not", typ: sparse, batch: rawBatch{rows: 1, nodes: [][2]int64{{1, 0}, {1, 0}}, buffers: [][2]int64{{0, 1}, {0, 0}, {8, 1}}, body: make([]byte, 16)}, want: "type id 0"},
		{name: "a negative type id", typ: sparse, batch: rawBatch{rows: 1, nodes: [][2]int64{{1, 0}, {1, 0}}, buffers: [][2]int64{{0, 1}, {0, 0}, {8, 1}}, body: le(int8(-1), [15]byte{})}, want: "type id -1"},
		{name: "an offset beyond the union's child", typ: dense, batch: rawBatch{rows: 1, nodes: [][2]int64{{1, 0}, {1, 0}}, buffers: [][2]int64{{0, 1}, {8, 4}, {0, 0}, {16, 1}}, body: le(int64(3), int64(1), int64(0))}, want: "offset 1"},
		{name: "falling offsets in a union", typ: dense, batch: rawBatch{rows: 2, nodes: [][2]int64{{2, 0}, {2, 0}}, buffers: [][2]int64{{0, 2}, {8, 8}, {0, 0}, {16, 2}}, body: le(int64(0x303), int32(1), int32(0), int64(0))}, want: "has offset 0, after 1"},
		{name: "an old union with nulls", typ: sparse, batch: rawBatch{rows: 1, version: 3, nodes: [][2]int64{{1, 1}, {1, 0}}, buffers: [][2]int64{{0, 1}, {8, 1}, {0, 0}, {16, 1}}, body: le(int64(0), int64(3), int64(0))}, want: "before Arrow 1.0"},
		{name: "too many digits", typ: &arrow.Decimal128Type{Precision: 2}, batch: rawBatch{rows: 1, nodes: [][2]int64{{1, 0}}, buffers: [][2]int64{{0, 0}, {0, 16}}, body: le(int64(100), int64(0))}, want: "more than 2 digits"},
		{name: "the least decimal", typ: &arrow.Decimal128Type{Precision: 38}, batch: rawBatch{rows: 1, nodes: [][2]int64{{1, 0}}, buffers: [][2]int64{{0, 0}, {0, 16}}, body: le(int64(0), int64(math.MinInt64))}, want: "more than 38 digits"},
		{name: "no dictionary", typ: dict, batch: rawBatch{rows: 1, nodes: [][2]int64{{1, 0}}, buffers: [][2]int64{{0, 0}, {0, 1}}, body: make([]byte, 8)}, want: "dictionary 0 has not come"},
		{name: "an index beyond the dictionary", typ: dict, first: [][2][]byte{ab.dictionary(0, false)}, batch: rawBatch{rows: 1, nodes: [][2]int64{{1, 0}}, buffers: [][2]int64{{0, 0}, {0, 1}}, body: le(int64(2))}, want: "value 0 refers outside its dictionary of 2"},
		{name: "a negative index", typ: dict, first: [][2][]byte{ab.dictionary(0, false)}, batch: rawBatch{rows: 1, nodes: [][2]int64{{1, 0}}, buffers: [][2]int64{{0, 0}, {0, 1}}, body: le(int64(0xFF))}, want: "value 0 refers outside"},
		{name: "a delta of nothing", typ: dict, first: [][2][]byte{ab.dictionary(0, true)}, want: "begins with a delta"},
		{name: "an unknown dictionary", typ: dict, first: [][2][]byte{ab.dictionary(7, false)}, want: "dictionary 7"},
		{name: "unknown compression", typ: i32, batch: rawBatch{codec: 9}, want: "compression 9.0 is not known"},
		{name: "a short compressed buffer", typ: i32, batch: rawBatch{codec: codecZSTD, rows: 1, nodes: [][2]int64{{1, 0}}, buffers: [][2]int64{{0, 0}, {0, 7}}, body: make([]byte, 8)}, want: "too few for its length"},
		{name: "a second schema", typ: i32, first: [][2][]byte{schemaOf(t, i32)}, want: "a second schema"},
	} {
		if c.batch.codec == 0 {
			c.batch.codec = codecNone
		}
		messages := append(append(flightSource{schemaOf(t, c.typ)}, c.first...), c.batch.record())
		n, err := readRaw(messages, Limits{})
		if n != 0 || err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %d records, %v; want %q", c.name, n, err, c.want)
			continue
		}
		checkText(t, err)
	}
}

// What is wrong under nulls does no harm, and writers leave it there.
func TestUnderNulls(t *testing.T) {
	dict := rawBatch{rows: 1, nodes: [][2]int64{{1, 0}}, buffers: [][2]int64{{0, 0}, {0, 8}, {8, 1}}, codec: -1, body: le(int32(0), int32(1), int64('a'))}
	one := func(values []byte) rawBatch {
		buffers := [][2]int64{{0, 1}, {8, int64(len(values))}}
		return rawBatch{rows: 2, nodes: [][2]int64{{2, 1}}, buffers: buffers, codec: -1, body: append(le(int64(2)), values...)}
	}
	bad := one(le(int32(0), int32(1), int32(2), int32(0), [8]byte{0xFF, 'b'}))
	bad.buffers = [][2]int64{{0, 1}, {8, 12}, {24, 2}}
	for name, messages := range map[string]flightSource{
		"index":   {schemaOf(t, dictOf(p.Int8, s.String)), dict.dictionary(0, false), one(le([8]byte{0xFF, 0})).record()},
		"decimal": {schemaOf(t, &arrow.Decimal128Type{Precision: 2}), one(le(int64(1000), int64(7), int64(99), int64(0))).record()},
		"text":    {schemaOf(t, s.String), bad.record()},
	} {
		_, recs, err := read(&messages, Limits{})
		if err != nil || len(recs) != 1 || recs[0].Column(0).NullN() != 1 {
			t.Errorf("%s: %v, %v", name, recs, err)
		}
	}
}

// Offsets need not begin at 0, nor children end where they are no longer referred to.
func TestRebased(t *testing.T) {
	text := rawBatch{rows: 2, nodes: [][2]int64{{2, 0}}, buffers: [][2]int64{{0, 0}, {0, 12}, {16, 5}}, codec: -1,
		body: le(int32(1), int32(3), int32(4), int32(0), [8]byte{'x', 'a', 'b', 'c', 'y'})}
	bits := rawBatch{rows: 1, nodes: [][2]int64{{1, 0}, {5, 1}}, buffers: [][2]int64{{0, 0}, {0, 8}, {8, 1}, {16, 1}}, codec: -1,
		body: le(int32(3), int32(5), int64(0b10111), int64(0b10011))}
	for _, c := range []struct {
		typ   arrow.DataType
		batch rawBatch
		want  string
	}{{s.String, text, `["ab" "c"]`}, {arrow.ListOf(w.Boolean), bits, `[[(null) true]]`}} {
		_, recs, err := read(&flightSource{schemaOf(t, c.typ), c.batch.record()}, Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if got := recs[0].Column(0).(interface{ String() string }).String(); got != c.want {
			t.Errorf("%s is %s, want %s", c.typ, got, c.want)
		}
		rewrite(t, recs[0])
	}
}

func TestLimits(t *testing.T) {
	rec := sample(t, "d", s.String, `["a", "b", "c"]`)
	stream := write(t, []arrow.Record{rec, rec})
	for want, lim := range map[string]Limits{
		"more than the limit of 100":      {Message: 100},
		"takes more than 1000 bytes":      {Bytes: 1000},
		"the budget of the test is spent": {Budget: &account{limit: 1000}},
	} {
		_, _, err := read(Bytes(stream), lim)
		if err == nil || !strings.Contains(err.Error(), want) || fault.KindOf(err) != fault.Exhausted {
			t.Errorf("%v; want %q", err, want)
		}
	}
	if _, recs, err := read(Bytes(stream), Limits{Message: 10_000, Bytes: 10_000}); err != nil || len(recs) != 2 {
		t.Errorf("%d records, %v", len(recs), err)
	}
}

// What is reserved for records is given back when asked, what dictionaries hold at the end of the stream.
func TestRelease(t *testing.T) {
	a, b := sample(t, "d", dictOf(p.Int8, s.String), `["a", "b"]`), sample(t, "d", dictOf(p.Int8, s.String), `["x", null, "y"]`)
	budget := &account{limit: 1 << 20}
	r, err := NewReader(t.Context(), Bytes(write(t, []arrow.Record{a, a, b, a})), Limits{Budget: budget})
	if err != nil {
		t.Fatal(err)
	}
	var held []int64
	for _, err := range r.Records() {
		if err != nil {
			t.Fatal(err)
		}
		before := budget.held
		r.Release()
		held = append(held, budget.held)
		if before <= budget.held {
			t.Errorf("nothing was given back of %d", before)
		}
	}
	if r.Release(); budget.held != 0 || held[0] == 0 || held[0] != held[1] || held[3] != held[0] {
		t.Errorf("held %v and at last %d; want that of one dictionary, and nothing", held, budget.held)
	}
}

// Schemas that cannot be walked to an end, or not in a sane time.
func TestSchemas(t *testing.T) {
	nest := func(depth int) [2][]byte {
		return rawSchema(func(b *fb.Builder) offsetTo {
			f := fieldOf(b, typeNull, nil, nil, nil)
			for range depth - 1 {
				f = fieldOf(b, typeList, nil, nil, vector(b, f))
			}
			return vector(b, f)
		})
	}
	if _, err := readRaw(flightSource{nest(32)}, Limits{}); err != nil {
		t.Errorf("32 levels: %v", err)
	}
	for name, c := range map[string]struct {
		message [2][]byte
		want    string
	}{
		"33 levels":   {nest(33), "nested more than 32 deep"},
		"5000 levels": {nest(5000), "nested more than 32 deep"},
		"a tree of shared fields": {rawSchema(func(b *fb.Builder) offsetTo {
			f := fieldOf(b, typeNull, nil, nil, nil)
			for range 20 {
				f = fieldOf(b, typeStruct, nil, nil, vector(b, f, f, f, f, f, f, f, f, f, f))
			}
			return vector(b, f)
		}), "more than 10000 fields"},
		"one field many times": {rawSchema(func(b *fb.Builder) offsetTo {
			all := make([]offsetTo, 200_000)
			f := fieldOf(b, typeNull, nil, nil, nil)
			for i := range all {
				all[i] = f
			}
			return vector(b, all...)
		}), "more than 10000 fields"},
		"one name many times": {rawSchema(func(b *fb.Builder) offsetTo {
			name, all := text(b, strings.Repeat("x", 500_000)), make([]offsetTo, 9000)
			for i := range all {
				all[i] = object(b, name, true, uint8(typeNull), object(b))
			}
			return vector(b, all...)
		}), "more than 4 MiB"},
		"one metadata many times": {rawSchema(func(b *fb.Builder) offsetTo {
			pair := object(b, text(b, "k"), text(b, "v"))
			keys := make([]offsetTo, 100_000)
			for i := range keys {
				keys[i] = pair
			}
			metadata, all := vector(b, keys...), make([]offsetTo, 5000)
			for i := range all {
				all[i] = object(b, nil, true, uint8(typeNull), object(b), nil, nil, metadata)
			}
			return vector(b, all...)
		}), "more than 4 MiB"},
		"a dictionary of itself": {rawSchema(func(b *fb.Builder) offsetTo {
			f := fieldOf(b, typeNull, nil, object(b, int64(7)), nil)
			return vector(b, fieldOf(b, typeStruct, nil, object(b, int64(7)), vector(b, f)))
		}), "shares dictionary 7"},
		"metadata of 2 MiB": {[2][]byte{make([]byte, 2<<20)}, "at most 1048576"},
		"no type": {rawSchema(func(b *fb.Builder) offsetTo {
			return vector(b, object(b, text(b, "f"), true, uint8(typeInt)))
		}), "has no type"},
	} {
		_, err := readRaw(flightSource{c.message}, Limits{})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %.300v; want %q", name, err, c.want)
			continue
		}
		checkText(t, err)
	}
}
