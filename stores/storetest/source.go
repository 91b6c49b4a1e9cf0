package storetest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/flightd/flightd/stores"
)

var sourceChecks = []check{
	{"source", "A source has a name for messages, the same whenever it is made of the same text.", nil, checkSource},
	{"missing", "A missing source wraps fs.ErrNotExist, and making a source reads nothing.", nil, checkMissing},
	{"schema", "Schema reports every column of the source, in order, with its type.", nil, checkSchema},
}

func checkSource(t *testing.T, h Harness) error {
	s, err := h.open(t, history(1, 10))
	if err != nil {
		return err
	}
	again, err := s.Source(h.sourceText(s.name))
	if err != nil {
		return err
	}
	other, err := s.Source(h.sourceText("nowhere"))
	if err != nil {
		return err
	}
	switch {
	case s.src.String() == "":
		return errors.New("an empty name")
	case again.String() != s.src.String():
		return fmt.Errorf("%q, then %q", s.src, again)
	case other.String() == s.src.String():
		return fmt.Errorf("two sources are both called %q", other)
	}
	have, err := read(s.Scan(t.Context(), again, s.everything()), s.fields(s.table.names()...))
	if err != nil {
		return err
	}
	return h.same(have, s.table.textRows())
}

func checkMissing(t *testing.T, h Harness) error {
	s, err := h.open(t, history(1, 10))
	if err != nil {
		return err
	}
	src, err := s.Source(h.sourceText("nowhere"))
	if err != nil {
		return fmt.Errorf("the source could not even be named: %w", err)
	}
	if _, err := s.Schema(t.Context(), src); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("Schema: %v", err)
	}
	for rec, err := range s.Scan(t.Context(), src, s.everything()) {
		if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("Scan: %s, %v", brief(rec), err)
		}
	}
	if ts, ok := s.OfflineStore.(stores.TableStore); ok {
		if _, err := ts.Table(t.Context(), src); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("Table: %v", err)
		}
	}
	return nil
}

func checkSchema(t *testing.T, h Harness) error {
	s, err := h.open(t, history(1, 10))
	if err != nil {
		return err
	}
	return s.checkSchema(t.Context())
}

func (o *one) checkSchema(ctx context.Context) error {
	schema, err := o.Schema(ctx, o.src)
	if err != nil {
		return err
	}
	return sameFields(schema.Fields(), o.table.Schema.Fields())
}

func sameFields(have, want []arrow.Field) error {
	if len(have) != len(want) {
		return fmt.Errorf("%d columns where the table has %d", len(have), len(want))
	}
	for i, f := range have {
		if f.Name != want[i].Name || !arrow.TypeEqual(f.Type, want[i].Type) {
			return fmt.Errorf("column %d is %q (%s) where the table has %q (%s)", i, f.Name, f.Type, want[i].Name, want[i].Type)
		}
	}
	return nil
}
