package pit

import (
	"encoding/hex"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/decimal128"
	"github.com/apache/arrow/go/v15/arrow/decimal256"
)

// null is the cell that means null. The text of one hyphen is written "-", in quotes.
const null = "-"

// appendCell reads a cell as a value of the builder's type.
func appendCell(b array.Builder, cell string) error {
	if cell == null {
		b.AppendNull()
		return nil
	}
	switch b := b.(type) {
	case *array.StringBuilder, *array.LargeStringBuilder, *array.BinaryDictionaryBuilder:
		s, err := unquote(cell)
		if err != nil {
			return err
		}
		return b.AppendValueFromString(s)
	case *array.BinaryBuilder:
		raw, err := hex.DecodeString(strings.TrimPrefix(cell, "0x"))
		b.Append(raw)
		return err
	case *array.TimestampBuilder:
		n, err := instant(cell, b.Type().(*arrow.TimestampType).Unit)
		b.Append(arrow.Timestamp(n))
		return err
	case *array.Date32Builder:
		day, err := time.Parse(time.DateOnly, cell)
		b.Append(arrow.Date32FromTime(day))
		return err
	case *array.Date64Builder:
		day, err := time.Parse(time.DateOnly, cell)
		b.Append(arrow.Date64FromTime(day))
		return err
	case *array.Decimal128Builder:
		n, err := unscaled(cell, b.Type().(*arrow.Decimal128Type).Scale)
		if err == nil {
			b.Append(decimal128.FromBigInt(n))
		}
		return err
	case *array.Decimal256Builder:
		n, err := unscaled(cell, b.Type().(*arrow.Decimal256Type).Scale)
		if err == nil {
			b.Append(decimal256.FromBigInt(n))
		}
		return err
	}
	return b.AppendValueFromString(cell)
}

func unquote(cell string) (string, error) {
	if strings.HasPrefix(cell, `"`) {
		return strconv.Unquote(cell)
	}
	return cell, nil
}

// timeLayouts are the forms of a time; one without a date is on day zero of the vectors. Go reads fractions of a second
// with any of them that has seconds.
var timeLayouts = []string{"2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02"}

// dayZero is the day of a time of day without a date.
const dayZero = "2024-01-01 "

func parseTime(cell string) (time.Time, error) {
	cell = strings.Replace(cell, "T", " ", 1)
	for _, layout := range timeLayouts {
		for _, prefix := range []string{"", dayZero} {
			if t, err := time.Parse(layout, prefix+cell); err == nil {
				return t, nil
			}
		}
	}
	return time.Time{}, fmt.Errorf("%q is not a time such as 10:00, 10:00:00.5 or 2024-01-31 10:00", cell)
}

// instant reads a time as a number of units. `raw N` is the number itself, for the ends of the range.
func instant(cell string, unit arrow.TimeUnit) (int64, error) {
	if n, ok := strings.CutPrefix(cell, "raw "); ok {
		return strconv.ParseInt(n, 10, 64)
	}
	t, err := parseTime(cell)
	if err != nil {
		return 0, err
	}
	ns := new(big.Int).Mul(big.NewInt(t.Unix()), big.NewInt(int64(time.Second)))
	ns.Add(ns, big.NewInt(int64(t.Nanosecond())))
	n, rest := new(big.Int).DivMod(ns, big.NewInt(int64(unit.Multiplier())), new(big.Int))
	if rest.Sign() != 0 || !n.IsInt64() {
		return 0, fmt.Errorf("%q cannot be written in %s", cell, unit)
	}
	return n.Int64(), nil
}

func unscaled(cell string, scale int32) (*big.Int, error) {
	r, ok := new(big.Rat).SetString(cell)
	if !ok {
		return nil, fmt.Errorf("%q is not a decimal", cell)
	}
	r.Mul(r, new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale)), nil)))
	if !r.IsInt() {
		return nil, fmt.Errorf("%q has more than %d decimal places", cell, scale)
	}
	return r.Num(), nil
}

// formatCell writes a value as a cell, so that whatever differs looks different: null from empty, 0 from -0, an instant
// from the next.
func formatCell(a arrow.Array, i int) string {
	if a.IsNull(i) {
		return null
	}
	switch a := a.(type) {
	case *array.Dictionary:
		return formatCell(a.Dictionary(), a.GetValueIndex(i))
	case *array.String:
		return quote(a.Value(i))
	case *array.LargeString:
		return quote(a.Value(i))
	case *array.Binary:
		return "0x" + hex.EncodeToString(a.Value(i))
	case *array.LargeBinary:
		return "0x" + hex.EncodeToString(a.Value(i))
	case *array.Float32:
		return strconv.FormatFloat(float64(a.Value(i)), 'g', -1, 32)
	case *array.Float64:
		return strconv.FormatFloat(a.Value(i), 'g', -1, 64)
	case *array.Decimal128: // ValueStr of decimals goes through floats
		t := a.DataType().(*arrow.Decimal128Type)
		return formatDecimal(a.Value(i).BigInt(), t.Scale)
	case *array.Decimal256:
		t := a.DataType().(*arrow.Decimal256Type)
		return formatDecimal(a.Value(i).BigInt(), t.Scale)
	case *array.Timestamp:
		return formatInstant(int64(a.Value(i)), a.DataType().(*arrow.TimestampType).Unit)
	}
	return a.ValueStr(i)
}

func quote(s string) string {
	if plain := strconv.Quote(s); s == "" || s == null || plain != `"`+s+`"` || strings.ContainsAny(s, ", ") {
		return plain
	}
	return s
}

func formatDecimal(n *big.Int, scale int32) string {
	one := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale)), nil)
	return new(big.Rat).SetFrac(n, one).FloatString(int(scale))
}

func formatInstant(n int64, unit arrow.TimeUnit) string {
	perSecond := int64(time.Second / unit.Multiplier())
	seconds, rest := n/perSecond, n%perSecond
	if rest < 0 {
		seconds, rest = seconds-1, rest+perSecond
	}
	const year0, year9999 = -62167219200, 253402300799
	if seconds < year0 || seconds > year9999 {
		return "raw " + strconv.FormatInt(n, 10)
	}
	text := time.Unix(seconds, rest*int64(unit.Multiplier())).UTC().Format("2006-01-02 15:04:05.999999999")
	return strings.TrimPrefix(text, dayZero)
}
