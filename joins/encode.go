package joins

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/big"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
)

// What a key value can be to the join.
const (
	usable      uint8 = iota
	isNull            // matches nothing because it is unknown (NaN is, too)
	unmatchable       // has no form in the space of its key: equals nothing on the other side
)

// keyColumn holds the encoded values of one key column of one batch: a word or a byte string for each row.
type keyColumn struct {
	words      []uint64
	text       [][]byte
	dictionary *encodedDictionary // of the last batch that had one
}

// encodedDictionary holds the encoded values of a dictionary. Batches that follow each other mostly share one, and it may be
// far larger than they are.
type encodedDictionary struct {
	of     arrow.ArrayData
	space  space
	values keyColumn
	state  []uint8
}

// encode fills col with the values of a in the given space and worsens state where a value cannot match.
func (col *keyColumn) encode(a arrow.Array, s space, state []uint8) error {
	n := a.Len()
	if s.kind == nothing {
		col.words = grow(col.words, n)
		for i := range state {
			if a.IsNull(i) || a.DataType().ID() == arrow.NULL {
				state[i] = isNull
			} else if state[i] == usable {
				state[i] = unmatchable
			}
		}
		return nil
	}
	switch a := a.(type) {
	case *array.Dictionary:
		return col.encodeDictionary(a, s, state)
	case array.ExtensionArray:
		return col.encode(a.Storage(), s, state)
	}
	if a.NullN() > 0 {
		for i := range n {
			if a.IsNull(i) {
				state[i] = isNull
			}
		}
	}
	if s.word() {
		col.words = grow(col.words, n)
		return encodeWords(a, s, col.words, state)
	}
	col.text = grow(col.text, n)
	return encodeText(a, s, col.text, state)
}

// encodeDictionary encodes each dictionary value once for as long as the dictionary stays the same.
func (col *keyColumn) encodeDictionary(a *array.Dictionary, s space, state []uint8) error {
	if col.dictionary == nil {
		col.dictionary = new(encodedDictionary)
	}
	d := col.dictionary
	if err := d.encode(a, s); err != nil {
		return err
	}
	if s.word() {
		col.words = grow(col.words, a.Len())
	} else {
		col.text = grow(col.text, a.Len())
	}
	for i := range a.Len() {
		if a.IsNull(i) {
			state[i] = isNull
			continue
		}
		v := a.GetValueIndex(i)
		worsen(state, i, d.state[v])
		if s.word() {
			col.words[i] = d.values.words[v]
		} else {
			col.text[i] = d.values.text[v]
		}
	}
	return nil
}

func (d *encodedDictionary) encode(a *array.Dictionary, s space) error {
	of := a.Data().Dictionary()
	if d.of == of && d.space == s {
		return nil
	}
	d.of, d.space = nil, s
	d.state = grow(d.state, of.Len())
	clear(d.state)
	if err := d.values.encode(a.Dictionary(), s, d.state); err != nil {
		return err
	}
	d.of = of
	return nil
}

// dictionaryBytes is what the encoded values of the keys' dictionaries take: of each column one is kept at a time.
func dictionaryBytes(e Entities, keys []string, spaces []space) (n int64) {
	for i, key := range keys {
		column, longest := e.Schema.FieldIndices(key)[0], 0
		for _, rec := range e.Records {
			if d, ok := rec.Column(column).(*array.Dictionary); ok {
				longest = max(longest, d.Data().Dictionary().Len())
			}
		}
		each := 1 + 8
		switch {
		case spaces[i].kind == decimals:
			each = 1 + 24 + 32
		case !spaces[i].word():
			each = 1 + 24
		}
		n += int64(longest) * int64(each) * 5 / 4 // as grow has it
	}
	return n
}

func worsen(state []uint8, i int, to uint8) {
	if state[i] != isNull && to != usable {
		state[i] = to
	}
}

func encodeWords(a arrow.Array, s space, out []uint64, state []uint8) error {
	switch a := a.(type) {
	case *array.Int8:
		signed(a.Int8Values(), s, out, state)
	case *array.Int16:
		signed(a.Int16Values(), s, out, state)
	case *array.Int32:
		signed(a.Int32Values(), s, out, state)
	case *array.Int64:
		signed(a.Int64Values(), s, out, state)
	case *array.Uint8:
		signed(a.Uint8Values(), s, out, state)
	case *array.Uint16:
		signed(a.Uint16Values(), s, out, state)
	case *array.Uint32:
		signed(a.Uint32Values(), s, out, state)
	case *array.Uint64:
		for i, v := range a.Uint64Values() {
			if s.kind == int64s && v > math.MaxInt64 {
				worsen(state, i, unmatchable)
			}
			out[i] = v
		}
	case *array.Float16:
		for i, v := range a.Values() {
			out[i] = float(float64(v.Float32()), s, state, i)
		}
	case *array.Float32:
		for i, v := range a.Float32Values() {
			out[i] = float(float64(v), s, state, i)
		}
	case *array.Float64:
		for i, v := range a.Float64Values() {
			out[i] = float(v, s, state, i)
		}
	case *array.Boolean:
		for i := range out {
			out[i] = 0
			if a.Value(i) {
				out[i] = 1
			}
		}
	case *array.Date32:
		coarsen(a.Date32Values(), day, s, out, state)
	case *array.Date64:
		coarsen(a.Date64Values(), unitOfArray(a), s, out, state)
	case *array.Timestamp:
		coarsen(a.TimestampValues(), unitOfArray(a), s, out, state)
	case *array.Time32:
		coarsen(a.Time32Values(), unitOfArray(a), s, out, state)
	case *array.Time64:
		coarsen(a.Time64Values(), unitOfArray(a), s, out, state)
	case *array.Duration:
		coarsen(a.DurationValues(), unitOfArray(a), s, out, state)
	default:
		return fmt.Errorf("a join key of type %s has no code", a.DataType())
	}
	return nil
}

