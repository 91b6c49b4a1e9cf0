package oracle

import (
	"math"
	"math/rand/v2"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
)

// recordMaker makes a record of random columns.
type recordMaker struct {
	rng     *rand.Rand
	rows    int
	tame    bool // no -0, whose place an equal 0 may take
	fields  []arrow.Field
	columns []arrow.Array
}

func (m *recordMaker) record() arrow.Record {
	return array.NewRecord(arrow.NewSchema(m.fields, nil), m.columns, int64(m.rows))
}

func (m *recordMaker) add(name string, t arrow.DataType, appendRow func(b array.Builder, row int)) {
	b := array.NewBuilder(memory.DefaultAllocator, t)
	defer b.Release()
	for row := range m.rows {
		appendRow(b, row)
	}
	a := b.NewArray()
	a.NullN() // counted before the array is shared
	m.fields = append(m.fields, arrow.Field{Name: name, Type: t, Nullable: true})
	m.columns = append(m.columns, a)
}

// values adds a column of values from a small pool.
func (m *recordMaker) values(name string, t arrow.DataType, from []Value) {
	if len(from) > 4 { // few keys, so that they meet
		from = append(from[:0:0], from...)
		m.rng.Shuffle(len(from), func(i, j int) { from[i], from[j] = from[j], from[i] })
		from = from[:4+m.rng.IntN(len(from)-3)]
	}
	m.add(name, t, func(b array.Builder, _ int) {
		v := pick(m.rng, from)
		f, isFloat := b.(*array.Float64Builder)
		switch {
		case isFloat && v.Kind == Null && m.rng.IntN(2) == 0:
			f.Append(math.NaN())
		case isFloat && v.Inf == 0 && v.Kind != Null && v.Num.Sign() == 0 && !m.tame && m.rng.IntN(2) == 0:
			f.Append(math.Copysign(0, -1))
		case v.Kind == Null:
			b.AppendNull()
		default:
			write(b, v)
		}
	})
}

// times adds a column of times around day; extremes adds the ends of the type's range.
func (m *recordMaker) times(name string, t arrow.DataType, extremes bool) {
	m.add(name, t, func(b array.Builder, _ int) {
		switch n := m.rng.IntN(24); {
		case n < 3:
			b.AppendNull()
		case n == 3 && extremes:
			extreme(b, m.rng.IntN(2) == 0)
		default:
			at := Time(day.Add(pick(m.rng, offsets)))
			write(b, floor(at, tick(t)))
		}
	})
}

func extreme(b array.Builder, least bool) {
	n := int64(math.MaxInt64)
	if least {
		n = math.MinInt64
	}
	switch b := b.(type) {
	case *array.TimestampBuilder:
		b.Append(arrow.Timestamp(n))
	case *array.Date32Builder:
		b.Append(arrow.Date32(n >> 32))
	case *array.Date64Builder:
		const msPerDay = 24 * 3600 * 1000
		b.Append(arrow.Date64(n / msPerDay * msPerDay))
	}
}

// tick is the least difference between two times of a type.
func tick(t arrow.DataType) time.Duration {
	if t, ok := t.(*arrow.TimestampType); ok {
		return t.Unit.Multiplier()
	}
	return 24 * time.Hour
}

func (m *recordMaker) textTimes(name string) {
	layouts := []string{"2006-01-02T15:04:05.999999999Z07:00", "2006-01-02 15:04:05.999999999", "2006-01-02"}
	m.add(name, text, func(b array.Builder, _ int) {
		if m.rng.IntN(8) == 0 {
			b.AppendNull()
			return
		}
		b.(*array.StringBuilder).Append(day.Add(pick(m.rng, offsets)).Format(pick(m.rng, layouts)))
	})
}

// label adds the number of the row, which tells entity rows apart.
func (m *recordMaker) label() {
	m.add("label", arrow.PrimitiveTypes.Int32, func(b array.Builder, row int) { b.(*array.Int32Builder).Append(int32(row)) })
}

// features adds columns of several types, with nulls, and `id`, which tells the rows of the source apart.
func (m *recordMaker) features() {
	m.add("id", arrow.PrimitiveTypes.Int64, func(b array.Builder, row int) { b.(*array.Int64Builder).Append(int64(row)) })
	orNull := func(appendRow func(b array.Builder, row int)) func(array.Builder, int) {
		return func(b array.Builder, row int) {
			if m.rng.IntN(4) == 0 {
				b.AppendNull()
			} else {
				appendRow(b, row)
			}
		}
	}
	m.add("rate", arrow.PrimitiveTypes.Float64, orNull(func(b array.Builder, row int) {
		b.(*array.Float64Builder).Append(float64(row) / 4)
	}))
	m.add("flag", arrow.FixedWidthTypes.Boolean, orNull(func(b array.Builder, row int) {
		b.(*array.BooleanBuilder).Append(row%3 == 0)
	}))
	m.add("city", text, orNull(func(b array.Builder, row int) {
		b.(*array.StringBuilder).Append([]string{"", "Bern", "Ulm"}[row%3])
	}))
	m.add("trips", arrow.ListOf(arrow.PrimitiveTypes.Int16), orNull(func(b array.Builder, row int) {
		list := b.(*array.ListBuilder)
		list.Append(true)
		for i := range row % 3 {
			list.ValueBuilder().(*array.Int16Builder).Append(int16(row + i))
		}
	}))
}
