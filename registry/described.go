package registry

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"path/filepath"
	"strings"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/flightd/flightd/internal/fault"
	"github.com/flightd/flightd/internal/feastpb"
	"github.com/flightd/flightd/stores"
	"github.com/flightd/flightd/tickets"
)

// Columns answers what columns a data source has: their names and the names of their types, in source order. The types are
// spelt as pyarrow spells them, because Feast's clients read them.
func (s *Snapshot) Columns(ctx context.Context, c *tickets.FeastSource) (*stores.RetrievalJob, error) {
	d, err := s.described(c)
	if err != nil {
		return nil, err
	}
	schema, err := d.store.Schema(ctx, d.source)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, missingTable(d.uri)
	}
	if err != nil {
		return nil, fault.New(fault.KindOf(err), "data source %q: %w", short(d.name), err)
	}
	return columnsJob(schema), nil
}

// Validate checks a data source that a client describes. One that holds nothing yet is as good as any: clients ask before
// they apply.
func (s *Snapshot) Validate(c *tickets.FeastSource) error {
	d, err := s.parse(c)
	if err != nil {
		return err
	}
	switch d.GetType() {
	case feastpb.DataSource_REQUEST_SOURCE, feastpb.DataSource_PUSH_SOURCE, feastpb.DataSource_STREAM_KAFKA, feastpb.DataSource_STREAM_KINESIS:
		return nil // there is nothing to look at
	}
	_, err = s.described(c)
	return err
}

func (s *Snapshot) parse(c *tickets.FeastSource) (*feastpb.DataSource, error) {
	d := new(feastpb.DataSource)
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true, RecursionLimit: 100}).Unmarshal([]byte(c.DataSource), d); err != nil {
		return nil, fault.New(fault.Invalid, "data_source_proto: it is not the JSON of a data source: %s", short(err.Error()))
	}
	return d, nil
}

// described finds the source that a client describes. Nothing of the description is trusted: the registered source of that
// name is taken if it is the same one; another is answered only if it is a file below a root, for that is what applying a
// new source needs.
func (s *Snapshot) described(c *tickets.FeastSource) (*dataSource, error) {
	described, err := s.parse(c)
	if err != nil {
		return nil, err
	}
	batch := batchOf(described)
	uri := batch.GetFileOptions().GetUri()
	p := s.projects[s.own]
	if p == nil { // before the first apply there is no project, perhaps no registry
		p = &project{name: s.own}
	}
	name := described.GetName()
	if name == "" {
		name = uri
	}
	registered := p.sources[name]
	switch {
	case registered != nil && registered.err != nil:
		return nil, registered.err
	case registered != nil && (batch.GetType() != feastpb.DataSource_BATCH_FILE || registered.uri == uri):
		return registered, nil
	case batch.GetType() != feastpb.DataSource_BATCH_FILE:
		return nil, unknownSource(name, s.own)
	case batch.GetFileOptions().GetFileFormat().GetDeltaFormat() != nil:
		return nil, fault.New(fault.Unimplemented, "data source %q: tables in the format Delta are not served yet; Parquet files are", short(name))
	}
	return s.below(name, uri)
}

// below opens a file that the registry does not know, if it lies below a root. Links out of the root lead nowhere: the
// store is that of the root. Before the first apply nothing says where this repository's data is, so any file will do; what
// a client learns are the names and types of its columns.
func (s *Snapshot) below(name, uri string) (*dataSource, error) {
	outside := fault.New(fault.Forbidden, "data source %q is not registered, and its path is not below the folder of the repository or of a registered source; "+
		"apply it where Feast reads the files itself, or start flightd with --feast-folder and the folder of its data", short(name))
	path, err := localPath(uri, s.opener.dir)
	if err != nil || uri == "" || path == "/" {
		return nil, outside
	}
	roots, registered := s.roots()
	if !registered {
		roots = append(roots, "/")                                // one store for whatever is asked for
		if real, err := filepath.EvalSymlinks(path); err == nil { // in which absolute links would lead out
			path = real
		}
	}
	for _, root := range roots {
		rest, inside := strings.CutPrefix(path, strings.TrimSuffix(root, "/")+"/")
		if !inside {
			continue
		}
		if strings.ContainsAny(rest, "*?[{") { // matching costs what its author wants it to cost
			return nil, fault.New(fault.Forbidden, "data source %q is not registered, and its path is a pattern; only one that is registered is looked up", short(name))
		}
		d := &dataSource{name: name, uri: uri}
		d.store, d.source, err = s.opener.open(place{root: root, path: filepath.ToSlash(rest)})
		return d, err
	}
	return nil, outside
}

// roots are the folders below which a client may point: that of the repository, those of the project's file sources, and
// those that the operator names. registered says whether there are such sources.
func (s *Snapshot) roots() (roots []string, registered bool) {
	roots = append([]string{s.opener.dir}, s.opener.allowed...)
	if p := s.projects[s.own]; p != nil {
		for _, d := range sorted(p.sources) {
			if d.uri == "" {
				continue
			}
			registered = true
			if d.err != nil {
				continue
			}
			if at, _, err := s.opener.locate(d.uri); err == nil && at.root != "/" { // everything lies below that
				roots = append(roots, at.root)
			}
		}
	}
	return roots, registered
}

func columnsJob(schema *arrow.Schema) *stores.RetrievalJob {
	answer := arrow.NewSchema([]arrow.Field{
		{Name: "name", Type: arrow.BinaryTypes.String, Nullable: true}, {Name: "type", Type: arrow.BinaryTypes.String, Nullable: true},
	}, nil)
	job := stores.NewJob(answer, func(context.Context) iter.Seq2[arrow.Record, error] {
		return func(yield func(arrow.Record, error) bool) {
			b := array.NewRecordBuilder(memory.DefaultAllocator, answer)
			defer b.Release()
			for _, f := range schema.Fields() {
				b.Field(0).(*array.StringBuilder).Append(f.Name)
				b.Field(1).(*array.StringBuilder).Append(typeText(f.Type))
			}
			rec := b.NewRecord()
			defer rec.Release()
			yield(rec, nil)
		}
	})
	job.Total = int64(len(schema.Fields()))
	return job
}
