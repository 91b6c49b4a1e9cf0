package storetest

import (
	"fmt"
	"slices"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"github.com/flightd/flightd/internal/oracle"
)

// Most stores have fewer types than Arrow: one integer, one time. Rules about which row is chosen do not depend on that, so
// a column that a store cannot hold is loaded as one that means the same, its stand-in, and the answer is expected in
// that type. Only the checks of types themselves, and values that no stand-in can say, are left out.

// standIn is the type as which a column is loaded: its own if the store holds it, else the nearest that says the same.
func (h Harness) standIn(f arrow.Field) (arrow.DataType, bool) {
	if h.holds(f) {
		return f.Type, true
	}
	for _, t := range standIns(f.Type) {
		if h.holds(arrow.Field{Name: f.Name, Type: t, Nullable: true}) {
			return t, true
		}
	}
	return nil, false
}

// standIns are types that can say what another one says, or most of it, nearest first.
func standIns(t arrow.DataType) []arrow.DataType {
	switch t := t.(type) {
	case *arrow.TimestampType:
		return clocksLike(t)
	case *arrow.DictionaryType:
		return append([]arrow.DataType{t.ValueType}, standIns(t.ValueType)...)
	}
	switch t.ID() {
	case arrow.INT8, arrow.INT16, arrow.INT32, arrow.UINT8, arrow.UINT16, arrow.UINT32, arrow.UINT64:
		return []arrow.DataType{arrow.PrimitiveTypes.Int64}
	case arrow.STRING, arrow.LARGE_STRING:
		return []arrow.DataType{arrow.BinaryTypes.String, arrow.BinaryTypes.LargeString}
	case arrow.BINARY, arrow.LARGE_BINARY, arrow.FIXED_SIZE_BINARY:
		return []arrow.DataType{arrow.BinaryTypes.Binary, arrow.BinaryTypes.LargeBinary}
	case arrow.DATE32, arrow.DATE64:
		return []arrow.DataType{arrow.FixedWidthTypes.Date32, arrow.FixedWidthTypes.Date64}
	}
	return nil
}

// clocksLike are timestamps of the same unit, then of finer ones, then of coarser ones; a naive time is UTC.
func clocksLike(t *arrow.TimestampType) []arrow.DataType {
	units := []arrow.TimeUnit{t.Unit}
	for unit := t.Unit + 1; unit <= arrow.Nanosecond; unit++ {
		units = append(units, unit)
	}
	for unit := t.Unit - 1; int(unit) >= int(arrow.Second); unit-- {
		units = append(units, unit)
	}
	var clocks []arrow.DataType
	for _, unit := range units {
		for _, zone := range []string{t.TimeZone, "UTC", ""} {
			clocks = append(clocks, &arrow.TimestampType{Unit: unit, TimeZone: zone})
		}
	}
	return clocks
}

// fit is the table with stand-ins for the columns that the store cannot hold, and without those that have none. Values
// that it cannot hold are null; inexact names their columns.
func (h Harness) fit(table Table) (fitted Table, inexact []string) {
	var names []string
	types := make(map[string]arrow.DataType)
	for _, f := range table.Schema.Fields() {
		if t, ok := h.standIn(f); ok {
			names, types[f.Name] = append(names, f.Name), t
		}
	}
	return h.as(table.columns(names...), types)
}

// as is the table with other types, given by the names of the columns; the others stay as they are.
func (h Harness) as(table Table, types map[string]arrow.DataType) (out Table, inexact []string) {
	fields := slices.Clone(table.Schema.Fields())
	for i, f := range fields {
		if t, ok := types[f.Name]; ok {
			fields[i].Type = t
		}
	}
	lost := make([]bool, len(fields))
	out.Schema = arrow.NewSchema(fields, nil)
	for _, rec := range table.Records {
		columns := slices.Clone(rec.Columns())
		for i, f := range fields {
			if _, ok := types[f.Name]; !ok {
				continue
			}
			exact := true
			columns[i], exact = h.cast(columns[i], f.Type)
			lost[i] = lost[i] || !exact
		}
		out.Records = append(out.Records, array.NewRecord(out.Schema, columns, rec.NumRows()))
	}
	for i, f := range fields {
		if lost[i] {
			inexact = append(inexact, fmt.Sprintf("%q as %s", f.Name, f.Type))
		}
	}
	return out, inexact
}

// cast is the column in another type, and without the times that are out of the store's reach.
func (h Harness) cast(col arrow.Array, t arrow.DataType) (cast arrow.Array, exact bool) {
	exact = true
	if !arrow.TypeEqual(col.DataType(), t) {
		col, exact = oracle.Cast(col, t)
	}
	reached := make([]int, col.Len())
	for i := range reached {
		if reached[i] = i; !h.reaches(col, i) {
			reached[i], exact = -1, false
		}
	}
	if exact {
		return col, true
	}
	return oracle.Gather(col, reached), false
}

// reaches says whether a value is not a time, or one that the store can hold.
func (h Harness) reaches(col arrow.Array, i int) bool {
	switch col.DataType().ID() {
	case arrow.TIMESTAMP, arrow.DATE32, arrow.DATE64:
	default:
		return true
	}
	v := oracle.Read(col, i)
	return v.Kind == oracle.Null ||
		(h.Earliest.IsZero() || oracle.Compare(v, oracle.Time(h.Earliest)) >= 0) &&
			(h.Latest.IsZero() || oracle.Compare(v, oracle.Time(h.Latest)) <= 0)
}
