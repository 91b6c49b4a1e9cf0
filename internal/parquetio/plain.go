package parquetio

import (
	"fmt"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/parquet-go/parquet-go/format"
)

// plainValues encodes the values of Arrow arrays as one column of a file stores them, in the PLAIN encoding, and keeps
// their bounds. Truth values are encoded as bytes; they are packed when the page is complete.
type plainValues interface {
	// bind makes a the array that indexes refer to. Its type has been checked to be the column's.
	bind(a arrow.Array) error
	// appendRange appends the values lo to hi of the array, none of which is null.
	appendRange(dst []byte, lo, hi int) ([]byte, error)
	// bounds are the least and the greatest value since the last call, as statistics have them; nil: not known.
	bounds() (least, most []byte)
}

// newPlainValues finds the encoder of a leaf.
func newPlainValues(n *node, e *format.SchemaElement) (plainValues, error) {
	isDecimal := n.typ.ID() == arrow.DECIMAL128 || n.typ.ID() == arrow.DECIMAL256
	switch e.Type.V {
	case format.Boolean:
		return new(plainBools), nil
	case format.Int32, format.Int64:
		return newPlainInts(n.typ, e.Type.V == format.Int64), nil
	case format.Int96:
		return new(plainInt96s), nil
	case format.Float, format.Double:
		return &plainFloats{wide: e.Type.V == format.Double}, nil
	case format.ByteArray:
		if isDecimal {
			return &plainDecimals{}, nil
		}
		return &plainTexts{checked: n.typ.ID() == arrow.STRING || n.typ.ID() == arrow.LARGE_STRING}, nil
	case format.FixedLenByteArray:
		if isDecimal {
			return &plainDecimals{width: int(e.TypeLength.V)}, nil
		}
		return &plainFixed{width: int(e.TypeLength.V)}, nil
	}
	return nil, fmt.Errorf("values of type %s cannot be written as %s", n.typ, e.Type.V)
}

// unbound is the error for an array whose type is not the column's, which is a bug.
func unbound(a arrow.Array, column any) error {
	return fmt.Errorf("an array of type %s in a column of %T", a.DataType(), column)
}

type plainBools struct{ a *array.Boolean }

func (c *plainBools) bind(a arrow.Array) (err error) {
	var ok bool
	if c.a, ok = a.(*array.Boolean); !ok {
		return unbound(a, c)
	}
	return nil
}

func (c *plainBools) appendRange(dst []byte, lo, hi int) ([]byte, error) {
	for ; lo < hi; lo++ {
		bit := byte(0)
		if c.a.Value(lo) {
			bit = 1
		}
		dst = append(dst, bit)
	}
	return dst, nil
}

func (*plainBools) bounds() (least, most []byte) { return nil, nil }

// packBools makes bits of bytes.
func packBools(dst, bools []byte) []byte {
	for len(bools) > 0 {
		var b byte
		n := min(8, len(bools))
		for i, bit := range bools[:n] {
			b |= bit << i
		}
		dst, bools = append(dst, b), bools[n:]
	}
	return dst
}

// plainNulls is a column of a type that has no values.
type plainNulls struct{}

func (plainNulls) bind(arrow.Array) error                           { return nil }
func (plainNulls) appendRange(dst []byte, _, _ int) ([]byte, error) { return dst, nil }
func (plainNulls) bounds() (least, most []byte)                     { return nil, nil }
