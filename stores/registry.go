package stores

import (
	"fmt"
	"maps"
	"slices"
)

// SourceClass makes a data source, and the store that holds it, of what another system keeps about it: bytes that only the
// code behind the class's name understands. It touches nothing outside. Equal bytes are asked for once.
type SourceClass func(configuration []byte) (OfflineStore, DataSource, error)

// classes is written by RegisterSourceClass from init functions only, so it needs no lock.
var classes = map[string]SourceClass{}

// RegisterSourceClass makes the custom data sources of a class available: in a Feast registry, those whose
// data_source_class_type is class. Like Register it is called from init and panics if the name is taken.
func RegisterSourceClass(class string, open SourceClass) {
	if _, taken := classes[class]; taken {
		panic(fmt.Sprintf("stores: source class %q registered twice", class))
	}
	classes[class] = open
}

// SourceClassOf returns what opens the sources of a class; false if nothing is registered for it.
func SourceClassOf(class string) (SourceClass, bool) {
	open, ok := classes[class]
	return open, ok
}

// types is written by Register from init functions only, so it needs no lock.
var types = map[string]func() Config{}

// Register makes a store type available under the name that stands under `type` in a configuration. It is called from
// init and panics if the name is taken: two packages claim one name, which no run should survive.
func Register(name string, defaults func() Config) {
	if _, taken := types[name]; taken {
		panic(fmt.Sprintf("stores: type %q registered twice", name))
	}
	types[name] = defaults
}

// NewConfig returns the configuration of a store type with its defaults; false if the type is not registered.
func NewConfig(name string) (Config, bool) {
	defaults, ok := types[name]
	if !ok {
		return nil, false
	}
	return defaults(), true
}

// Types lists the registered types in alphabetical order.
func Types() []string { return slices.Sorted(maps.Keys(types)) }
