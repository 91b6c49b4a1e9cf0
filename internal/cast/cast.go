// Package cast gives arrays another type, within a kind and only if no value changes: numbers by value, times as instants
// (without a zone they are UTC), texts, binaries and decimals as they are, lists and structs by what is in them. It does not use
// compute's casts: those round, lack pairs of types, and have kernels that panic in goroutines of their own.
package cast

import (
	"fmt"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/flightd/flightd/internal/anyarray"
	"github.com/flightd/flightd/internal/arrowsize"
)

// Options are liberties that a caller grants.
type Options struct {
	RoundFloats bool // a float64 may become the nearest float32
}

// Error is a value that has no form in the other type.
type Error struct {
	Row    int // of the array, from 0
	Value  string
	Reason string
}

func (e *Error) Error() string { return fmt.Sprintf("%s %s", e.Value, e.Reason) }

// Possible says whether values of one type can have the form of another at all.
func Possible(from, to arrow.DataType) bool {
	empty := anyarray.Empty(from)
	defer empty.Release()
	out, err := Array(empty, to, Options{})
	if err != nil {
		return false
	}
	out.Release()
	return true
}

// Array gives an array another type. A value that would change is an *Error; another error says that the types are of
// different kinds. The result is the caller's.
func Array(a arrow.Array, to arrow.DataType, opt Options) (arrow.Array, error) {
	if arrow.TypeEqual(a.DataType(), to) {
		a.Retain()
		return a, nil
	}
	b := array.NewBuilder(memory.DefaultAllocator, to)
	defer b.Release()
	b.Reserve(a.Len())
	put, err := binder(opt).bind(a, b)
	if err != nil {
		return nil, fmt.Errorf("%s cannot be cast to %s", a.DataType(), to)
	}
	for i := range a.Len() {
		if reason := put(i); reason != "" {
			return nil, &Error{Row: i, Value: clip(anyarray.Text(a, i)), Reason: reason}
		}
	}
	return b.NewArray(), nil
}

// Bytes is about how many bytes an array takes in another type, to which it can be cast: of a dictionary one entry counts as
// often as there are rows with it, and a null as what it takes there.
func Bytes(a arrow.Array, to arrow.DataType) int64 {
	return max(valueBytes(a, to), arrowsize.NullBytes(to, int64(a.Len())))
}

func valueBytes(a arrow.Array, to arrow.DataType) (n int64) {
	switch a := a.(type) {
	case array.ExtensionArray:
		return valueBytes(a.Storage(), to)
	case *array.Dictionary:
		of := arrowsize.Span(a.Dictionary())
		for i := range a.Len() {
			if a.IsValid(i) {
				entry := int64(a.GetValueIndex(i))
				n += of(entry, entry+1)
			}
		}
		return n
	case *array.Struct:
		to, ok := to.(*arrow.StructType)
		for i := range a.NumField() {
			if !ok {
				break
			}
			if f, ok := to.FieldByName(a.DataType().(*arrow.StructType).Field(i).Name); ok {
				n += Bytes(a.Field(i), f.Type)
			}
		}
		return n
	}
	values, of := bounds(a)
	if inner, ok := to.(arrow.ListLikeType); ok && values != nil && a.Len() > 0 {
		lo, _ := of(0)
		_, hi := of(a.Len() - 1)
		elements := array.NewSlice(values, int64(lo), int64(hi))
		defer elements.Release()
		return Bytes(elements, inner.Elem()) + arrowsize.NullBytes(to, int64(a.Len()))
	}
	return arrowsize.Array(a)
}

// clip shortens a value for a message.
func clip(s string) string {
	const most = 60
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}

// putFunc appends the value at an index to a builder, or says why it cannot be.
type putFunc func(i int) (reason string)

type binder Options

// errKinds says that types are of different kinds.
var errKinds = fmt.Errorf("different kinds")

