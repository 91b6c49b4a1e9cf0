package ipcguard

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"testing/iotest"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/ipc"
)

// What v15 writes is read as it was, by every way in.
func TestRoundTrip(t *testing.T) {
	codecs := map[string][]ipc.Option{"plain": nil, "lz4": {ipc.WithLZ4()}, "zstd": {ipc.WithZstd()}, "some": {ipc.WithZstd(), ipc.WithMinSpaceSavings(0.5)}}
	for codec, opts := range codecs {
		for _, rec := range allSamples(t) {
			stream := write(t, []arrow.Record{rec, rec}, opts...)
			messages := split(t, stream)
			for way, src := range map[string]Source{
				"bytes":     Bytes(stream),
				"unaligned": Bytes(append(make([]byte, 1, 1+len(stream)), stream...)[1:]),
				"reader":    Stream(iotest.HalfReader(bytes.NewReader(stream))),
				"flight":    &messages,
			} {
				if codec != "plain" && way != "unaligned" {
					continue // nothing new, and the codecs are slow to make
				}
				schema, got, err := read(src, Limits{})
				if err != nil || len(got) != 2 {
					t.Errorf("%s %s %v: %d records, %v", codec, way, rec.Schema(), len(got), err)
					continue
				}
				same(t, rec, got[0])
				same(t, rec, got[1])
				if !schema.Equal(rec.Schema()) || !schema.Metadata().Equal(rec.Schema().Metadata()) {
					t.Errorf("schema %v, want %v", schema, rec.Schema())
				}
			}
		}
	}
}

func same(t *testing.T, want, got arrow.Record) {
	t.Helper()
	if !array.RecordEqual(want, got) || want.NumRows() != got.NumRows() {
		t.Errorf("read %v, want %v", got, want)
	}
	for _, col := range got.Columns() {
		walk(t, col)
	}
}

// A dictionary that grows is read whole, whether the writer sends it again or only what is new.
func TestDeltas(t *testing.T) {
	for _, typ := range []arrow.DataType{s.String, p.Int64, arrow.ListOf(s.String)} {
		values := map[arrow.Type]string{
			arrow.STRING: `["a", "b", null, "c", "dd"]`, arrow.INT64: `[1, 2, null, 4, 5]`, arrow.LIST: `[["a"], [], null, ["b", null], ["c"]]`,
		}[typ.ID()]
		all := sample(t, "v", typ, values).Column(0)
		var recs []arrow.Record
		for n := int64(2); n <= 5; n++ {
			indices := sample(t, "i", p.Int8, `[0, 1, null, 1]`).Column(0)
			col := array.NewDictionaryArray(dictOf(p.Int8, typ), indices, array.NewSlice(all, 0, n))
			recs = append(recs, array.NewRecord(arrow.NewSchema([]arrow.Field{nullable("d", col.DataType())}, nil), []arrow.Array{col}, 4))
		}
		for _, deltas := range []bool{true, false} {
			stream := write(t, recs, ipc.WithDictionaryDeltas(deltas))
			_, got, err := read(Bytes(stream), Limits{})
			if err != nil || len(got) != 4 {
				t.Fatalf("%s: %d records, %v", typ, len(got), err)
			}
			for i := range recs {
				same(t, recs[i], got[i])
				if n := got[i].Column(0).(*array.Dictionary).Dictionary().Len(); n != i+2 {
					t.Errorf("%s: batch %d has a dictionary of %d values", typ, i, n)
				}
			}
		}
	}
}

// A dictionary may be replaced by another; records read before keep theirs.
func TestReplacement(t *testing.T) {
	a, b := sample(t, "d", dictOf(p.Int8, s.String), `["a", "b"]`), sample(t, "d", dictOf(p.Int8, s.String), `["x", null, "y"]`)
	_, got, err := read(Bytes(write(t, []arrow.Record{a, b, a})), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []arrow.Record{a, b, a} {
		same(t, want, got[i])
	}
}

func TestFile(t *testing.T) {
	rec := sample(t, "d", dictOf(p.Int8, s.String), `["a", null, "b"]`)
	path := filepath.Join(t.TempDir(), "x.arrow")
	out, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	file, err := ipc.NewFileWriter(out, ipc.WithSchema(rec.Schema()))
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := file.Write(rec); err != nil {
			t.Fatal(err)
		}
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	out.Close()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, got, err := readOpen(bytes.NewReader(content))
	if err != nil || len(got) != 3 {
		t.Fatalf("%d records, %v", len(got), err)
	}
	same(t, rec, got[2])
	for cut := range content {
		if _, _, err := readOpen(bytes.NewReader(content[:cut])); err == nil {
			t.Fatalf("a file cut off after %d of %d bytes was read", cut, len(content))
		}
	}
	stream := write(t, []arrow.Record{rec})
	if _, got, err := readOpen(bytes.NewReader(stream)); err != nil || len(got) != 1 {
		t.Fatalf("a stream through Open: %d records, %v", len(got), err)
	}
	if _, _, err := readOpen(iotest.OneByteReader(bytes.NewReader(content))); err == nil {
		t.Fatal("a file through a pipe was read")
	}
}

func readOpen(r interface{ Read([]byte) (int, error) }) (*arrow.Schema, []arrow.Record, error) {
	src, err := Open(r)
	if err != nil {
		return nil, nil, err
	}
	return read(src, Limits{})
}

// walk reads every value of an array, through the accessors that would panic, and all arrays below it.
func walk(t testing.TB, a arrow.Array) {
	if n := a.Data().NullN(); n < 0 {
		t.Fatalf("%s: the null count is not known", a.DataType())
	}
	switch a := a.(type) {
	case *array.Map:
		walkList(t, a)
		walk(t, a.Keys())
		walk(t, a.Items())
	case array.ListLike:
		walkList(t, a)
	case *array.Struct:
		for i := range a.NumField() {
			walk(t, a.Field(i))
		}
	case array.Union:
		for i := range a.NumFields() {
			walk(t, a.Field(i))
		}
		walkUnion(a)
	case *array.Dictionary:
		walk(t, a.Dictionary())
		for i := range a.Len() {
			if a.IsValid(i) {
				a.Dictionary().IsValid(a.GetValueIndex(i))
			}
		}
	default:
		for i := range min(a.Len(), 5000) {
			_ = a.ValueStr(i)
		}
	}
}

func walkUnion(a array.Union) {
	for i := range a.Len() {
		child := a.Field(a.ChildID(i))
		if dense, ok := a.(*array.DenseUnion); ok {
			child.IsNull(int(dense.ValueOffset(i)))
			array.NewSlice(child, int64(dense.ValueOffset(i)), int64(dense.ValueOffset(i))+1)
		}
	}
}

func walkList(t testing.TB, a array.ListLike) {
	walk(t, a.ListValues())
	for i := range min(a.Len(), 5000) {
		from, to := a.ValueOffsets(i)
		array.NewSlice(a.ListValues(), from, to)
	}
}
