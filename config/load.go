package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// Load reads and checks a configuration file. The mistakes in it are *Error values, joined; a file that is not there is
// fs.ErrNotExist.
func Load(path string) (*Config, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	return Parse(data, path, os.LookupEnv)
}

// Parse checks a configuration that has been read. name is the file's path: messages begin with it, and paths in the
// configuration are relative to its folder. getenv looks up a variable as os.LookupEnv does.
func Parse(data []byte, name string, getenv func(string) (string, bool)) (*Config, error) {
	root, err := parseYAML(data)
	if err != nil {
		err.File = name
		return nil, err
	}
	d := &decoder{file: name, getenv: getenv, places: map[string]place{"": {1, 1}}, failed: make(map[string]bool)}
	c := defaults()
	c.decoded = d
	d.decode("", root, c)
	c.rebase(filepath.Dir(name))
	c.validate(d)
	if err := joined(d.errs); err != nil {
		return nil, err
	}
	return c, nil
}

// parseYAML returns the one document of a file. Keys given twice are left for the decoder to find, which finds them all.
func parseYAML(data []byte) (ast.Node, *Error) {
	file, err := parser.ParseBytes(data, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		var syntax yaml.Error
		if errors.As(err, &syntax) && syntax.GetToken() != nil {
			at := syntax.GetToken().Position
			return nil, &Error{Line: at.Line, Column: at.Column, Message: "not YAML: " + syntax.GetMessage()}
		}
		return nil, &Error{Line: 1, Column: 1, Message: "not YAML: " + err.Error()}
	}
	switch {
	case len(file.Docs) == 0 || file.Docs[0].Body == nil:
		return nil, &Error{Line: 1, Column: 1, Message: "the file is empty; it needs at least stores and feature_views"}
	case len(file.Docs) > 1:
		at := file.Docs[1].GetToken().Position
		return nil, &Error{Line: at.Line, Column: at.Column, Message: "a second document begins here; one is wanted"}
	}
	return file.Docs[0].Body, nil
}

// rebase makes paths relative to the folder of the file.
func (c *Config) rebase(dir string) {
	paths := []*string{&c.FeastRepo, &c.Limits.SpillDir}
	if strings.ContainsRune(c.Feast.Python, filepath.Separator) { // a name alone is looked for on the PATH
		paths = append(paths, &c.Feast.Python)
	}
	for i := range c.Feast.Folders {
		paths = append(paths, &c.Feast.Folders[i])
	}
	if c.TLS != nil {
		paths = append(paths, &c.TLS.Cert, &c.TLS.Key, &c.TLS.ClientCA)
	}
	for _, path := range paths {
		if *path != "" && !filepath.IsAbs(*path) {
			*path = filepath.Join(dir, *path)
		}
	}
	for _, s := range c.Stores {
		if r, ok := s.Config.(interface{ Rebase(dir string) }); ok {
			r.Rebase(dir)
		}
	}
}
