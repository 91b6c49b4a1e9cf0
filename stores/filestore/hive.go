package filestore

import (
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
)

// hiveNull is the folder value that stands for null.
const hiveNull = "__HIVE_DEFAULT_PARTITION__"

// partition is a folder called key=value: a column that has one value in all files below it.
type partition struct{ key, value string }

// parsePartition reads the name of a folder. A name without a key, or one that is not text, is an ordinary folder.
func parsePartition(name string) (partition, bool) {
	key, value, ok := strings.Cut(name, "=")
	p := partition{key: decode(key), value: decode(value)}
	return p, ok && key != "" && utf8.ValidString(p.key) && utf8.ValidString(p.value)
}

// decode undoes the URL encoding that Hive, Spark and pyarrow write; a stray % was meant as one.
func decode(s string) string {
	if decoded, err := url.PathUnescape(s); err == nil {
		return decoded
	}
	return s
}

// partitionColumn is a column made of folder names, in all files of a table.
type partitionColumn struct {
	name   string
	typ    arrow.DataType
	values []constant // for each file
}

// constant is the one value of a column in a file: an integer, a date in days, or text.
type constant struct {
	valid   bool
	integer int64
	text    string
}

// partitionColumns finds the partition columns of a listing, in the order in which the folders come. Files that are
// not below a folder of some key have null there.
func partitionColumns(files []openFile) []*partitionColumn {
	var columns []*partitionColumn
	byName := make(map[string]*partitionColumn)
	for i, f := range files {
		for _, p := range f.partitions {
			c := byName[p.key]
			if c == nil {
				c = &partitionColumn{name: p.key, values: make([]constant, len(files))}
				byName[p.key] = c
				columns = append(columns, c)
			}
			c.values[i] = constant{valid: p.value != hiveNull, text: p.value}
		}
	}
	for _, c := range columns {
		c.infer()
	}
	return columns
}

// infer chooses the type (semantics P86): int64 if every value is an integer, date32 if every value is a date, else text.
func (c *partitionColumn) infer() {
	for _, candidate := range []struct {
		typ   arrow.DataType
		parse func(string) (int64, bool)
	}{
		{arrow.PrimitiveTypes.Int64, parseInteger},
		{arrow.FixedWidthTypes.Date32, parseDate},
	} {
		if c.parseAll(candidate.parse) {
			c.typ = candidate.typ
			return
		}
	}
	c.typ = arrow.BinaryTypes.String
}

// parseAll fills in the integers if every value can be parsed and there is at least one.
func (c *partitionColumn) parseAll(parse func(string) (int64, bool)) bool {
	parsed := make([]int64, len(c.values))
	some := false
	for i, v := range c.values {
		if !v.valid {
			continue
		}
		n, ok := parse(v.text)
		if !ok {
			return false
		}
		parsed[i], some = n, true
	}
	if some {
		for i, n := range parsed {
			c.values[i].integer = n
		}
	}
	return some
}

func parseInteger(s string) (int64, bool) {
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil && s[0] != '+'
}

func parseDate(s string) (int64, bool) {
	t, err := time.Parse(time.DateOnly, s)
	const day = 24 * 60 * 60
	return t.Unix() / day, err == nil
}

// array repeats the value for n rows of a column of type typ.
func (c constant) array(typ arrow.DataType, n int) arrow.Array {
	if !c.valid {
		return array.MakeArrayOfNull(memory.DefaultAllocator, typ, n)
	}
	b := array.NewBuilder(memory.DefaultAllocator, typ)
	defer b.Release()
	b.Reserve(n)
	for range n {
		switch b := b.(type) {
		case *array.Int64Builder:
			b.Append(c.integer)
		case *array.Date32Builder:
			b.Append(arrow.Date32(c.integer))
		case *array.StringBuilder:
			b.Append(c.text)
		}
	}
	return b.NewArray()
}
