package oracle

import (
	"fmt"
	"math"
	"math/big"
	"strings"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
)

// Kind is what a value is compared as.
type Kind byte

// The kinds. Dates and timestamps are instants; NaN is null.
const (
	Null Kind = iota
	Number
	Text
	Bytes
	Bool
	Instant
)

// Value is one value in exact form.
type Value struct {
	Kind Kind
	Num  *big.Rat // Number, Instant (nanoseconds since 1970 UTC), Bool (0 and 1)
	Inf  int      // Number: -1 and 1 are the infinities, Num is then 0
	Text string   // Text, Bytes
}

// String is for messages of tests, and equal values have equal strings.
func (v Value) String() string {
	switch {
	case v.Kind == Null:
		return "null"
	case v.Kind == Text || v.Kind == Bytes:
		return fmt.Sprintf("%d:%q", v.Kind, v.Text)
	case v.Inf != 0:
		return fmt.Sprintf("%+d inf", v.Inf)
	}
	return fmt.Sprintf("%d:%s", v.Kind, v.Num.RatString())
}

// Compare orders values of one kind; null is lowest.
func Compare(a, b Value) int {
	switch {
	case a.Kind == Null || b.Kind == Null:
		return int(min(a.Kind, 1)) - int(min(b.Kind, 1))
	case a.Kind == Text || a.Kind == Bytes:
		return strings.Compare(a.Text, b.Text)
	case a.Inf != b.Inf:
		return a.Inf - b.Inf
	}
	return a.Num.Cmp(b.Num)
}

func compareAll(a, b []Value) int {
	for i := range a {
		if c := Compare(a[i], b[i]); c != 0 {
			return c
		}
	}
	return 0
}

// Time is a time as a value.
func Time(t time.Time) Value {
	ns := new(big.Int).Mul(big.NewInt(t.Unix()), big.NewInt(1e9))
	return instant(ns.Add(ns, big.NewInt(int64(t.Nanosecond()))))
}

func instant(ns *big.Int) Value { return Value{Kind: Instant, Num: new(big.Rat).SetInt(ns)} }

func integer(n int64) Value { return Value{Kind: Number, Num: new(big.Rat).SetInt64(n)} }

func ticks(n int64, each time.Duration) Value {
	return instant(new(big.Int).Mul(big.NewInt(n), big.NewInt(int64(each))))
}

func float(f float64) Value {
	switch {
	case math.IsNaN(f):
		return Value{}
	case math.IsInf(f, 0):
		return Value{Kind: Number, Num: new(big.Rat), Inf: int(math.Copysign(1, f))}
	}
	return Value{Kind: Number, Num: new(big.Rat).SetFloat64(f)}
}

func decimal(n *big.Int, scale int32) Value {
	one := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale)), nil)
	return Value{Kind: Number, Num: new(big.Rat).SetFrac(n, one)}
}

// Read is one value of an array that can be a key or a time. Other types panic.
func Read(a arrow.Array, i int) Value {
	if a.IsNull(i) {
		return Value{}
	}
	switch a := a.(type) {
	case *array.Dictionary:
		return Read(a.Dictionary(), a.GetValueIndex(i))
	case *array.Boolean:
		v := Value{Kind: Bool, Num: new(big.Rat)}
		if a.Value(i) {
			v.Num.SetInt64(1)
		}
		return v
	case *array.String:
		return Value{Kind: Text, Text: a.Value(i)}
	case *array.LargeString:
		return Value{Kind: Text, Text: a.Value(i)}
	case *array.Binary:
		return Value{Kind: Bytes, Text: string(a.Value(i))}
	case *array.LargeBinary:
		return Value{Kind: Bytes, Text: string(a.Value(i))}
	case *array.FixedSizeBinary:
		return Value{Kind: Bytes, Text: string(a.Value(i))}
	case *array.Float32:
		return float(float64(a.Value(i)))
	case *array.Float64:
		return float(a.Value(i))
	case *array.Decimal128:
		return decimal(a.Value(i).BigInt(), a.DataType().(*arrow.Decimal128Type).Scale)
	case *array.Decimal256:
		return decimal(a.Value(i).BigInt(), a.DataType().(*arrow.Decimal256Type).Scale)
	case *array.Timestamp:
		return ticks(int64(a.Value(i)), a.DataType().(*arrow.TimestampType).Unit.Multiplier())
	case *array.Date32:
		return ticks(int64(a.Value(i)), 24*time.Hour)
	case *array.Date64:
		return ticks(int64(a.Value(i)), time.Millisecond)
	case *array.Uint64:
		return Value{Kind: Number, Num: new(big.Rat).SetInt(new(big.Int).SetUint64(a.Value(i)))}
	}
	return readInteger(a, i)
}

func readInteger(a arrow.Array, i int) Value {
	switch a := a.(type) {
	case *array.Int8:
		return integer(int64(a.Value(i)))
	case *array.Int16:
		return integer(int64(a.Value(i)))
	case *array.Int32:
		return integer(int64(a.Value(i)))
	case *array.Int64:
		return integer(a.Value(i))
	case *array.Uint8:
		return integer(int64(a.Value(i)))
	case *array.Uint16:
		return integer(int64(a.Value(i)))
	case *array.Uint32:
		return integer(int64(a.Value(i)))
	}
	panic(fmt.Sprintf("the oracle does not read %s", a.DataType()))
}

// Comparable says whether columns of these types may be joined (semantics P23 to P25).
func Comparable(a, b arrow.DataType) bool {
	x, y := class(a), class(b)
	return x != "" && (x == y || x == "integer" && (y == "float" || y == "decimal") || y == "integer" && (x == "float" || x == "decimal"))
}

func class(t arrow.DataType) string {
	switch t := t.(type) {
	case *arrow.DictionaryType:
		return class(t.ValueType)
	case *arrow.Decimal128Type, *arrow.Decimal256Type:
		return "decimal"
	}
	switch id := t.ID(); {
	case arrow.IsInteger(id):
		return "integer"
	case arrow.IsFloating(id):
		return "float"
	case id == arrow.STRING || id == arrow.LARGE_STRING:
		return "text"
	case id == arrow.BINARY || id == arrow.LARGE_BINARY || id == arrow.FIXED_SIZE_BINARY:
		return "bytes"
	case id == arrow.BOOL:
		return "bool"
	case id == arrow.TIMESTAMP || id == arrow.DATE32 || id == arrow.DATE64:
		return "instant"
	}
	return ""
}
