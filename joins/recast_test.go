package joins

import (
	"errors"
	"reflect"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/flightd/flightd/internal/fault"
)

// plainType is an extension type that does no more than it must.
type plainType struct{ arrow.ExtensionBase }

func (plainType) ArrayType() reflect.Type                    { return reflect.TypeOf(plainArray{}) }
func (plainType) ExtensionName() string                      { return "plain" }
func (plainType) Serialize() string                          { return "" }
func (plainType) ExtensionEquals(t arrow.ExtensionType) bool { return t.ExtensionName() == "plain" }
func (plainType) Deserialize(storage arrow.DataType, _ string) (arrow.ExtensionType, error) {
	return &plainType{arrow.ExtensionBase{Storage: storage}}, nil
}

type plainArray struct{ array.ExtensionArrayBase }

// A key that has no form in another type is named, whatever its own type can say about it.
func TestRecastRefused(t *testing.T) {
	b := array.NewInt64Builder(memory.DefaultAllocator)
	b.Append(300)
	keys := array.NewExtensionArrayWithStorage(&plainType{arrow.ExtensionBase{Storage: arrow.PrimitiveTypes.Int64}}, b.NewArray())
	_, err := recast(keys, arrow.PrimitiveTypes.Int8)
	if want := "the key 300 (extension_type<storage=int64>) has no form in int8"; !errors.Is(err, fault.Invalid) || err.Error() != want {
		t.Errorf("%v", err)
	}
}
