package flightsvc

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/ipc"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/flightd/flightd/internal/arrowsize"
	"github.com/flightd/flightd/internal/ipcguard"
)

// Slices of columns with unions in them arrive as they were.
func TestUnionsAreSendable(t *testing.T) {
	fields := []arrow.Field{{Name: "i", Type: arrow.PrimitiveTypes.Int64, Nullable: true}, {Name: "s", Type: arrow.BinaryTypes.String, Nullable: true}}
	values := []string{`[5, 1]`, `[9, "a"]`, `[9, ""]`, `[5, 77]`, `[9, "größer"]`}
	wrap := func(begin, end string) (all []string) {
		all = append(all, begin+end, "null")
		for _, v := range values {
			all = append(all, begin+v+end)
		}
		return append(all, begin+values[0]+", "+values[1]+end)
	}
	for _, union := range []arrow.DataType{arrow.SparseUnionOf(fields, []arrow.UnionTypeCode{5, 9}), arrow.DenseUnionOf(fields, []arrow.UnionTypeCode{5, 9})} {
		structs := []string{"null"}
		for _, v := range values {
			structs = append(structs, `{"u": `+v+`, "n": 1}`)
		}
		for _, c := range []struct {
			typ    arrow.DataType
			values []string
		}{
			{union, values},
			{arrow.StructOf(arrow.Field{Name: "u", Type: union}, arrow.Field{Name: "n", Type: arrow.PrimitiveTypes.Int8}), structs},
			{arrow.ListOf(union), wrap("[", "]")},
			{arrow.LargeListOf(union), wrap("[", "]")},
			{arrow.FixedSizeListOf(2, union), []string{`[[5, 1], [9, "a"]]`, `null`, `[[9, "b"], [9, "c"]]`}},
		} {
			rnd := rand.New(rand.NewPCG(1, 1))
			schema := arrow.NewSchema([]arrow.Field{{Name: "c", Type: c.typ, Nullable: true}}, nil)
			lines := make([]string, 50)
			for i := range lines {
				lines[i] = `{"c": ` + c.values[rnd.IntN(len(c.values))] + `}`
			}
			rec, _, err := array.RecordFromJSON(memory.DefaultAllocator, schema, strings.NewReader("["+strings.Join(lines, ",")+"]"))
			if err != nil {
				t.Fatalf("%s: %v", c.typ, err)
			}
			for range 40 {
				lo := rnd.Int64N(50)
				hi := lo + rnd.Int64N(51-lo)
				slice := rec.NewSlice(lo, hi)
				got := written(t, sendable(slice))
				for i := range int(hi - lo) {
					if g, w := got.Column(0).ValueStr(i), rec.Column(0).ValueStr(int(lo)+i); g != w {
						t.Fatalf("%s [%d, %d): row %d is %s, want %s", c.typ, lo, hi, i, g, w)
					}
				}
				if least, most := arrowsize.Rows(slice), arrowsize.Rows(rec); least > most || hi > lo && least == 0 {
					t.Errorf("%s: %d of 50 rows have %d bytes, all of them %d", c.typ, hi-lo, least, most)
				}
			}
		}
	}
}

// written is a record after it has been sent.
func written(t *testing.T, rec arrow.Record) arrow.Record {
	t.Helper()
	var out bytes.Buffer
	w := ipc.NewWriter(&out, ipc.WithSchema(rec.Schema()))
	if err := w.Write(rec); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := ipcguard.NewReader(t.Context(), ipcguard.Bytes(out.Bytes()), ipcguard.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	for rec, err := range r.Records() {
		if err != nil {
			t.Fatalf("%s: %v", rec, err)
		}
		return rec
	}
	t.Fatal("nothing was written")
	return nil
}
