package arrowsize_test

import (
	"math"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/flightd/flightd/internal/arrowsize"
)

func TestNullBits(t *testing.T) {
	i64, most := arrow.PrimitiveTypes.Int64, int32(math.MaxInt32)
	wide := arrow.FixedSizeListOf(most, arrow.FixedSizeListOf(most, &arrow.FixedSizeBinaryType{ByteWidth: math.MaxInt32}))
	for _, c := range []struct {
		typ  arrow.DataType
		want int64
	}{
		{arrow.Null, 1}, {arrow.FixedWidthTypes.Boolean, 2}, {i64, 65}, {arrow.BinaryTypes.String, 65}, {arrow.ListOf(wide), 65},
		{&arrow.FixedSizeBinaryType{ByteWidth: 3}, 25}, {arrow.FixedSizeListOf(10, i64), 651},
		{arrow.FixedSizeListOf(10, arrow.FixedSizeListOf(2, i64)), 1311},
		{arrow.StructOf(arrow.Field{Name: "a", Type: arrow.FixedSizeListOf(10, i64)}, arrow.Field{Name: "b", Type: i64}), 717},
	} {
		if got := arrowsize.NullBits(c.typ); got != c.want {
			t.Errorf("%s: %d bits, want %d", c.typ, got, c.want)
		}
	}
	if one, many := arrowsize.NullBytes(wide, 1), arrowsize.NullBytes(arrow.StructOf(arrow.Field{Name: "a", Type: wide}, arrow.Field{Name: "b", Type: wide}), math.MaxInt64); one != 32<<40 || many < one {
		t.Errorf("%d bytes, and of many %d", one, many)
	}
}
