package parquetio

import (
	"encoding/binary"
	"fmt"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/parquet-go/parquet-go/format"
)

// converter turns the values of a page or a dictionary from the width of the file into that of the Arrow array.
type converter struct {
	held *held
	raw  []byte
}

func (c *converter) close() {
	c.held.drop(c.raw)
	c.raw = nil
}

// values converts v for a leaf, if its Arrow type asks for it.
func (c *converter) values(leaf *node, v *values) error {
	switch t := leaf.typ.(type) {
	case *arrow.Int8Type, *arrow.Uint8Type:
		return c.cells(v, 1, func(out []byte, i int) error { out[0] = v.raw[4*i]; return nil })
	case *arrow.Int16Type, *arrow.Uint16Type:
		return c.cells(v, 2, func(out []byte, i int) error { copy(out, v.raw[4*i:4*i+2]); return nil })
	case *arrow.TimestampType:
		if leaf.physical == format.Int96 {
			return c.cells(v, 8, func(out []byte, i int) error {
				binary.LittleEndian.PutUint64(out, uint64(int96Nanos(v.raw[12*i:])))
				return nil
			})
		}
	case arrow.DecimalType:
		return c.decimals(leaf, v, t.(arrow.FixedWidthDataType).Bytes())
	}
	return nil
}

// cells makes values of a width of the old ones.
func (c *converter) cells(v *values, width int, convert func(out []byte, i int) error) error {
	var err error
	if c.raw, err = c.held.grow(c.raw, v.n*width); err != nil {
		return err
	}
	for i := range v.n {
		if err := convert(c.raw[i*width:(i+1)*width], i); err != nil {
			return err
		}
	}
	v.raw, v.offsets, v.lead = c.raw, nil, 0
	return nil
}

// decimals makes decimals of whatever they are stored as: integers, or big-endian bytes.
func (c *converter) decimals(leaf *node, v *values, width int) error {
	switch leaf.physical {
	case format.Int32:
		return c.cells(v, width, func(out []byte, i int) error {
			return putInteger(out, int64(int32(binary.LittleEndian.Uint32(v.raw[4*i:]))))
		})
	case format.Int64:
		return c.cells(v, width, func(out []byte, i int) error { return putInteger(out, int64(binary.LittleEndian.Uint64(v.raw[8*i:]))) })
	case format.ByteArray:
		return c.cells(v, width, func(out []byte, i int) error { return putBigEndian(out, v.text(i)) })
	case format.FixedLenByteArray:
		return c.cells(v, width, func(out []byte, i int) error { return putBigEndian(out, v.raw[i*leaf.length:(i+1)*leaf.length]) })
	}
	return fmt.Errorf("decimals stored as %s", leaf.physical)
}

// putInteger fills out with an integer, little-endian.
func putInteger(out []byte, v int64) error {
	binary.LittleEndian.PutUint64(out, uint64(v))
	for i := 8; i < len(out); i += 8 {
		binary.LittleEndian.PutUint64(out[i:], uint64(v>>63))
	}
	return nil
}

// putBigEndian fills out with a big-endian two's complement number, little-endian.
func putBigEndian(out, number []byte) error {
	if len(number) == 0 {
		return fmt.Errorf("a decimal of no bytes")
	}
	sign := byte(int8(number[0]) >> 7)
	for len(number) > len(out) { // more bytes than needed must repeat the sign
		if number[0] != sign || (number[1]^sign)&0x80 != 0 {
			return fmt.Errorf("a decimal that takes more than %d bytes", len(out))
		}
		number = number[1:]
	}
	last := len(number) - 1
	for i := range out {
		if i <= last {
			out[i] = number[last-i]
		} else {
			out[i] = sign
		}
	}
	return nil
}

// int96Nanos reads a timestamp as old Spark and Impala write it: nanoseconds of a day and a Julian day. Outside the years
// 1677 to 2262 it wraps around, as it does in pyarrow.
func int96Nanos(raw []byte) int64 {
	const julianEpoch, day = 2_440_588, 86_400_000_000_000
	return (int64(binary.LittleEndian.Uint32(raw[8:]))-julianEpoch)*day + int64(binary.LittleEndian.Uint64(raw))
}
