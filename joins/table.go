package joins

import (
	"context"
	"iter"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
)

// Table is the right side of a join: the rows of one source, cut into parts (row groups, say). Parts and the rows in them
// are ordered; together they give every row its Position, the last word between rows that tie on every time.
//
// A Table is one snapshot: all methods answer about the same rows. Methods may be called by several goroutines at once.
type Table interface {
	// Schema holds every column a caller may name, in source order, dictionaries decoded.
	Schema() *arrow.Schema
	// Parts lists the parts in position order. It does no I/O.
	Parts() []Part
	// Read streams the selected columns of a part in row order, each record with exactly sel.Columns in that order and
	// with the types of Schema. Nothing is read before the sequence is ranged over, all is released when the range ends.
	// A record and its buffers are lent until the next step: who wants to keep one copies it (Retain is not enough).
	// It ends after the first error; a cancelled ctx is such an error.
	Read(ctx context.Context, part int, sel Selection) iter.Seq2[arrow.Record, error]
}

// Gatherer is a Table that can fetch rows by position. For a Table that cannot, the join keeps copies of the rows that
// are best so far, which costs more but stays within the same bound.
type Gatherer interface {
	Table
	// Gather returns the named columns of the given rows of a part, one output row for each, in the same order. rows is
	// ascending, without duplicates, and inside the part. The record is the caller's, to be released.
	Gather(ctx context.Context, part int, rows []int64, columns []string) (arrow.Record, error)
}

// Giver is a Table that can give records for good. All then passes them on as they are, and does not copy them.
type Giver interface {
	Table
	// Give is Read, but the buffers of a record are not used again.
	Give(ctx context.Context, part int, sel Selection) iter.Seq2[arrow.Record, error]
}

// Slicer is a Table that can begin in the middle of a part without reading all that is before. Large parts are then read by
// several threads.
type Slicer interface {
	Table
	// ReadRows is Read of the rows lo <= row < hi of a part, which are there and more than none.
	ReadRows(ctx context.Context, part int, lo, hi int64, sel Selection) iter.Seq2[arrow.Record, error]
}

// Ranger is a Table that knows the range of a column's values in a part without reading it.
type Ranger interface {
	Table
	// Range returns bounds (not necessarily tight) on the non-null values of an integer, date or timestamp column, in the
	// column's own unit. Not ok means nothing is known. lo > hi means the part has no such value.
	Range(part int, column string) (lo, hi int64, ok bool)
}

// Weigher is a Table that knows how many bytes columns of a part have where they are stored.
type Weigher interface {
	Table
	Bytes(part int, columns []string) int64
}

// Identified is a Table that knows which parts will not change, so that what is known of them can be kept from one call to the
// next (IndexCache).
type Identified interface {
	Table
	// Identity names a part and its content: two parts with an equal one, of this table or another one, have the same rows in
	// the same order, in all columns that have the same name and type in both. Empty: the part may change, or nothing is known.
	Identity(part int) string
}

// Part describes one part of a Table.
type Part struct {
	Rows int64  // -1: unknown before it is read
	Name string // for errors and explain: "stats/2024.parquet#3"
	// Files is how many files the part holds as a whole. 0: it is a part of the file that its name begins with, before #.
	Files int
}

// Selection says what to read of a part.
type Selection struct {
	Columns []string
	// Start and End are a hint: the caller has no use for rows whose column Time is before Start, after End, or null.
	// Zero times are no bound. A Gatherer ignores the hint, and so does a Slicer, for their rows are numbered.
	Time       string
	Start, End time.Time
}

// Position is the place of a row in a Table: the part's index above, the row in the part below.
type Position uint64

// Limits of a Position: 2^22 parts of 2^40 rows. The engine keeps the two top bits for itself.
const (
	rowBits  = 40
	MaxParts = 1 << (62 - rowBits)
	MaxRows  = 1 << rowBits
)

// At returns the position of a row.
func At(part int, row int64) Position { return Position(part)<<rowBits | Position(row) }

// Part is the index of the part that holds the row.
func (p Position) Part() int { return int(p >> rowBits) }

// Row is the row's index in its part.
func (p Position) Row() int64 { return int64(p & (MaxRows - 1)) }
