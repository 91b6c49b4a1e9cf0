package parquetio

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/decimal128"
	"github.com/apache/arrow/go/v15/arrow/decimal256"
	"github.com/apache/arrow/go/v15/arrow/float16"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/parquet-go/parquet-go"
)

// nested assembles a column of lists, structs or maps, row by row, from the levels of its leaves: the record assembly of
// the Dremel paper (Melnik et al., 2010).
type nested struct {
	root    *node
	leaves  map[int]*leafCursor // by column index
	order   []*leafCursor
	builder array.Builder
}

// leafCursor walks the values of one leaf column, one ahead.
type leafCursor struct {
	pages  parquet.Pages
	page   parquet.Page
	values parquet.ValueReader
	buf    [256]parquet.Value
	at, n  int
	done   bool
}

func newNested(n *node, chunks []parquet.ColumnChunk) *nested {
	c := &nested{root: n, leaves: make(map[int]*leafCursor), builder: array.NewBuilder(memory.DefaultAllocator, n.typ)}
	for _, leaf := range leafIndexes(n) {
		cursor := &leafCursor{pages: chunks[leaf].Pages()}
		c.leaves[leaf] = cursor
		c.order = append(c.order, cursor)
	}
	return c
}

func (c *nested) close() {
	for _, l := range c.order {
		if l.page != nil {
			parquet.Release(l.page)
		}
		l.pages.Close() // reading only: nothing can be lost
	}
	c.builder.Release()
}

// peek returns the value under the cursor, nil at the end of the column.
func (l *leafCursor) peek() (*parquet.Value, error) {
	for l.at == l.n {
		if l.done {
			return nil, nil
		}
		if l.values == nil {
			if l.page != nil {
				parquet.Release(l.page)
				l.page = nil
			}
			page, err := l.pages.ReadPage()
			if errors.Is(err, io.EOF) {
				l.done = true
				return nil, nil
			}
			if err != nil {
				return nil, err
			}
			l.page, l.values = page, page.Values()
		}
		n, err := l.values.ReadValues(l.buf[:])
		l.at, l.n = 0, n
		if errors.Is(err, io.EOF) || err == nil && n == 0 {
			l.values = nil
		} else if err != nil {
			return nil, err
		}
	}
	return &l.buf[l.at], nil
}

// need is peek where a value must be.
func (l *leafCursor) need() (*parquet.Value, error) {
	v, err := l.peek()
	if err == nil && v == nil {
		err = errors.New("the column chunk ends before its row group does")
	}
	return v, err
}

func (c *nested) first(n *node) *leafCursor {
	for n.kind != leafNode {
		n = n.children[0]
	}
	return c.leaves[n.leaf]
}

// row appends the next row.
func (c *nested) row() error {
	if err := c.append(c.root, c.builder); err != nil {
		return err
	}
	for _, l := range c.order {
		if v, err := l.peek(); err != nil {
			return err
		} else if v != nil && v.RepetitionLevel() != 0 {
			return errors.New("the levels of a row do not end with it")
		}
	}
	return nil
}

// skip passes over the next row.
func (c *nested) skip() error {
	for _, l := range c.order {
		if _, err := l.need(); err != nil {
			return err
		}
		for first := true; ; first = false {
			v, err := l.peek()
			if err != nil {
				return err
			}
			if v == nil || !first && v.RepetitionLevel() == 0 {
				break
			}
			l.at++
		}
	}
	return nil
}

// pass takes one value, a stand-in for something null or empty above, from every leaf below n.
func (c *nested) pass(n *node) error {
	if n.kind == leafNode {
		_, err := c.leaves[n.leaf].need()
		c.leaves[n.leaf].at++
		return err
	}
	for _, child := range n.children {
		if err := c.pass(child); err != nil {
			return err
		}
	}
	return nil
}

func (c *nested) append(n *node, b array.Builder) error {
	v, err := c.first(n).need()
	if err != nil {
		return err
	}
	def := v.DefinitionLevel()
	if n.nullable && def < n.def {
		b.AppendNull()
		return c.pass(n)
	}
	switch n.kind {
	case leafNode:
		err := appendValue(b, v)
		c.leaves[n.leaf].at++
		return err
	case structNode:
		s := b.(*array.StructBuilder)
		s.Append(true)
		for i, child := range n.children {
			if err := c.append(child, s.FieldBuilder(i)); err != nil {
				return err
			}
		}
		return nil
	}
	return c.appendList(n, b, def)
}

