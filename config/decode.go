package config

import (
	"encoding"
	"fmt"
	"reflect"
	"strings"
	"time"
	"unicode"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"github.com/flightd/flightd/internal/nearest"
)

// decoder brings the nodes of a YAML file into Go values. The YAML library could do that too, but it stops at the first
// mistake; this one goes on, and remembers where every value stood, for the checks that come later.
//
// It knows the kinds of value that a configuration is made of: structs (by their yaml tags), maps with string keys,
// slices, strings, booleans, integers, durations, and whatever has an UnmarshalText. A store's Config must do with these.
type decoder struct {
	file   string
	getenv func(string) (string, bool)
	places map[string]place // of every value, by its path: "feature_views.driver_stats.keys[0]"
	failed map[string]bool  // paths of values that could not be decoded
	errs   []*Error
}

type place struct{ line, column int }

// decodable is a value that has its own way of being decoded.
type decodable interface {
	decode(d *decoder, path string, node ast.Node)
}

// report adds a mistake that makes the value at path useless.
func (d *decoder) report(path, format string, args ...any) {
	d.failed[path] = true
	d.reportAt(d.place(path), path, format, args...)
}

// reportAt adds a mistake about something in the value at path, which stands at a place of its own.
func (d *decoder) reportAt(at place, path, format string, args ...any) {
	message := fmt.Sprintf(format, args...)
	if path != "" {
		message = path + ": " + message
	}
	d.errs = append(d.errs, &Error{File: d.file, Line: at.line, Column: at.column, Message: message})
}

// place is where the value at path stands or, if there is none, what would hold it.
func (d *decoder) place(path string) place {
	for {
		if at, ok := d.places[path]; ok {
			return at
		}
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
	}
}

// given reports whether the file has a value at path, right or wrong.
func (d *decoder) given(path string) bool {
	_, ok := d.places[path]
	return ok
}

// decode brings a node into the value that into points to.
func (d *decoder) decode(path string, node ast.Node, into any) {
	d.value(path, node, reflect.ValueOf(into).Elem())
}

func (d *decoder) value(path string, node ast.Node, into reflect.Value) {
	switch node.(type) {
	case *ast.NullNode:
		d.report(path, "there is no value; leave the key out if it is not wanted")
		return
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode:
		d.report(path, "anchors, aliases and tags are not understood here; write the value out")
		return
	}
	switch p := into.Addr().Interface().(type) {
	case decodable:
		p.decode(d, path, node)
		return
	case *time.Duration:
		d.text(path, node, func(text string) (err error) { *p, err = parseDuration(text); return err })
		return
	case encoding.TextUnmarshaler:
		d.text(path, node, func(text string) error { return p.UnmarshalText([]byte(text)) })
		return
	}
	switch into.Kind() {
	case reflect.Pointer:
		into.Set(reflect.New(into.Type().Elem()))
		d.value(path, node, into.Elem())
	case reflect.Struct:
		d.fields(path, d.entries(path, node), into)
	case reflect.Map:
		d.mapOf(path, node, into)
	case reflect.Slice:
		d.sliceOf(path, node, into)
	case reflect.String:
		if text, kind := d.scalar(path, node); kind == aString || kind == fromEnvironment {
			into.SetString(text)
		} else if kind != broken {
			d.report(path, "want a string, found %s%s", describe(node), quotesHint(node))
		}
	case reflect.Bool:
		d.boolean(path, node, into)
	case reflect.Int, reflect.Int64:
		d.integer(path, node, into)
	default:
		panic(fmt.Sprintf("config: %s has the type %s, which the decoder does not know", path, into.Type()))
	}
}

// entry is one key of a mapping and its value.
type entry struct {
	key, path string
	at        place // of the key
	value     ast.Node
}

// entries lists the keys of a mapping, each once.
func (d *decoder) entries(path string, node ast.Node) []entry {
	mapping, ok := node.(ast.MapNode)
	if !ok {
		d.report(path, "want a mapping (key: value), found %s", describe(node))
		return nil
	}
	var entries []entry
	seen := make(map[string]place)
	for it := mapping.MapRange(); it.Next(); {
		at := placeOf(it.Key().GetToken())
		var key string
		switch node := it.Key().(type) {
		case *ast.StringNode:
			key = node.Value
		case *ast.MergeKeyNode:
			d.reportAt(at, path, "<< is not understood here; write the keys out")
			continue
		default:
			d.reportAt(at, path, "the key %s is not a string; put it in quotes if it is meant to be one", node.GetToken().Value)
			continue
		}
		e := entry{key: key, path: join(path, key), at: at, value: it.Value()}
		if first, twice := seen[e.key]; twice {
			d.reportAt(at, path, "the key %s is there already, in line %d", nearest.Quote(e.key), first.line)
			continue
		}
		seen[e.key] = at
		d.places[e.path] = at
		if _, nested := e.value.(ast.MapNode); !nested {
			d.places[e.path] = placeOf(e.value.GetToken())
		}
		entries = append(entries, e)
	}
	return entries
}

// fields brings entries into the fields of a struct, by their yaml tags.
func (d *decoder) fields(path string, entries []entry, into reflect.Value) {
	fields := make(map[string]reflect.Value)
	var known []string
	for i := range into.NumField() {
		key, _, _ := strings.Cut(into.Type().Field(i).Tag.Get("yaml"), ",")
		if key != "" && key != "-" {
			fields[key] = into.Field(i)
			known = append(known, key)
		}
	}
	for _, e := range entries {
		if field, ok := fields[e.key]; ok {
			d.value(e.path, e.value, field)
			continue
		}
		d.reportAt(e.at, path, "unknown key %s; %s", nearest.Quote(e.key), nearest.Hint(e.key, known))
	}
}

func (d *decoder) mapOf(path string, node ast.Node, into reflect.Value) {
	into.Set(reflect.MakeMap(into.Type()))
	for _, e := range d.entries(path, node) {
		v := reflect.New(into.Type().Elem()).Elem()
		d.value(e.path, e.value, v)
		into.SetMapIndex(reflect.ValueOf(e.key), v)
	}
}

func (d *decoder) sliceOf(path string, node ast.Node, into reflect.Value) {
	sequence, ok := node.(*ast.SequenceNode)
	if !ok {
		d.report(path, "want a list, found %s", describe(node))
		return
	}
	into.Set(reflect.MakeSlice(into.Type(), len(sequence.Values), len(sequence.Values)))
	for i, v := range sequence.Values {
		item := fmt.Sprintf("%s[%d]", path, i)
		d.places[item] = placeOf(v.GetToken())
		d.value(item, v, into.Index(i))
	}
}

func placeOf(t *token.Token) place { return place{t.Position.Line, t.Position.Column} }

// join is the path of a key. Odd keys are quoted, so that messages stay readable and paths mean one thing.
func join(path, key string) string {
	if key == "" || strings.ContainsAny(key, `.["`) || strings.ContainsFunc(key, unicode.IsControl) {
		key = nearest.Quote(key)
	}
	if path == "" {
		return key
	}
	return path + "." + key
}
