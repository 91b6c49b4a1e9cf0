package rowfile

import (
	"strconv"
	"strings"

	"github.com/apache/arrow/go/v15/arrow"
)

// guess is what the type of a CSV column can still be after the values seen so far. Empty values say nothing.
type guess struct {
	seen                                   bool
	notInteger, notFloat, notBool, notTime bool
	long                                   bool // a whole number has digits that a float64 loses
	zoned                                  bool // a time had an offset
	nanos                                  bool // a time was finer than microseconds
}

func (g *guess) see(value string) {
	g.seen = true
	if !g.notFloat {
		kind := numberKind(value)
		g.notInteger = g.notInteger || kind != integer
		g.notFloat = kind == notNumber
		g.long = g.long || kind == integer && isLong(value)
	}
	if !g.notBool {
		_, ok := parseBool(value)
		g.notBool = !ok
	}
	if !g.notTime {
		g.time(value)
	}
}

func (g *guess) time(value string) bool {
	m, ok := parseMoment(value)
	if !ok {
		g.notTime = true
		return false
	}
	g.zoned = g.zoned || m.zoned
	g.nanos = g.nanos || m.at.Nanosecond()%1000 != 0
	return true
}

// typ is the narrowest type that holds all values; text if there were none.
func (g *guess) typ() arrow.DataType {
	switch {
	case !g.seen:
		return arrow.BinaryTypes.String
	case !g.notFloat && !g.notInteger:
		return arrow.PrimitiveTypes.Int64
	case !g.notFloat && !g.long:
		return arrow.PrimitiveTypes.Float64
	case !g.notBool:
		return arrow.FixedWidthTypes.Boolean
	case !g.notTime:
		return g.timestamp()
	}
	return arrow.BinaryTypes.String
}

// timestamp is the type of a column of times. Where one has an offset, those without are UTC.
func (g *guess) timestamp() *arrow.TimestampType {
	t := &arrow.TimestampType{Unit: arrow.Microsecond}
	if g.nanos {
		t.Unit = arrow.Nanosecond
	}
	if g.zoned {
		t.TimeZone = "UTC"
	}
	return t
}

type kind int

const (
	notNumber kind = iota
	integer
	decimal
)

// numberKind tells numbers from texts that look like them: a number has no zeros before it (007, 01234 are codes), no plus
// (+49 is a telephone), and fits 64 bits if it is whole, so that no digit of an identifier is ever lost.
func numberKind(s string) kind {
	digits := strings.TrimPrefix(s, "-")
	switch {
	case digits == "":
		return notNumber
	case strings.EqualFold(digits, "nan"), strings.EqualFold(digits, "inf"), strings.EqualFold(digits, "infinity"):
		return decimal
	case len(digits) > 1 && digits[0] == '0' && digits[1] >= '0' && digits[1] <= '9':
		return notNumber
	case strings.Trim(digits, "0123456789") == "":
		if _, err := strconv.ParseInt(s, 10, 64); err != nil {
			return notNumber
		}
		return integer
	case strings.Trim(digits, "0123456789.eE+-") != "", strings.ContainsAny(digits[:1], "+-eE"):
		return notNumber // hexadecimal, underscores and other things that ParseFloat takes
	}
	if _, err := strconv.ParseFloat(s, 64); err != nil {
		return notNumber
	}
	return decimal
}

// isLong reports whether a whole number is beyond those that a float64 counts one by one.
func isLong(s string) bool {
	v, _ := strconv.ParseInt(s, 10, 64)
	return v > 1<<53 || v < -1<<53
}

func parseBool(s string) (value, ok bool) {
	switch {
	case strings.EqualFold(s, "true"):
		return true, true
	case strings.EqualFold(s, "false"):
		return false, true
	}
	return false, false
}
