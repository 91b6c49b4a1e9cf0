package parquetio

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/big"
	"unicode/utf8"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"github.com/flightd/flightd/internal/fault"
)

// boundMost is how long a text may be to be a bound; a column with longer ones has none.
const boundMost = 64

// plainTexts are texts and binaries of any length.
type plainTexts struct {
	checked bool // must be UTF-8
	value   func(i int) []byte

	some, tooLong bool
	least, most   []byte
}

func (c *plainTexts) bind(a arrow.Array) error {
	binaryLike, ok := a.(array.BinaryLike)
	if !ok {
		return unbound(a, c)
	}
	if a.Len() == 0 {
		return nil
	}
	data, first := binaryLike.ValueBytes(), binaryLike.ValueOffset64(0)
	c.value = func(i int) []byte {
		at := binaryLike.ValueOffset64(i) - first
		return data[at : at+int64(binaryLike.ValueLen(i))]
	}
	return nil
}

func (c *plainTexts) appendRange(dst []byte, lo, hi int) ([]byte, error) {
	for ; lo < hi; lo++ {
		v := c.value(lo)
		if c.checked && !utf8.Valid(v) {
			return dst, fault.New(fault.Invalid, "a text is not UTF-8; send it as binary")
		}
		c.see(v)
		dst = append(binary.LittleEndian.AppendUint32(dst, uint32(len(v))), v...)
	}
	return dst, nil
}

func (c *plainTexts) see(v []byte) {
	switch {
	case c.tooLong:
	case len(v) > boundMost:
		c.tooLong = true
	case !c.some:
		c.some, c.least, c.most = true, append(c.least[:0], v...), append(c.most[:0], v...)
	case bytes.Compare(v, c.least) < 0:
		c.least = append(c.least[:0], v...)
	case bytes.Compare(v, c.most) > 0:
		c.most = append(c.most[:0], v...)
	}
}

func (c *plainTexts) bounds() (least, most []byte) {
	if c.some && !c.tooLong {
		least, most = append([]byte{}, c.least...), append([]byte{}, c.most...)
	}
	c.some, c.tooLong = false, false
	return least, most
}

// plainFixed are binaries of one length, half floats among them.
type plainFixed struct {
	width int
	value func(i int) []byte
}

func (c *plainFixed) bind(a arrow.Array) error {
	switch a := a.(type) {
	case *array.FixedSizeBinary:
		c.value = a.Value
	case *array.Float16:
		c.value = func(i int) []byte { return binary.LittleEndian.AppendUint16(nil, a.Value(i).Uint16()) }
	default:
		return unbound(a, c)
	}
	return nil
}

func (c *plainFixed) appendRange(dst []byte, lo, hi int) ([]byte, error) {
	for ; lo < hi; lo++ {
		v := c.value(lo)
		if len(v) != c.width {
			return dst, fmt.Errorf("a value of %d bytes in a column of %d", len(v), c.width)
		}
		dst = append(dst, v...)
	}
	return dst, nil
}

func (*plainFixed) bounds() (least, most []byte) { return nil, nil }

// plainDecimals are decimals stored as big-endian bytes: a fixed number of them, or with a length in front.
type plainDecimals struct {
	width int // 0: variable
	value func(i int) *big.Int
}

func (c *plainDecimals) bind(a arrow.Array) error {
	switch a := a.(type) {
	case *array.Decimal128:
		c.value = func(i int) *big.Int { return a.Value(i).BigInt() }
	case *array.Decimal256:
		c.value = func(i int) *big.Int { return a.Value(i).BigInt() }
	default:
		return unbound(a, c)
	}
	return nil
}

func (c *plainDecimals) appendRange(dst []byte, lo, hi int) ([]byte, error) {
	for ; lo < hi; lo++ {
		v := c.value(lo)
		need := bytesOfInteger(v)
		width := c.width
		if width == 0 {
			width = need
			dst = binary.LittleEndian.AppendUint32(dst, uint32(width))
		}
		if need > width {
			return dst, fault.New(fault.Invalid, "a decimal has more digits than its column")
		}
		dst = appendBigEndian(dst, v, width)
	}
	return dst, nil
}

// bytesOfInteger is how many bytes a number needs in two's complement.
func bytesOfInteger(v *big.Int) int {
	if v.Sign() < 0 {
		v = new(big.Int).Not(v)
	}
	return v.BitLen()/8 + 1
}

// appendBigEndian appends a number in two's complement, extended to a width that holds it.
func appendBigEndian(dst []byte, v *big.Int, width int) []byte {
	at := len(dst)
	dst = append(dst, make([]byte, width)...)
	if v.Sign() >= 0 {
		v.FillBytes(dst[at:])
		return dst
	}
	new(big.Int).Not(v).FillBytes(dst[at:]) // -v-1, whose complement is v
	for i := range dst[at:] {
		dst[at+i] = ^dst[at+i]
	}
	return dst
}

func (*plainDecimals) bounds() (least, most []byte) { return nil, nil }
