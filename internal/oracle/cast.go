package oracle

import (
	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
)

// Cast is an array of keys or times in another type of the same class (see Comparable). Values that the type cannot hold
// exactly are null, and exact is then false.
func Cast(a arrow.Array, t arrow.DataType) (cast arrow.Array, exact bool) {
	b := array.NewBuilder(memory.DefaultAllocator, t)
	defer b.Release()
	exact = true
	for i := range a.Len() {
		v := Read(a, i)
		if v.Kind != Null && !fits(v, t) {
			v, exact = Value{}, false
		}
		if v.Kind == Null {
			b.AppendNull()
		} else {
			write(b, v)
		}
	}
	cast = b.NewArray()
	cast.NullN() // counted before the array is shared
	return cast, exact
}
