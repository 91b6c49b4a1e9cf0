package pit

import (
	"fmt"
	"strings"
	"time"
)

// options are the words of a line after its first: plain ones, and name=value. Each is taken out as it is read, so that
// what is left over was not understood.
type options struct {
	plain  []string
	values map[string]string
}

func parseOptions(text string) *options {
	o := &options{values: make(map[string]string)}
	for _, word := range strings.Fields(text) {
		if name, value, ok := strings.Cut(word, "="); ok {
			o.values[name] = value
		} else {
			o.plain = append(o.plain, word)
		}
	}
	return o
}

// word takes the first plain word, "" if there is none.
func (o *options) word() string {
	if len(o.plain) == 0 {
		return ""
	}
	first := o.plain[0]
	o.plain = o.plain[1:]
	return first
}

// words takes all plain words.
func (o *options) words() []string {
	all := o.plain
	o.plain = nil
	return all
}

// flag takes a plain word if it is there.
func (o *options) flag(name string) bool {
	for i, word := range o.plain {
		if word == name {
			o.plain = append(o.plain[:i:i], o.plain[i+1:]...)
			return true
		}
	}
	return false
}

func (o *options) value(name string) string {
	v := o.values[name]
	delete(o.values, name)
	return v
}

// list takes name=a,b,c; nil if it is not there, empty if there is nothing after the sign.
func (o *options) list(name string) []string {
	text, ok := o.values[name]
	delete(o.values, name)
	if !ok {
		return nil
	}
	if text == "" {
		return []string{}
	}
	return strings.Split(text, ",")
}

// pairs takes name=a:b,c:d.
func (o *options) pairs(name string) (map[string]string, error) {
	list := o.list(name)
	if list == nil {
		return nil, nil
	}
	pairs := make(map[string]string)
	for _, pair := range list {
		from, to, ok := strings.Cut(pair, ":")
		if !ok {
			return nil, fmt.Errorf("%s=%s: a pair is from:to", name, pair)
		}
		pairs[from] = to
	}
	return pairs, nil
}

func (o *options) time(name string) (time.Time, error) {
	text := o.value(name)
	if text == "" {
		return time.Time{}, nil
	}
	return parseTime(text)
}

func (o *options) unused() error {
	left := o.plain
	for name := range o.values {
		left = append(left, name+"=")
	}
	if len(left) > 0 {
		return fmt.Errorf("not understood: %s", strings.Join(left, " "))
	}
	return nil
}
