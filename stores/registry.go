package stores

import (
	"fmt"
	"maps"
	"slices"
)

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
