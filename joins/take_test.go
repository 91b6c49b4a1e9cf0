package joins_test

import (
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/flightd/flightd/joins"
)

// TestTake compares rows taken from slices of arrays with the rows themselves.
func TestTake(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	i64, text := arrow.PrimitiveTypes.Int64, arrow.BinaryTypes.String
	point := arrow.StructOf(arrow.Field{Name: "a", Type: arrow.FixedSizeListOf(2, i64), Nullable: true}, arrow.Field{Name: "b", Type: text, Nullable: true})
	points := []string{`{"a": [1, null], "b": "x"}`, `{"a": null, "b": null}`, `null`}
	for _, c := range []struct {
		typ    arrow.DataType
		values []string
	}{
		{i64, []string{"1", "-2", "null"}}, {text, []string{`"a"`, `"größer"`, "null"}}, {arrow.FixedWidthTypes.Boolean, []string{"true", "false", "null"}},
		{arrow.ListOf(i64), []string{"[]", "[1, null, 3]", "[4, 5]", "null"}}, {arrow.LargeListOf(text), []string{"[]", `["a", null]`, "null"}},
		{arrow.ListOf(arrow.FixedWidthTypes.Boolean), []string{"[true, null, false]", "[true]", "null"}}, {arrow.ListOf(arrow.Null), []string{"[null]", "[]", "null"}},
		{arrow.FixedSizeListOf(3, arrow.FixedWidthTypes.Boolean), []string{"[true, null, false]", "[true, true, true]", "null"}},
		{arrow.FixedSizeListOf(2, text), []string{`["a", "bc"]`, `["d", null]`, "null"}},
		{arrow.FixedSizeListOf(2, arrow.FixedSizeListOf(2, arrow.PrimitiveTypes.Int8)), []string{"[[1, 2], [3, null]]", "[null, [5, 6]]", "null"}},
		{arrow.FixedSizeListOf(2, &arrow.FixedSizeBinaryType{ByteWidth: 3}), []string{`["YWJj", null]`, "null"}},
		{arrow.ListOf(point), []string{"[" + points[0] + "," + points[1] + "]", "[" + points[2] + "]", "null"}},
		{arrow.FixedSizeListOf(2, point), []string{"[" + points[0] + "," + points[2] + "]", "[" + points[1] + "," + points[0] + "]", "null"}},
		{arrow.FixedSizeListOf(1, arrow.ListOf(arrow.ListOf(i64))), []string{"[[[1], [], null]]", "[[]]", "null"}},
	} {
		for range 20 {
			chunks := make([]arrow.Array, 1+rng.IntN(3))
			for i := range chunks {
				rows := make([]string, 1+rng.IntN(40))
				for j := range rows {
					rows[j] = c.values[rng.IntN(len(c.values)-i%2)] // some have no nulls
				}
				a, _, err := array.FromJSON(memory.DefaultAllocator, c.typ, strings.NewReader("["+strings.Join(rows, ",")+"]"))
				if err != nil {
					t.Fatal(err)
				}
				lo := rng.IntN(len(rows))
				chunks[i] = array.NewSlice(a, int64(lo), int64(lo+1+rng.IntN(len(rows)-lo)))
			}
			refs := make([]joins.Ref, rng.IntN(100))
			for i := range refs {
				refs[i].Chunk = int32(rng.IntN(len(chunks)+1) - 1)
				if refs[i].Chunk >= 0 {
					refs[i].Row = int32(rng.IntN(chunks[refs[i].Chunk].Len()))
				}
				if i > 0 && rng.IntN(2) == 0 && refs[i-1].Chunk >= 0 && int(refs[i-1].Row)+1 < chunks[refs[i-1].Chunk].Len() {
					refs[i] = joins.Ref{Chunk: refs[i-1].Chunk, Row: refs[i-1].Row + 1}
				}
			}
			got, err := joins.Take(c.typ, chunks, refs)
			if err != nil || got.Len() != len(refs) {
				t.Fatalf("%s: %v", c.typ, err)
			}
			nulls := 0
			for i, r := range refs {
				want := array.NullValueStr
				if r.Chunk >= 0 {
					want = chunks[r.Chunk].ValueStr(int(r.Row))
				}
				if want == array.NullValueStr {
					nulls++
				}
				if have := got.ValueStr(i); have != want {
					t.Fatalf("%s: row %d is %s, want %s", c.typ, i, have, want)
				}
			}
			if got.NullN() != nulls {
				t.Fatalf("%s: %d nulls, want %d", c.typ, got.NullN(), nulls)
			}
		}
	}
}

// Elements that take little take little when they are taken, too.
func TestTakeOfSmallElements(t *testing.T) {
	const n = 1 << 22
	bits := array.NewBooleanData(array.NewData(arrow.FixedWidthTypes.Boolean, n, []*memory.Buffer{nil, memory.NewBufferBytes(make([]byte, n/8))}, nil, 0, 0))
	list := func(elements arrow.Array) arrow.Array {
		offsets := memory.NewBufferBytes(arrow.Int32Traits.CastToBytes([]int32{0, n}))
		return array.NewListData(array.NewData(arrow.ListOf(elements.DataType()), 1, []*memory.Buffer{nil, offsets}, []arrow.ArrayData{elements.Data()}, 0, 0))
	}
	fixed := func(elements arrow.Array, length int32) arrow.Array {
		return array.NewFixedSizeListData(array.NewData(arrow.FixedSizeListOf(length, elements.DataType()), elements.Len()/int(length), []*memory.Buffer{nil},
			[]arrow.ArrayData{elements.Data()}, 0, 0))
	}
	point := array.NewStructData(array.NewData(arrow.StructOf(arrow.Field{Name: "a", Type: bits.DataType()}), n, []*memory.Buffer{nil}, []arrow.ArrayData{bits.Data()}, 0, 0))
	for _, a := range []arrow.Array{list(bits), fixed(bits, n), list(point), list(array.NewNull(n)), fixed(fixed(bits, 8), n/8)} {
		for _, ref := range []joins.Ref{{}, {Chunk: -1}} {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			got, err := joins.Take(a.DataType(), []arrow.Array{a}, []joins.Ref{ref})
			runtime.ReadMemStats(&after)
			if err != nil || got.Len() != 1 {
				t.Fatal(err)
			}
			if bytes := after.TotalAlloc - before.TotalAlloc; bytes > n {
				t.Errorf("%s, null %t: %d KiB", a.DataType(), ref.Chunk < 0, bytes>>10)
			}
		}
	}
}