func unitOfArray(a arrow.Array) unit {
	_, u, _ := kindOf(a.DataType())
	return u
}

func signed[T int8 | int16 | int32 | int64 | uint8 | uint16 | uint32](values []T, s space, out []uint64, state []uint8) {
	out = out[:len(values)]
	for i, v := range values {
		out[i] = uint64(int64(v))
	}
	if s.kind == uint64s {
		for i, v := range values {
			if v < 0 {
				worsen(state, i, unmatchable)
			}
		}
	}
}

// float encodes one floating value; in an integer space only integral values inside its range have a form.
func float(v float64, s space, state []uint8, i int) uint64 {
	switch {
	case v != v:
		state[i] = isNull
		return 0
	case s.kind == floats:
		return math.Float64bits(v + 0) // turns -0 into 0
	case v != math.Trunc(v):
	case s.kind == uint64s && v >= 0 && v < 1<<64:
		return uint64(v)
	case s.kind == int64s && v >= -1<<63 && v < 1<<63:
		return uint64(int64(v))
	}
	worsen(state, i, unmatchable)
	return 0
}

func coarsen[T ~int32 | ~int64](values []T, from unit, s space, out []uint64, state []uint8) {
	step := int64(s.unit / from)
	for i, v := range values {
		if step > 1 && int64(v)%step != 0 {
			worsen(state, i, unmatchable)
			continue
		}
		out[i] = uint64(int64(v) / step)
	}
}

func encodeText(a arrow.Array, s space, out [][]byte, state []uint8) error {
	switch a := a.(type) {
	case array.BinaryLike:
		data := a.ValueBytes()
		if a.Len() == 0 {
			return nil
		}
		first := a.ValueOffset64(0)
		if short, ok := a.(interface{ ValueOffsets() []int32 }); ok {
			ends := short.ValueOffsets()[1:] // as they are mostly, without a call for each
			for i, from := range short.ValueOffsets()[:len(out)] {
				out[i] = data[int64(from)-first : int64(ends[i])-first]
			}
			return nil
		}
		for i := range out {
			lo := a.ValueOffset64(i) - first
			out[i] = data[lo : lo+int64(a.ValueLen(i))]
		}
	case *array.FixedSizeBinary:
		for i := range out {
			out[i] = a.Value(i)
		}
	default:
		if s.kind != decimals {
			return fmt.Errorf("a join key of type %s has no code", a.DataType())
		}
		return encodeDecimals(a, out, state)
	}
	return nil
}

// encodeDecimals writes value = digits x 10^-scale with the fewest digits, so that 1.50, 1.5 and (as an integer) 15e-1 agree.
func encodeDecimals(a arrow.Array, out [][]byte, state []uint8) error {
	ten := big.NewInt(10)
	value, err := decimalReader(a)
	if err != nil {
		return err
	}
	for i := range out {
		if state[i] == isNull {
			continue
		}
		digits, scale := value(i)
		if digits.Sign() == 0 {
			scale = 0
		}
		for digits.Sign() != 0 {
			q, r := new(big.Int).QuoRem(digits, ten, new(big.Int))
			if r.Sign() != 0 {
				break
			}
			digits, scale = q, scale-1
		}
		key := binary.BigEndian.AppendUint32([]byte{byte(digits.Sign() + 1)}, uint32(scale))
		out[i] = append(key, digits.Bytes()...)
	}
	return nil
}

func decimalReader(a arrow.Array) (func(i int) (*big.Int, int32), error) {
	switch a := a.(type) {
	case *array.Decimal128:
		scale := a.DataType().(*arrow.Decimal128Type).Scale
		return func(i int) (*big.Int, int32) { return a.Value(i).BigInt(), scale }, nil
	case *array.Decimal256:
		scale := a.DataType().(*arrow.Decimal256Type).Scale
		return func(i int) (*big.Int, int32) { return a.Value(i).BigInt(), scale }, nil
	case *array.Uint64:
		return func(i int) (*big.Int, int32) { return new(big.Int).SetUint64(a.Value(i)), 0 }, nil
	}
	words, state := make([]uint64, a.Len()), make([]uint8, a.Len())
	if err := encodeWords(a, space{kind: int64s}, words, state); err != nil {
		return nil, err
	}
	return func(i int) (*big.Int, int32) { return big.NewInt(int64(words[i])), 0 }, nil
}

// grow returns a slice of n elements, the same one if it is long enough. What is in it does not matter.
func grow[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n, n+n/4)
	}
	return s[:n]
}
