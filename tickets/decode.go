package tickets

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
)

// maxListed bounds the work that a list can make: more features than this have no place in one answer.
const maxListed = 1 << 16

// decoder reads JSON token by token. encoding/json's own decoding into structs is of no use here: it takes the last of two
// equal keys, matches keys without regard to case, and lets null pass everywhere.
//
// Reading stops at the first token that does not belong, so nothing is ever held that the ticket does not need, and
// values nest no deeper than the tables in keys.go.
type decoder struct {
	json *json.Decoder
	path string // of the value that is being read: "historical.features[2]"
}

// keys says for each key of an object how its value gets into a T.
type keys[T any] map[string]func(*decoder, *T) error

// set makes the setter of a key from the place of its value and the way to read it.
func set[T, V any](place func(*T) *V, read func(*decoder) (V, error)) func(*decoder, *T) error {
	return func(d *decoder, into *T) (err error) {
		*place(into), err = read(d)
		return err
	}
}

// nested makes the setter of a key whose value is an object with keys of its own.
func nested[T, V any](place func(*T) **V, keys keys[V]) func(*decoder, *T) error {
	return func(d *decoder, into *T) error {
		*place(into) = new(V)
		return object(d, keys, *place(into))
	}
}

// object reads an object whose keys are all known and all different.
func object[T any](d *decoder, known keys[T], into *T) error {
	if err := d.open('{', "an object"); err != nil {
		return err
	}
	seen := make(map[string]bool)
	for d.json.More() {
		token, err := d.token()
		if err != nil {
			return err
		}
		key := token.(string) // the JSON decoder lets nothing else be a key
		set, ok := known[key]
		if !ok {
			return d.errorf("unknown key %s; %s", quote(key), suggest(key, slices.Collect(maps.Keys(known))))
		}
		err = d.at(key, func() error {
			if seen[key] {
				return d.errorf("the key is given twice")
			}
			return set(d, into)
		})
		if err != nil {
			return err
		}
		seen[key] = true
	}
	_, err := d.token() // the closing brace
	return err
}

// list reads an array. An empty one is not nil.
func list[V any](d *decoder, read func(*decoder) (V, error)) ([]V, error) {
	if err := d.open('[', "a list"); err != nil {
		return nil, err
	}
	return elements(d, read)
}

// elements reads the rest of an array whose bracket has been read.
func elements[V any](d *decoder, read func(*decoder) (V, error)) ([]V, error) {
	values := []V{}
	for d.json.More() {
		if len(values) == maxListed {
			return nil, d.errorf("the list has more than %d values", maxListed)
		}
		err := d.at(fmt.Sprintf("[%d]", len(values)), func() error {
			v, err := read(d)
			values = append(values, v)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	_, err := d.token() // the closing bracket
	return values, err
}

// text reads a string that is not empty.
func (d *decoder) text() (string, error) {
	token, err := d.token()
	if err != nil {
		return "", err
	}
	s, ok := token.(string)
	switch {
	case !ok:
		return "", d.errorf("want a string, found %s", describe(token))
	case s == "":
		return "", d.errorf("the string is empty; leave the key out if it is not wanted")
	}
	return s, nil
}

func (d *decoder) boolean() (bool, error) {
	token, err := d.token()
	if err != nil {
		return false, err
	}
	b, ok := token.(bool)
	if !ok {
		return false, d.errorf("want true or false, found %s", describe(token))
	}
	return b, nil
}

// integer reads a whole number that is written as one: neither 1.0 nor 1e3.
func (d *decoder) integer() (int, error) {
	token, err := d.token()
	if err != nil {
		return 0, err
	}
	number, ok := token.(json.Number)
	if !ok {
		return 0, d.errorf("want a whole number, found %s", describe(token))
	}
	n, err := strconv.ParseInt(string(number), 10, 32)
	if err != nil {
		return 0, d.errorf("want a whole number of at most 32 bits, written without point and exponent, found %s", quote(string(number)))
	}
	return int(n), nil
}

// open reads the delimiter that begins an object or a list.
func (d *decoder) open(delim json.Delim, want string) error {
	token, err := d.token()
	if err != nil {
		return err
	}
	if token != delim {
		return d.errorf("want %s, found %s", want, describe(token))
	}
	return nil
}

func (d *decoder) token() (json.Token, error) {
	token, err := d.json.Token()
	var syntax *json.SyntaxError
	switch {
	case err == nil:
		return token, nil
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return nil, d.errorf("the JSON ends in the middle")
	case errors.As(err, &syntax):
		return nil, d.errorf("not JSON near byte %d: %v", d.json.InputOffset(), syntax)
	}
	return nil, d.errorf("not JSON: %v", err)
}

// at runs read with the path of a value inside the present one: a key, or an index in brackets.
func (d *decoder) at(step string, read func() error) error {
	outer := d.path
	defer func() { d.path = outer }()
	d.path = join(outer, step)
	return read()
}

func join(path, step string) string {
	if path == "" || step[0] == '[' {
		return path + step
	}
	return path + "." + step
}

func (d *decoder) errorf(format string, args ...any) error { return errorf(d.path, format, args...) }

// describe names a token for a message.
func describe(token json.Token) string {
	switch token := token.(type) {
	case nil:
		return "null"
	case bool:
		return strconv.FormatBool(token)
	case string:
		return "the string " + quote(token)
	case json.Number:
		return "the number " + quote(string(token))
	case json.Delim:
		if token == '{' {
			return "an object"
		}
		return "a list"
	}
	return "something else"
}
