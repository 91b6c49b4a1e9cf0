package joins

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
)

func fromJSON(t *testing.T, typ arrow.DataType, json string) arrow.Array {
	t.Helper()
	a, _, err := array.FromJSON(memory.DefaultAllocator, typ, strings.NewReader(json))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// Batches of one column whose dictionary stays, changes and comes again are encoded as if each were alone and had none.
func TestEncodeDictionaries(t *testing.T) {
	for _, c := range []struct {
		typ  arrow.DataType
		s    space
		a, b string // two dictionaries
	}{
		{arrow.PrimitiveTypes.Int64, space{kind: int64s}, `[7, null, -3]`, `[1, 2, 3, 4]`},
		{arrow.PrimitiveTypes.Float64, space{kind: int64s}, `[7, 0.5, -3]`, `["NaN", 2, null, 4]`},
		{arrow.BinaryTypes.LargeString, space{kind: texts}, `["x", null, ""]`, `["y", "zz", "x", null]`},
		{&arrow.Decimal128Type{Precision: 9, Scale: 2}, space{kind: decimals}, `["1.50", null, "0"]`, `["3.00", "1.50", null, "7"]`},
		{arrow.FixedWidthTypes.Timestamp_us, space{kind: times, unit: 1e6}, `[1000, 1, null]`, `[2000, 2, 3000, null]`},
	} {
		dictionary := &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int8, ValueType: c.typ}
		first, second := fromJSON(t, c.typ, c.a), fromJSON(t, c.typ, c.b)
		batch := func(indices string, values arrow.Array) arrow.Array {
			return array.NewDictionaryArray(dictionary, fromJSON(t, arrow.PrimitiveTypes.Int8, indices), values)
		}
		long := batch(`[2, 1, 0, null, 0]`, first)
		var col keyColumn
		for i, a := range []arrow.Array{
			long, batch(`[0]`, first), array.NewSlice(long, 2, 5), batch(`[3, 0, 2]`, second), batch(`[1, null]`, second), long, batch(`[]`, second), batch(`[2]`, first),
		} {
			var refs []Ref
			for row := range a.Len() {
				refs = append(refs, Ref{Row: int32(row)})
			}
			plain, err := Take(a.DataType(), []arrow.Array{a}, refs)
			if err != nil {
				t.Fatal(err)
			}
			var alone keyColumn
			have, want := make([]uint8, a.Len()), make([]uint8, a.Len())
			if err := errors.Join(col.encode(a, c.s, have), alone.encode(plain, c.s, want)); err != nil {
				t.Fatal(err)
			}
			for row := range a.Len() {
				same := have[row] == want[row]
				if same && have[row] == usable && c.s.word() {
					same = col.words[row] == alone.words[row]
				} else if same && have[row] == usable {
					same = string(col.text[row]) == string(alone.text[row])
				}
				if !same {
					t.Errorf("%s, batch %d, row %d: state %d, want %d, or another key", dictionary, i, row, have[row], want[row])
				}
			}
		}
	}
}

// smallBatches are entity rows of one row each, with a large dictionary that all of them share.
func smallBatches(batches, entries int, key, stamp arrow.DataType) Entities {
	dictionary := func(values arrow.DataType) (*arrow.DictionaryType, arrow.Array) {
		t := &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int32, ValueType: values}
		data := array.NewData(values, entries, []*memory.Buffer{nil, memory.NewBufferBytes(make([]byte, 8*entries+8))}, nil, 0, 0)
		if values.ID() == arrow.STRING {
			data = array.NewData(values, entries, []*memory.Buffer{nil, memory.NewBufferBytes(make([]byte, 4*entries+4)), nil}, nil, 0, 0)
		}
		return t, array.MakeFromData(data)
	}
	keyType, keys := dictionary(key)
	timeType, times := dictionary(stamp)
	e := Entities{Time: "ts", Schema: arrow.NewSchema([]arrow.Field{{Name: "k", Type: keyType}, {Name: "ts", Type: timeType}}, nil)}
	b := array.NewInt32Builder(memory.DefaultAllocator)
	b.Append(5)
	index := b.NewArray()
	for range batches {
		e.Records = append(e.Records, array.NewRecord(e.Schema, []arrow.Array{
			array.NewDictionaryArray(keyType, index, keys), array.NewDictionaryArray(timeType, index, times),
		}, 1))
	}
	return e
}

// A dictionary that stays is not looked at again: what was made of it is.
func TestDictionaryIsEncodedOnce(t *testing.T) {
	e := smallBatches(2, 10, arrow.PrimitiveTypes.Int64, arrow.FixedWidthTypes.Date32)
	var col keyColumn
	for i, rec := range e.Records {
		if err := col.encode(rec.Column(0), space{kind: int64s}, make([]uint8, 1)); err != nil {
			t.Fatal(err)
		}
		if col.words[0] != uint64(i) {
			t.Errorf("batch %d: the key is %d", i, col.words[0])
		}
		col.dictionary.values.words[5] = 1
	}
}

// What many small batches share takes the memory of one.
func TestLargeDictionaryOfSmallBatches(t *testing.T) {
	const batches, entries = 200, 100_000
	for key, kind := range map[arrow.DataType]spaceKind{arrow.PrimitiveTypes.Int64: int64s, arrow.BinaryTypes.String: texts} {
		e := smallBatches(batches, entries, key, arrow.FixedWidthTypes.Date32)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		times, err := entityTimesOf(t.Context(), e)
		if err != nil {
			t.Fatal(err)
		}
		p := &peak{}
		x, err := buildIndex(t.Context(), e, times, []string{"k"}, []space{{kind: kind}}, &holding{budget: p}, 1, false)
		if err != nil || x.groups != 1 {
			t.Fatalf("%v, %v", x, err)
		}
		runtime.ReadMemStats(&after)
		made, most := after.TotalAlloc-before.TotalAlloc, uint64(10*32*entries)
		t.Logf("%s: %d bytes were made of %d batches", key, made, batches)
		if made > most {
			t.Errorf("%s: %d bytes were made, more than %d", key, made, most)
		}
		if p.most < 9*entries || p.now > 9*entries {
			t.Errorf("%s: %d bytes were reserved, of which %d still are", key, p.most, p.now)
		}
	}
}

// peak is a budget that has no end.
type peak struct{ now, most int64 }

func (p *peak) Reserve(_ context.Context, n int64) error {
	p.now += n
	p.most = max(p.most, p.now)
	return nil
}

func (p *peak) Release(n int64) { p.now -= n }

// The context is asked for each record, in every loop over them.
func TestIndexEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, stamp := range []arrow.DataType{arrow.FixedWidthTypes.Timestamp_us, arrow.BinaryTypes.String} {
		e := smallBatches(3, 10, arrow.PrimitiveTypes.Int64, stamp)
		if _, err := entityTimesOf(ctx, e); !errors.Is(err, context.Canceled) {
			t.Errorf("event times of %s: %v", stamp, err)
		}
		if _, err := newKeyCoder(ctx, keysOf(e, []string{"k"}, []space{{kind: int64s}}, false, 2), false); !errors.Is(err, context.Canceled) {
			t.Error(fmt.Errorf("keys: %w", err))
		}
	}
}
