package stores

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/flightd/flightd/internal/fault"
	"github.com/flightd/flightd/joins"
)

// Write appends rows to a source of a store, all of them or none. A store that cannot write answers with
// errors.ErrUnsupported.
func Write(ctx context.Context, s OfflineStore, dst DataSource, id string, rows Rows) (Written, error) {
	w, err := writable(s)
	if err != nil {
		return Written{}, sourceError("append", dst, err)
	}
	written, err := w.Append(ctx, dst, id, rows)
	return written, sourceError("append", dst, err)
}

func writable(s OfflineStore) (WritableStore, error) {
	w, ok := s.(WritableStore)
	if !ok {
		return nil, fmt.Errorf("the store is read-only: %w", errors.ErrUnsupported)
	}
	return w, nil
}

// writeSchema is the columns that rows for a source must have, nil if the first write decides them.
func writeSchema(ctx context.Context, s OfflineStore, dst DataSource) (*arrow.Schema, error) {
	w, err := writable(s)
	if err != nil {
		return nil, err
	}
	if t, ok := w.(TargetStore); ok {
		return t.WriteSchema(ctx, dst)
	}
	return w.Schema(ctx, dst)
}

// WriteOptions are liberties that the protocol of a caller grants, and the memory of the call. The zero value is the strict form (semantics P80).
type WriteOptions struct {
	MixedNames  bool // each column may come under its source's name or under the view's
	RoundFloats bool // a float64 may become the nearest float32

	Budget joins.Budget // for rows that take much more in the source's types than they did as they came; nil: unlimited

	derived []string // columns that are left out if the source has none of that name
}

// WriteView appends rows to the source of a feature view. Columns come in any order, all under the names that they have in
// the source or all under those of the view; types are cast within a kind, and only if no value changes. Anything else is
// ErrInvalid, and nothing is written. The same id again for the same source writes nothing; an empty id makes every call a
// write of its own.
func WriteView(ctx context.Context, v *FeatureView, id string, rows Rows, opt WriteOptions) (Written, error) {
	written, err := writeView(ctx, v, id, rows, opt)
	if err != nil {
		return Written{}, fmt.Errorf("feature view %q: %w", v.Name, err)
	}
	return written, nil
}

func writeView(ctx context.Context, v *FeatureView, id string, rows Rows, opt WriteOptions) (Written, error) {
	have, err := writeSchema(ctx, v.Store, v.Source)
	if err != nil {
		return Written{}, sourceError("append", v.Source, err)
	}
	names := viewNames{view: v, options: opt}
	var f *fitting
	if have == nil {
		f, err = names.first(rows.Schema)
	} else {
		f, err = names.fit(have, rows.Schema)
	}
	if err != nil {
		return Written{}, err
	}
	if id == "" {
		id = rand.Text()
	}
	return Write(ctx, v.Store, v.Source, id, f.rows(ctx, rows))
}

// WriteLog appends logged features of a service to where they go. The first write decides the columns; later ones come in any
// order and are cast as WriteView does. Rows of identical content are a duplicate: they carry request ids and times, so
// they are the same rows sent again.
func WriteLog(ctx context.Context, s *FeatureService, rows Rows, opt WriteOptions) (Written, error) {
	written, err := writeLog(ctx, s, rows, opt)
	if err != nil {
		return Written{}, fmt.Errorf("feature service %q: %w", s.Name, err)
	}
	return written, nil
}

func writeLog(ctx context.Context, s *FeatureService, rows Rows, opt WriteOptions) (Written, error) {
	if s.Log == nil {
		return Written{}, fault.New(fault.Precondition, "its logged features have nowhere to go; configure `log` with a store and a destination")
	}
	dst, err := s.Log.Store.Source(s.Log.Destination)
	if err != nil {
		return Written{}, err
	}
	have, err := writeSchema(ctx, s.Log.Store, dst)
	if err != nil {
		return Written{}, sourceError("append", dst, err)
	}
	if have == nil {
		have = rows.Schema
	}
	opt.derived = s.Log.Derived
	f, err := fitColumns(have, rows.Schema, nil, opt)
	if err != nil {
		return Written{}, err
	}
	return Write(ctx, s.Log.Store, dst, "", f.rows(ctx, rows))
}

// Scrub looks for damage in a source. A store that cannot do that answers with errors.ErrUnsupported.
func Scrub(ctx context.Context, s OfflineStore, src DataSource) (pieces int, err error) {
	c, ok := s.(ScrubbingStore)
	if !ok {
		return 0, sourceError("scrub", src, fmt.Errorf("the store has nothing to compare with: %w", errors.ErrUnsupported))
	}
	pieces, err = c.Scrub(ctx, src)
	return pieces, sourceError("scrub", src, err)
}

// Compact merges small parts of a source. A store that cannot do that answers with errors.ErrUnsupported.
func Compact(ctx context.Context, s OfflineStore, dst DataSource, opt CompactOptions) (Compacted, error) {
	c, ok := s.(CompactingStore)
	if !ok {
		return Compacted{}, sourceError("compact", dst, fmt.Errorf("the store has no parts to merge: %w", errors.ErrUnsupported))
	}
	done, err := c.Compact(ctx, dst, opt)
	return done, sourceError("compact", dst, err)
}

// Replace makes rows all that a source of a store has; a source that has something already is fs.ErrExist unless overwrite
// is set. A store that cannot do that answers with errors.ErrUnsupported.
func Replace(ctx context.Context, s OfflineStore, dst DataSource, overwrite bool, rows Rows) (Written, error) {
	r, ok := s.(ReplacingStore)
	if !ok {
		return Written{}, sourceError("replace", dst, fmt.Errorf("the store cannot replace a source: %w", errors.ErrUnsupported))
	}
	written, err := r.Replace(ctx, dst, overwrite, rows)
	return written, sourceError("replace", dst, err)
}
