// Package rowdigest computes the content digest of rows: the same rows have the same digest, whatever batches they come
// in and in whatever order their columns stand. It is how a write that is sent twice is recognised.
//
// The digest is over logical values. Numbers are taken by value and times as instants, so it does not change when a
// column is widened; null, zero and the empty text are different; so are texts and binaries of the same bytes.
package rowdigest

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"slices"
	"strings"

	"github.com/apache/arrow/go/v15/arrow"
)

// Digest is a SHA-256.
type Digest [sha256.Size]byte

func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// Parse reads what String has written.
func Parse(text string) (d Digest, ok bool) {
	raw, err := hex.DecodeString(text)
	return Digest(append(raw, d[:]...)[:len(d)]), err == nil && len(raw) == len(d)
}

// flushAt is how many bytes of a column are collected before they are hashed.
const flushAt = 32 << 10

// Hash takes in the rows of one schema, record by record.
type Hash struct {
	schema  *arrow.Schema
	columns []*column
	rows    int64
}

type column struct {
	kind string
	sum  hash.Hash
	buf  []byte
}

// New begins a digest. Types that have no canonical form here are refused by name.
func New(schema *arrow.Schema) (*Hash, error) {
	h := &Hash{schema: schema}
	for _, f := range schema.Fields() {
		kind, err := kindOf(f.Type)
		if err != nil {
			return nil, fmt.Errorf("column %q: %w", f.Name, err)
		}
		h.columns = append(h.columns, &column{kind: kind, sum: sha256.New()})
	}
	return h, nil
}

// Add takes in the rows of a record with the columns of the schema, in its order.
func (h *Hash) Add(rec arrow.Record) error {
	if int(rec.NumCols()) != len(h.columns) {
		return fmt.Errorf("a record of %d columns where the schema has %d", rec.NumCols(), len(h.columns))
	}
	for i, c := range h.columns {
		if err := c.add(rec.Column(i)); err != nil {
			return fmt.Errorf("column %q: %w", h.schema.Field(i).Name, err)
		}
	}
	h.rows += rec.NumRows()
	return nil
}

func (c *column) add(a arrow.Array) error {
	value, err := appender(a)
	if err != nil {
		return err
	}
	for i := range a.Len() {
		if c.buf = value(c.buf, i); len(c.buf) >= flushAt {
			c.flush()
		}
	}
	return nil
}

func (c *column) flush() {
	c.sum.Write(c.buf) // a hash does not fail
	c.buf = c.buf[:0]
}

// Rows is the number of rows taken in.
func (h *Hash) Rows() int64 { return h.rows }

// Sum is the digest of the rows so far: over their number and, ordered by name, the columns.
func (h *Hash) Sum() Digest {
	order := make([]int, len(h.columns))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return strings.Compare(h.schema.Field(a).Name, h.schema.Field(b).Name) })
	all := binary.LittleEndian.AppendUint64([]byte("flightd rows 1\x00"), uint64(h.rows))
	for _, i := range order {
		c := h.columns[i]
		c.flush()
		all = appendText(all, h.schema.Field(i).Name)
		all = appendText(all, c.kind)
		all = c.sum.Sum(all)
	}
	return sha256.Sum256(all)
}

func appendText(buf []byte, s string) []byte {
	return append(binary.LittleEndian.AppendUint64(buf, uint64(len(s))), s...)
}
