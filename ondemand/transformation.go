package ondemand

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/ipc"

	"github.com/flightd/flightd/internal/fault"
)

// View is one on-demand feature view of a request.
type View struct {
	Name       string   // as the registry has it
	Alias      string   // the name that its outputs bear with full feature names; empty: Name
	Definition []byte   // a serialized feast.core.OnDemandFeatureView
	Outputs    []Output // what was requested of it, in the order of the answer
}

// Output is a feature that a view computes.
type Output struct {
	Feature string
	Type    arrow.DataType // what the view declares
}

// Transformation is what is to be done to records of one schema. It is not changed by its use, and may be used again.
type Transformation struct {
	in, out *arrow.Schema
	sent    *arrow.Schema // in without metadata: pandas would build its index from it, Arrow its extension types
	added   *arrow.Schema // the outputs
	outputs []byte        // added, as an IPC stream without records
	views   []boundView
	full    bool
}

// boundView is a view with what is sent of it.
type boundView struct {
	viewHeader
	definition []byte
}

// maxColumns is what internal/ipcguard reads of a schema.
const maxColumns = 10_000

// Bind prepares views, applied in this order, for records of schema in. The answer has the columns of in and, after them,
// the outputs of the views, under their full names ("view__feature") if full is set. Names that meet are an error.
func Bind(in *arrow.Schema, views []View, full bool) (*Transformation, error) {
	if len(views) == 0 {
		return nil, fault.New(fault.Invalid, "no on-demand feature view is named")
	}
	t := &Transformation{in: in, full: full}
	origin := map[string]string{}
	var sent, added []arrow.Field
	for _, f := range in.Fields() {
		origin[f.Name] = "a column of the joined rows"
		sent = append(sent, arrow.Field{Name: f.Name, Type: f.Type, Nullable: f.Nullable})
	}
	for _, v := range views {
		if len(v.Definition) == 0 || len(v.Outputs) == 0 {
			return nil, fault.New(fault.Invalid, "on-demand feature view %q: %d bytes of definition and %d outputs; both are needed", v.Name, len(v.Definition), len(v.Outputs))
		}
		digest := sha256.Sum256(v.Definition)
		b := boundView{viewHeader{ID: hex.EncodeToString(digest[:]), Name: v.Name, Alias: v.Alias}, v.Definition}
		for _, o := range v.Outputs {
			column := v.column(o.Feature, full)
			if other, ok := origin[column]; ok {
				return nil, fault.New(fault.Invalid, "column %q is an output of on-demand feature view %q and %s; ask for full feature names, or rename one", column, v.Name, other)
			}
			origin[column] = fmt.Sprintf("an output of on-demand feature view %q", v.Name)
			added = append(added, arrow.Field{Name: column, Type: o.Type, Nullable: true})
			b.Outputs = append(b.Outputs, column)
		}
		t.views = append(t.views, b)
	}
	t.sent, t.added = arrow.NewSchema(sent, nil), arrow.NewSchema(added, nil)
	t.out = arrow.NewSchema(slices.Concat(in.Fields(), added), nil)
	if len(origin) > maxColumns {
		return nil, fault.New(fault.Exhausted, "%d columns; on-demand feature views work on at most %d", len(origin), maxColumns)
	}
	if err := t.fitsHeader(); err != nil {
		return nil, err
	}
	var err error
	t.outputs, err = encode(t.added)
	return t, err
}

// fitsHeader refuses names that are so long that the worker would not read them.
func (t *Transformation) fitsHeader() error {
	var all []viewHeader
	for _, v := range t.views {
		all = append(all, v.viewHeader)
	}
	text, err := json.Marshal(all)
	if size := len(text) + 1<<10; err == nil && size > maxHeader {
		return fault.New(fault.Exhausted, "the names of the outputs of on-demand feature views are %d bytes, at most %d can be asked for", size, maxHeader)
	}
	return err
}

// column is the name of an output, as Feast builds it.
func (v View) column(feature string, full bool) string {
	switch {
	case !full:
		return feature
	case v.Alias != "":
		return v.Alias + "__" + feature
	}
	return v.Name + "__" + feature
}

// Schema is the schema of the transformed records.
func (t *Transformation) Schema() *arrow.Schema { return t.out }

// String names the views, for messages.
func (t *Transformation) String() string {
	names := make([]string, len(t.views))
	for i, v := range t.views {
		names[i] = fmt.Sprintf("%q", v.Name)
	}
	if len(names) == 1 {
		return "on-demand feature view " + names[0]
	}
	return "on-demand feature views " + strings.Join(names, ", ")
}

// conform returns the record as it is sent. It must have the columns that Bind was told of.
func (t *Transformation) conform(rec arrow.Record) (arrow.Record, error) {
	if int(rec.NumCols()) != len(t.sent.Fields()) {
		return nil, fmt.Errorf("%v: a record of %d columns, %d were announced", t, rec.NumCols(), len(t.sent.Fields()))
	}
	for i, f := range t.sent.Fields() {
		if found := rec.Column(i).DataType(); !arrow.TypeEqual(f.Type, found) {
			return nil, fmt.Errorf("%v: column %q is %s, %s was announced", t, f.Name, found, f.Type)
		}
	}
	return array.NewRecord(t.sent, rec.Columns(), rec.NumRows()), nil
}

// encode writes records of a schema as one IPC stream.
func encode(schema *arrow.Schema, records ...arrow.Record) ([]byte, error) {
	var out bytes.Buffer
	w := ipc.NewWriter(&out, ipc.WithSchema(schema))
	for _, rec := range records {
		if err := w.Write(rec); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return out.Bytes(), err
}

// overhead is what a message may hold besides records.
func (t *Transformation) overhead() int64 {
	n := int64(len(t.outputs))
	for _, v := range t.views {
		n += int64(len(v.definition))
	}
	return n
}
