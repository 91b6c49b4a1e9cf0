// Package stores is the portable side of flightd's storage: what a store must do, what it may do, and how a request
// becomes a lazy RetrievalJob.
//
// A store implements OfflineStore: it names its data sources, tells their columns, and streams their rows. That is
// enough to be served: the point-in-time join, latest, all and the forms without entity rows come from package joins.
// A store that can do more also implements one of the optional interfaces (TableStore, PlanningStore, WritableStore, TargetStore, ReplacingStore, CompactingStore).
// Callers do not test for these: they call Open, Plan and Write, which do, and fall back where there is a way back.
//
// Rules that hold everywhere: a context comes first and is never kept; nothing is read before a sequence is ranged
// over, and all is released when the range ends; a yielded record is lent until the next step; errors that a user can
// cause carry one of the kinds in error.go.
package stores

import (
	"context"
	"iter"
	"time"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/flightd/flightd/joins"
)

// DataSource names rows in a store: a file, a folder, a table. A store makes its own from the text in the
// configuration and gets them back in every call. Making one reads nothing, so a source may not exist (yet).
type DataSource interface {
	// String is how messages call the source. It is shown to clients: no credentials, no path above the store's root.
	String() string
}

// Selection says what to read of a source: the columns, exactly and in order, and a time range that is a hint.
type Selection = joins.Selection

// OfflineStore is the least that a store must do. Its methods may be called by several goroutines at once.
type OfflineStore interface {
	// Source makes a data source of the text that stands under `source` in the configuration.
	Source(text string) (DataSource, error)
	// Schema reports the columns of src without reading rows. A missing source wraps fs.ErrNotExist.
	Schema(ctx context.Context, src DataSource) (*arrow.Schema, error)
	// Scan streams the rows of src: each record with exactly sel.Columns, in that order, with the types of Schema. Rows
	// outside sel's time range may be left out. The order of rows is their position: it decides full ties.
	Scan(ctx context.Context, src DataSource, sel Selection) iter.Seq2[arrow.Record, error]
	// Close releases what the store holds. Calls after it fail with fs.ErrClosed.
	Close() error
}

// TableStore is a store whose sources have parts: read in parallel, skipped by their time range, and possibly (if the
// table is a joins.Gatherer) asked for single rows by position. Without it Scan is used as one part.
type TableStore interface {
	OfflineStore
	// Table opens one snapshot of src: its schema and parts are known when it returns, its rows are not read. It holds
	// nothing that needs closing between reads. A missing source wraps fs.ErrNotExist.
	Table(ctx context.Context, src DataSource) (joins.Table, error)
}

// PlanningStore is a store that can answer a whole request itself, by pushing the join down into its engine.
type PlanningStore interface {
	OfflineStore
	// Plan turns a request whose views all live in this store into a job. An error wrapping errors.ErrUnsupported
	// leaves the request to package joins; any other error ends it. Answers must be equal either way.
	Plan(ctx context.Context, r Request) (*RetrievalJob, error)
}

// WritableStore is a store that can append rows.
type WritableStore interface {
	OfflineStore
	// Append adds rows to dst, all of them or none, durably when it returns, visible to every scan that starts after
	// that. rows has the columns of dst's Schema, in that order. An id is any text of 1 to 256 bytes. The same id again for
	// the same dst changes nothing and reports what the first call wrote; with other rows it is ErrAlreadyExists. An empty
	// id stands for the rows themselves: the same rows again change nothing. An error while rows is ranged over ends the
	// call with that error and changes nothing; so does the end of ctx, until the rows become visible. A store that has
	// this method but may not write says errors.ErrUnsupported.
	Append(ctx context.Context, dst DataSource, id string, rows Rows) (Written, error)
}

// TargetStore is a WritableStore whose sources can be made by a write. Of others, the source has to be there.
type TargetStore interface {
	WritableStore
	// WriteSchema reports the columns that rows for dst must have, in that order: those of Schema. nil says that dst has
	// no columns yet, because it is empty or not there, and that the first Append makes it with the columns of its rows.
	// A dst that cannot be written to, or made by a write, is an error. The answer may be some seconds old.
	WriteSchema(ctx context.Context, dst DataSource) (*arrow.Schema, error)
}

// ReplacingStore is a store that can put other rows in the place of all that a source has.
type ReplacingStore interface {
	WritableStore
	// Replace makes rows, of whatever columns, all that dst has: readers see what it had before or these, durably when it
	// returns. A dst that is not there yet is made. One that has columns is fs.ErrExist, unless overwrite is set: whether it
	// has is decided when the rows become visible, so of several calls at once for a new dst one succeeds. An error changes
	// nothing.
	Replace(ctx context.Context, dst DataSource, overwrite bool, rows Rows) (Written, error)
}

// CompactingStore is a store that can merge what many small writes have left.
type CompactingStore interface {
	WritableStore
	// Compact merges small parts of dst. Readers see each row once at every moment, in the order in which they saw them
	// before, and ids of writes stay known. Of several calls at once for the same dst one does it, the others are ErrUnavailable.
	// When it fails it has done some of its merges, or none.
	Compact(ctx context.Context, dst DataSource, opt CompactOptions) (Compacted, error)
}

// ScrubbingStore is a store that can find out whether what it has is what was written.
type ScrubbingStore interface {
	OfflineStore
	// Scrub reads all that src has, compares it with what was noted when it was written, and reports how many files, or
	// other pieces, it has looked at. What is damaged is named, all of it, and wraps ErrDataLoss.
	Scrub(ctx context.Context, src DataSource) (pieces int, err error)
}

// CompactOptions are the choices of a compaction.
type CompactOptions struct {
	// Grace is how long parts that were merged stay, for those who are reading them: as long as the longest call.
	Grace time.Duration
}

// Compacted is the outcome of a compaction.
type Compacted struct {
	Merged  int   // parts that were merged now
	Made    int   // parts that were made of them
	Rows    int64 // their rows
	Removed int   // parts that had been merged before and are gone now
	Waiting int   // parts that were merged and are not gone yet
}

// Rows is a stream of records of one schema. Ranging over Records twice is not promised. Its records may be retained.
type Rows struct {
	Schema  *arrow.Schema
	Len     int64 // number of rows; -1: not known before they are read
	Records iter.Seq2[arrow.Record, error]

	// Release gives back the memory of the records so far, which are then not used any more; nil: they have it to the end.
	// Where it is not nil, Len may become known with the first record.
	Release func()
}

// Written is the outcome of an append.
type Written struct {
	Rows      int64
	Duplicate bool // the id, or the rows that stand for it, were known: nothing was written now
}

// Config is the configuration of one store. A type registers a function that returns its Config with the defaults set;
// the rest of the YAML mapping is decoded strictly into it (its `yaml` tags name the keys), then Validate is asked, and
// Open only if everything in the file is valid.
//
// A Config that holds paths relative to the configuration file also has a method Rebase(dir string), called before
// Validate with the folder of that file.
type Config interface {
	// Validate reports every impossible value at once (errors.Join). It touches nothing outside.
	Validate() error
	// Open connects. A source that is missing is not an error of Open.
	Open(ctx context.Context) (OfflineStore, error)
}
