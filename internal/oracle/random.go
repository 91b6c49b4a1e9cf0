package oracle

import (
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
)

// Case is a random question, built so that rows collide: few keys, few times, many nulls and ties, all units and key types.
type Case struct {
	Entities arrow.Record
	Time     string // event time column of Entities
	Views    []View
	KnownAt  bool
	Window   Window // for questions that have one
}

// Random makes a historical request with up to three views of up to three keys each. One view in a few has no keys.
func Random(rng *rand.Rand) Case {
	c := Case{Time: "event_timestamp", KnownAt: rng.IntN(3) == 0, Window: randomWindow(rng)}
	rows := rng.IntN(40)
	var columns []randomColumn
	for i := range 3 {
		k := randomKind(rng)
		columns = append(columns, randomColumn{fmt.Sprintf("k%d", i), k, pick(rng, k.types)})
	}
	rec := &recordMaker{rng: rng, rows: rows}
	for _, col := range columns {
		rec.values(col.name, col.dataType, pool(col.kind, col.dataType))
	}
	rec.label()
	if at := pick(rng, timeTypes); rng.IntN(8) == 0 {
		rec.textTimes(c.Time)
	} else {
		rec.times(c.Time, at, true)
	}
	c.Entities = rec.record()
	for i := range 1 + rng.IntN(3) {
		c.Views = append(c.Views, randomView(rng, fmt.Sprintf("v%d", i), columns[:rng.IntN(len(columns)+1)], true))
	}
	return c
}

// RandomKeyed makes views that have the same keys, for timelines and snapshots: every key fits the type that the first
// view has for it, and times are within what nanoseconds can say. Sometimes a view without keys is among them.
func RandomKeyed(rng *rand.Rand) Case {
	c := Case{Window: randomWindow(rng), KnownAt: rng.IntN(3) == 0}
	var kinds []keyKind
	for range 1 + rng.IntN(2) {
		kinds = append(kinds, randomKind(rng))
	}
	var first []arrow.DataType
	for _, k := range kinds {
		first = append(first, pick(rng, k.types))
	}
	for i := range 1 + rng.IntN(3) {
		columns := []randomColumn{}
		for j, k := range kinds {
			col := randomColumn{fmt.Sprintf("k%d", j), k, first[j]}
			if i > 0 {
				col.dataType = pick(rng, k.types)
			}
			col.kind.pool = fitting(pool(k, first[j]), col.dataType)
			columns = append(columns, col)
		}
		rng.Shuffle(len(columns), func(a, b int) {
			if i > 0 {
				columns[a], columns[b] = columns[b], columns[a]
			}
		})
		c.Views = append(c.Views, randomView(rng, fmt.Sprintf("v%d", i), columns, false))
	}
	if rng.IntN(4) == 0 {
		c.Views = append(c.Views, randomView(rng, "world", nil, false))
	}
	return c
}

func randomView(rng *rand.Rand, name string, keys []randomColumn, extremes bool) View {
	v := View{Name: name, EventTime: "ts", TTL: pick(rng, ttls)}
	rec := &recordMaker{rng: rng, rows: rng.IntN(40), tame: !extremes}
	for _, col := range keys {
		t := col.dataType
		if extremes { // any type that may be joined with the entity column's
			for t = pick(rng, col.kind.types); !Comparable(t, col.dataType); {
				t = pick(rng, col.kind.types)
			}
		}
		source := "s_" + col.name
		v.Keys = append(v.Keys, Key{Entity: col.name, Source: source})
		rec.values(source, t, pool(col.kind, t))
	}
	rec.times("ts", pick(rng, timeTypes), extremes)
	if rng.IntN(3) > 0 {
		v.Created = "created"
		rec.times("created", pick(rng, timeTypes), extremes)
	}
	rec.features()
	for _, f := range rec.fields {
		if f.Name == "id" || rng.IntN(2) == 0 {
			v.Features = append(v.Features, Feature{Source: f.Name, Name: name + "__" + f.Name})
		}
	}
	rng.Shuffle(len(v.Features), func(i, j int) { v.Features[i], v.Features[j] = v.Features[j], v.Features[i] })
	v.Rows = rec.record()
	return v
}

// keyKind is a set of types that may be joined with each other, and values for them.
type keyKind struct {
	types []arrow.DataType
	pool  []Value
}

type randomColumn struct {
	name     string
	kind     keyKind
	dataType arrow.DataType
}

