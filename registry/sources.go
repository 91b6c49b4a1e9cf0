package registry

import (
	"github.com/apache/arrow/go/v15/arrow"

	"github.com/flightd/flightd/internal/fault"
	"github.com/flightd/flightd/internal/feastpb"
	"github.com/flightd/flightd/stores"
)

// maxNesting bounds how deep sources and views may stand in each other.
const maxNesting = 8

// dataSource is a data source of the registry, with its rows found.
type dataSource struct {
	name    string
	uri     string // where its rows are, as the registry writes it; "": somewhere that has no path
	proto   *feastpb.DataSource
	store   stores.OfflineStore
	source  stores.DataSource
	err     error         // why there are no rows to read; store and source are nil then
	request []arrow.Field // fields of a request source
}

// batchOf is the source that holds the rows: push and stream sources only name it.
func batchOf(s *feastpb.DataSource) *feastpb.DataSource {
	for range maxNesting {
		switch s.GetType() {
		case feastpb.DataSource_PUSH_SOURCE, feastpb.DataSource_STREAM_KAFKA, feastpb.DataSource_STREAM_KINESIS:
			if s.GetBatchSource() == nil {
				return s
			}
			s = s.GetBatchSource()
		default:
			return s
		}
	}
	return s
}

// dataSource finds the rows of a source. What cannot be served is an error of the source alone.
func (b *builder) dataSource(s *feastpb.DataSource) *dataSource {
	batch := batchOf(s)
	d := &dataSource{name: s.GetName(), proto: s}
	switch batch.GetType() {
	case feastpb.DataSource_BATCH_FILE:
		d.uri = batch.GetFileOptions().GetUri()
		if d.name == "" {
			d.name = d.uri
		}
		d.store, d.source, d.err = b.file(batch.GetFileOptions())
	case feastpb.DataSource_CUSTOM_SOURCE:
		d.store, d.source, d.err = b.opener.class(batch.GetDataSourceClassType(), batch.GetCustomOptions().GetConfiguration())
	case feastpb.DataSource_REQUEST_SOURCE:
		d.request = requestFields(batch.GetRequestDataOptions())
		d.err = fault.New(fault.Invalid, "it comes with each request and has no rows of its own")
	case feastpb.DataSource_PUSH_SOURCE, feastpb.DataSource_STREAM_KAFKA, feastpb.DataSource_STREAM_KINESIS:
		d.err = fault.New(fault.Precondition, "it has no batch source, so its rows are nowhere")
	default:
		d.err = fault.New(fault.Unimplemented, "data sources of type %s are not served yet", batch.GetType())
	}
	if d.err != nil {
		d.store, d.source = nil, nil
		d.err = fault.New(fault.KindOf(d.err), "data source %q: %w", d.name, d.err)
	}
	return d
}

// file finds the rows of a file source.
func (b *builder) file(f *feastpb.DataSource_FileOptions) (stores.OfflineStore, stores.DataSource, error) {
	if f.GetFileFormat().GetDeltaFormat() != nil {
		return nil, nil, fault.New(fault.Unimplemented, "tables in the format Delta are not served yet; Parquet files are")
	}
	return b.path(f.GetUri())
}

// path finds the rows at a path or URI.
func (b *builder) path(uri string) (stores.OfflineStore, stores.DataSource, error) {
	if uri == "" {
		return nil, nil, fault.New(fault.Precondition, "it has no path")
	}
	at, unsettled, err := b.opener.locate(uri)
	if err != nil {
		return nil, nil, err
	}
	if unsettled {
		b.snapshot.unsettled[uri] = at
	}
	return b.opener.open(at)
}

// requestFields are the fields that a request source adds to each request. Old registries keep types without order.
func requestFields(o *feastpb.DataSource_RequestDataOptions) []arrow.Field {
	var fields []arrow.Field
	for _, f := range o.GetSchema() {
		fields = append(fields, arrow.Field{Name: f.GetName(), Type: fieldType(f), Nullable: true})
	}
	if fields == nil {
		for name, t := range sorted(o.GetDeprecatedSchema()) {
			fields = append(fields, arrow.Field{Name: name, Type: valueType(t), Nullable: true})
		}
	}
	return fields
}
