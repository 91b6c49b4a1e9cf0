package config

import (
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/flightd/flightd/internal/nearest"
)

// text hands the text of a scalar, a number's included, to parse.
func (d *decoder) text(path string, node ast.Node, parse func(string) error) {
	text, kind := d.scalar(path, node)
	switch kind {
	case broken:
	case aBoolean, notScalar:
		d.report(path, "want a single value, found %s", describe(node))
	default:
		if err := parse(text); err != nil {
			d.report(path, "%v", err)
		}
	}
}

func (d *decoder) boolean(path string, node ast.Node, into reflect.Value) {
	text, kind := d.scalar(path, node)
	switch {
	case kind == broken:
	case (kind == aBoolean || kind == fromEnvironment) && slices.Contains([]string{"true", "false"}, text):
		into.SetBool(text == "true")
	default:
		d.report(path, "want true or false, found %s", describe(node))
	}
}

// integer reads a decimal number; underscores may part its digits.
func (d *decoder) integer(path string, node ast.Node, into reflect.Value) {
	text, kind := d.scalar(path, node)
	if kind == broken {
		return
	}
	n, err := strconv.ParseInt(strings.ReplaceAll(text, "_", ""), 10, 64)
	if err != nil || kind == aString || into.OverflowInt(n) {
		d.report(path, "want a whole number like 50_000_000, found %s", describe(node))
		return
	}
	into.SetInt(n)
}

// scalarKind says what a scalar is, and whether it is one.
type scalarKind int

const (
	notScalar scalarKind = iota
	broken               // already reported
	aString
	fromEnvironment // a string with ${NAME} in it, which may stand for a number or boolean too
	aNumber
	aBoolean
)

// scalar returns the text of a single value, with the environment filled in.
func (d *decoder) scalar(path string, node ast.Node) (string, scalarKind) {
	switch node := node.(type) {
	case *ast.LiteralNode:
		return d.scalar(path, node.Value)
	case *ast.StringNode:
		text, filled, err := expand(node.Value, d.getenv)
		switch {
		case err != nil:
			d.report(path, "%v", err)
			return "", broken
		case filled:
			return text, fromEnvironment
		}
		return text, aString
	case *ast.IntegerNode, *ast.FloatNode:
		return node.GetToken().Value, aNumber
	case *ast.BoolNode:
		return strconv.FormatBool(node.Value), aBoolean
	}
	return "", notScalar
}

func describe(node ast.Node) string {
	switch node := node.(type) {
	case *ast.StringNode:
		return "the string " + nearest.Quote(node.Value)
	case *ast.LiteralNode:
		return "a block of text"
	case *ast.SequenceNode:
		return "a list"
	case ast.MapNode:
		return "a mapping"
	}
	return node.GetToken().Value
}

// quotesHint is for scalars that YAML takes for something else than the string they were meant to be.
func quotesHint(node ast.Node) string {
	if _, ok := node.(ast.ScalarNode); ok {
		return "; put it in quotes"
	}
	return ""
}