func (c *nested) appendList(n *node, b array.Builder, def int) error {
	length := 0
	element := func() error { return nil }
	switch b := b.(type) {
	case *array.ListBuilder:
		b.Append(true)
		element = func() error { return c.append(n.children[0], b.ValueBuilder()) }
	case *array.LargeListBuilder:
		b.Append(true)
		element = func() error { return c.append(n.children[0], b.ValueBuilder()) }
	case *array.FixedSizeListBuilder:
		b.Append(true)
		element = func() error { return c.append(n.children[0], b.ValueBuilder()) }
	case *array.MapBuilder:
		b.Append(true)
		entry := n.children[0]
		element = func() error {
			if err := c.append(entry.children[0], b.KeyBuilder()); err != nil {
				return err
			}
			return c.append(entry.children[1], b.ItemBuilder())
		}
	}
	if def < n.elemDef {
		if err := c.pass(n); err != nil {
			return err
		}
	} else {
		for {
			if err := element(); err != nil {
				return err
			}
			length++
			next, err := c.first(n).peek()
			if err != nil {
				return err
			}
			if next == nil || next.RepetitionLevel() != n.rep {
				if next != nil && next.RepetitionLevel() > n.rep {
					return errors.New("repetition levels that fit no list")
				}
				break
			}
		}
	}
	if t, ok := n.typ.(*arrow.FixedSizeListType); ok && length != int(t.Len()) {
		return fmt.Errorf("a list of %d values in a column of type %s", length, t)
	}
	return nil
}

var errNotText = errors.New("a text is not UTF-8; declare the column as binary")

// appendValue appends a value that is not null to the builder of its leaf.
func appendValue(b array.Builder, v *parquet.Value) error {
	if v.IsNull() {
		return errors.New("a value is missing where the levels say that there is one")
	}
	switch b := b.(type) {
	case *array.BooleanBuilder:
		b.Append(v.Boolean())
	case *array.Int8Builder:
		b.Append(int8(v.Int32()))
	case *array.Int16Builder:
		b.Append(int16(v.Int32()))
	case *array.Int32Builder:
		b.Append(v.Int32())
	case *array.Int64Builder:
		b.Append(v.Int64())
	case *array.Uint8Builder:
		b.Append(uint8(v.Int32()))
	case *array.Uint16Builder:
		b.Append(uint16(v.Int32()))
	case *array.Uint32Builder:
		b.Append(uint32(v.Int32()))
	case *array.Uint64Builder:
		b.Append(uint64(v.Int64()))
	case *array.Float32Builder:
		b.Append(v.Float())
	case *array.Float64Builder:
		b.Append(v.Double())
	case *array.Date32Builder:
		b.Append(arrow.Date32(v.Int32()))
	case *array.Time32Builder:
		b.Append(arrow.Time32(v.Int32()))
	case *array.Time64Builder:
		b.Append(arrow.Time64(v.Int64()))
	case *array.DurationBuilder:
		b.Append(arrow.Duration(v.Int64()))
	case *array.TimestampBuilder:
		if v.Kind() == parquet.Int96 {
			b.Append(arrow.Timestamp(int96Nanos(v.Int96())))
		} else {
			b.Append(arrow.Timestamp(v.Int64()))
		}
	case *array.StringBuilder:
		if !utf8.Valid(v.ByteArray()) {
			return errNotText
		}
		b.Append(string(v.ByteArray()))
	case *array.LargeStringBuilder:
		if !utf8.Valid(v.ByteArray()) {
			return errNotText
		}
		b.Append(string(v.ByteArray()))
	case *array.BinaryBuilder: // large binary too
		b.Append(v.ByteArray())
	case *array.FixedSizeBinaryBuilder:
		if len(v.ByteArray()) != b.Type().(*arrow.FixedSizeBinaryType).ByteWidth {
			return fmt.Errorf("a value of %d bytes in a column of type %s", len(v.ByteArray()), b.Type())
		}
		b.Append(v.ByteArray())
	case *array.Float16Builder:
		b.Append(float16.FromBits(binary.LittleEndian.Uint16(v.ByteArray())))
	case *array.Decimal128Builder:
		raw := appendDecimal(nil, bigEndian(v), 16)
		b.Append(decimal128.New(int64(binary.LittleEndian.Uint64(raw[8:])), binary.LittleEndian.Uint64(raw)))
	case *array.Decimal256Builder:
		raw := appendDecimal(nil, bigEndian(v), 32)
		word := func(i int) uint64 { return binary.LittleEndian.Uint64(raw[8*i:]) }
		b.Append(decimal256.New(word(3), word(2), word(1), word(0)))
	case *array.NullBuilder:
		b.AppendNull()
	default:
		return fmt.Errorf("values of type %s have no reader", b.Type())
	}
	return nil
}

func bigEndian(v *parquet.Value) []byte {
	switch v.Kind() {
	case parquet.Int32:
		return binary.BigEndian.AppendUint64(nil, uint64(int64(v.Int32())))
	case parquet.Int64:
		return binary.BigEndian.AppendUint64(nil, uint64(v.Int64()))
	}
	return v.ByteArray()
}