// bind makes the putFunc from an array to a builder.
func (o binder) bind(a arrow.Array, b array.Builder) (putFunc, error) {
	switch a := a.(type) {
	case *array.Null:
		return func(int) string { b.AppendNull(); return "" }, nil
	case array.ExtensionArray:
		return o.bind(a.Storage(), b)
	case *array.Dictionary:
		put, err := o.bind(a.Dictionary(), b)
		return nullable(a, b, func(i int) string { return put(a.GetValueIndex(i)) }), err
	}
	put, err := o.present(a, b)
	return nullable(a, b, put), err
}

func nullable(a arrow.Array, b array.Builder, put putFunc) putFunc {
	return func(i int) string {
		if a.IsNull(i) {
			b.AppendNull()
			return ""
		}
		return put(i)
	}
}

// present is bind for values that are not null.
func (o binder) present(a arrow.Array, b array.Builder) (putFunc, error) {
	for _, try := range []func(arrow.Array, array.Builder) putFunc{o.numbers, times, texts, decimals, bools} {
		if put := try(a, b); put != nil {
			return put, nil
		}
	}
	switch b := b.(type) {
	case *array.ListBuilder:
		return o.list(a, b.ValueBuilder(), func() { b.Append(true) })
	case *array.LargeListBuilder:
		return o.list(a, b.ValueBuilder(), func() { b.Append(true) })
	case *array.StructBuilder:
		return o.structs(a, b)
	case *array.MapBuilder:
		return o.maps(a, b)
	}
	return nil, errKinds
}

// bounds are the elements of a list.
func bounds(a arrow.Array) (values arrow.Array, of func(i int) (lo, hi int)) {
	switch a := a.(type) {
	case *array.FixedSizeList:
		n, first := int(a.DataType().(*arrow.FixedSizeListType).Len()), a.Data().Offset()
		return a.ListValues(), func(i int) (lo, hi int) { return (first + i) * n, (first + i + 1) * n }
	case array.ListLike:
		return a.ListValues(), func(i int) (lo, hi int) {
			from, to := a.ValueOffsets(i)
			return int(from), int(to)
		}
	}
	return nil, nil
}

func (o binder) list(a arrow.Array, elements array.Builder, begin func()) (putFunc, error) {
	values, of := bounds(a)
	if values == nil || a.DataType().ID() == arrow.MAP {
		return nil, errKinds
	}
	put, err := o.bind(values, elements)
	return func(i int) string {
		begin()
		lo, hi := of(i)
		for ; lo < hi; lo++ {
			if reason := put(lo); reason != "" {
				return reason
			}
		}
		return ""
	}, err
}

// structs takes fields by name, in any order; all have to be there and no others.
func (o binder) structs(a arrow.Array, b *array.StructBuilder) (putFunc, error) {
	s, ok := a.(*array.Struct)
	from, to := a.DataType(), b.Type().(*arrow.StructType)
	if !ok || s.NumField() != b.NumField() {
		return nil, errKinds
	}
	puts := make([]putFunc, b.NumField())
	for i, f := range to.Fields() {
		at, ok := from.(*arrow.StructType).FieldIdx(f.Name)
		if !ok {
			return nil, errKinds
		}
		var err error
		if puts[i], err = o.bind(s.Field(at), b.FieldBuilder(i)); err != nil {
			return nil, err
		}
	}
	return func(i int) string {
		b.Append(true)
		for _, put := range puts {
			if reason := put(i); reason != "" {
				return reason
			}
		}
		return ""
	}, nil
}

func (o binder) maps(a arrow.Array, b *array.MapBuilder) (putFunc, error) {
	m, ok := a.(*array.Map)
	if !ok {
		return nil, errKinds
	}
	values, of := bounds(m)
	entries, ok := values.(*array.Struct)
	if !ok {
		return nil, errKinds
	}
	key, err := o.bind(entries.Field(0), b.KeyBuilder())
	if err != nil {
		return nil, err
	}
	item, err := o.bind(entries.Field(1), b.ItemBuilder())
	return func(i int) string {
		b.Append(true)
		lo, hi := of(i)
		for ; lo < hi; lo++ {
			if reason := key(lo) + item(lo); reason != "" {
				return reason
			}
		}
		return ""
	}, err
}