var (
	text = arrow.BinaryTypes.String

	integerTypes = []arrow.DataType{
		arrow.PrimitiveTypes.Int8, arrow.PrimitiveTypes.Int16, arrow.PrimitiveTypes.Int32, arrow.PrimitiveTypes.Int64,
		arrow.PrimitiveTypes.Uint8, arrow.PrimitiveTypes.Uint16, arrow.PrimitiveTypes.Uint32, arrow.PrimitiveTypes.Uint64,
	}
	timeTypes = []arrow.DataType{
		&arrow.TimestampType{Unit: arrow.Second}, &arrow.TimestampType{Unit: arrow.Millisecond, TimeZone: "UTC"},
		&arrow.TimestampType{Unit: arrow.Microsecond}, &arrow.TimestampType{Unit: arrow.Nanosecond, TimeZone: "Europe/Paris"},
		&arrow.TimestampType{Unit: arrow.Nanosecond}, arrow.FixedWidthTypes.Date32, arrow.FixedWidthTypes.Date64,
	}
	numbers = []Value{
		integer(0), integer(1), integer(-1), integer(3), integer(255), integer(1 << 53), integer(1<<53 + 1),
		integer(math.MaxInt64), integer(math.MinInt64), {Kind: Number, Num: new(big.Rat).SetInt(new(big.Int).SetUint64(math.MaxUint64))},
		float(0.5), float(0.25), {}, {},
	}
	reals = append([]Value{float(math.Inf(1)), float(math.Inf(-1)), float(math.Ldexp(1, 63)), float(float64(float32(0.1)))}, numbers...)

	kinds = []keyKind{
		{append([]arrow.DataType{arrow.PrimitiveTypes.Float32, arrow.PrimitiveTypes.Float64}, integerTypes...), reals},
		{integerTypes, numbers},
		{append([]arrow.DataType{
			&arrow.Decimal128Type{Precision: 38, Scale: 2}, &arrow.Decimal128Type{Precision: 22, Scale: 0},
			&arrow.Decimal256Type{Precision: 60, Scale: 5},
		}, integerTypes...), numbers},
		{[]arrow.DataType{
			text, arrow.BinaryTypes.LargeString, &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int8, ValueType: text},
		}, texts(Text, "", "a", "A", "aa", "a\x00", "é", "a")},
		{[]arrow.DataType{
			arrow.BinaryTypes.Binary, arrow.BinaryTypes.LargeBinary, &arrow.FixedSizeBinaryType{ByteWidth: 2},
		}, texts(Bytes, "", "ab", "\x00\x00", "\xff\xff", "abc")},
		{[]arrow.DataType{arrow.FixedWidthTypes.Boolean}, []Value{
			{Kind: Bool, Num: new(big.Rat)}, {Kind: Bool, Num: new(big.Rat).SetInt64(1)}, {},
		}},
		{timeTypes, []Value{ticks(0, 1), ticks(19723, 24*time.Hour), ticks(-1, 24*time.Hour), ticks(1, 1), ticks(-1, time.Second), {}}},
	}
	ttls = []time.Duration{
		0, 0, 0, 1, time.Microsecond, 500 * time.Millisecond, time.Second, time.Second + 1, 24 * time.Hour, math.MaxInt64,
	}
)

func texts(k Kind, all ...string) []Value {
	values := []Value{{}}
	for _, s := range all {
		values = append(values, Value{Kind: k, Text: s})
	}
	return values
}

func randomKind(rng *rand.Rand) keyKind { return pick(rng, kinds) }

func pick[T any](rng *rand.Rand, from []T) T { return from[rng.IntN(len(from))] }

// pool is the values of a kind that a type can hold.
func pool(k keyKind, t arrow.DataType) []Value { return fitting(k.pool, t) }

func fitting(values []Value, t arrow.DataType) []Value {
	var fit []Value
	for _, v := range values {
		if v.Kind == Null || fits(v, t) {
			fit = append(fit, v)
		}
	}
	return append(fit, Value{})
}

// fits says whether a type holds a value exactly: written and read again it is the same.
func fits(v Value, t arrow.DataType) (ok bool) {
	defer func() {
		if recover() != nil { // an integer out of range, a text of another length
			ok = false
		}
	}()
	b := array.NewBuilder(memory.DefaultAllocator, t)
	defer b.Release()
	write(b, v)
	a := b.NewArray()
	defer a.Release()
	return Compare(Read(a, 0), v) == 0
}

func randomWindow(rng *rand.Rand) Window {
	var w Window
	if rng.IntN(2) == 0 {
		w.Start = day.Add(pick(rng, offsets))
	}
	if rng.IntN(2) == 0 {
		w.End = day.Add(pick(rng, offsets) + pick(rng, offsets))
	}
	return w
}

// day is the time around which all times are; offsets are where they are.
var (
	day     = time.Date(2024, 1, 31, 0, 0, 0, 0, time.UTC)
	offsets = []time.Duration{
		0, 1, 999, time.Microsecond, time.Microsecond + 1, time.Millisecond, 500 * time.Millisecond, time.Second,
		2 * time.Second, -time.Second, -1, 24 * time.Hour, -24 * time.Hour,
	}
)
