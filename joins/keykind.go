package joins

import (
	"fmt"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/flightd/flightd/internal/fault"
)

// space is the common form in which the two sides of one key column are compared. It is chosen for the pair of types,
// so that every comparison is exact: a value that has no form in the space cannot equal anything on the other side.
type space struct {
	kind spaceKind
	unit unit // of times: the coarser of the two; a finer value that falls between its steps matches nothing
}

type spaceKind int

const (
	int64s  spaceKind = iota // numbers as int64
	uint64s                  // both sides are uint64
	floats                   // both sides are floating: the bits of a float64, without -0
	bools
	times // dates and timestamps
	clock // times of day
	spans // durations
	texts // utf8 as bytes
	binaries
	decimals // digits and exponent as bytes
	nothing  // a side of type null: no value matches
)

// word reports whether values of the space are single 64-bit words.
func (s space) word() bool { return s.kind < texts || s.kind == nothing }

// kindOf is the family of a type, before it is paired.
func kindOf(t arrow.DataType) (spaceKind, unit, bool) {
	switch t := t.(type) {
	case *arrow.Int8Type, *arrow.Int16Type, *arrow.Int32Type, *arrow.Int64Type, *arrow.Uint8Type, *arrow.Uint16Type, *arrow.Uint32Type:
		return int64s, 0, true
	case *arrow.Uint64Type:
		return uint64s, 0, true
	case *arrow.Float16Type, *arrow.Float32Type, *arrow.Float64Type:
		return floats, 0, true
	case *arrow.BooleanType:
		return bools, 0, true
	case *arrow.Date32Type, *arrow.Date64Type, *arrow.TimestampType:
		u, _ := unitOf(t)
		return times, u, true
	case *arrow.Time32Type:
		return clock, unit(t.Unit.Multiplier()), true
	case *arrow.Time64Type:
		return clock, unit(t.Unit.Multiplier()), true
	case *arrow.DurationType:
		return spans, unit(t.Unit.Multiplier()), true
	case *arrow.StringType, *arrow.LargeStringType:
		return texts, 0, true
	case *arrow.BinaryType, *arrow.LargeBinaryType, *arrow.FixedSizeBinaryType:
		return binaries, 0, true
	case *arrow.Decimal128Type, *arrow.Decimal256Type:
		return decimals, 0, true
	case *arrow.NullType:
		return nothing, 0, true
	case *arrow.DictionaryType:
		return kindOf(t.ValueType)
	case arrow.ExtensionType:
		return kindOf(t.StorageType())
	}
	return 0, 0, false
}

// pair chooses the space of two key columns, false if their values cannot be compared.
func pair(entity, source arrow.DataType) (space, bool) {
	a, au, aok := kindOf(entity)
	b, bu, bok := kindOf(source)
	if !aok || !bok {
		return space{}, false
	}
	if a == nothing || b == nothing {
		return space{kind: nothing}, true
	}
	if a == b {
		return space{kind: a, unit: max(au, bu)}, true
	}
	integer := func(k spaceKind) bool { return k == int64s || k == uint64s }
	number := func(k spaceKind) bool { return integer(k) || k == floats }
	switch {
	case a == decimals && integer(b), b == decimals && integer(a):
		return space{kind: decimals}, true
	case number(a) && number(b):
		if a == uint64s && b == floats || a == floats && b == uint64s {
			return space{kind: uint64s}, true
		}
		return space{kind: int64s}, true
	}
	return space{}, false
}

// spaceOf is pair with an error for the user.
func spaceOf(view string, key Key, entity, source arrow.DataType) (space, error) {
	s, ok := pair(entity, source)
	if !ok {
		return s, fault.New(fault.Invalid, "feature view %q: join key %q is %s in the entity rows and %s (column %q) in the source; %s",
			view, key.Entity, entity, source, key.Source, castHint(entity, source))
	}
	return s, nil
}

func castHint(entity, source arrow.DataType) string {
	if _, _, ok := kindOf(source); !ok {
		return fmt.Sprintf("a column of type %s cannot be a join key", source)
	}
	return fmt.Sprintf("cast the entity rows' column to %s", source)
}
