package rowfile

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// maxLine bounds a row of a CSV file. A quote that is never closed would otherwise take in the rest of the file.
const maxLine = 16 << 20

// lines reads the rows of a CSV file, from the start as often as asked.
type lines struct {
	path  string
	file  *os.File
	csv   *csv.Reader
	spent *meter
	names []string
}

// rewind goes back to the first row, after the line of names.
func (l *lines) rewind() error {
	if _, err := l.file.Seek(0, io.SeekStart); err != nil {
		return reason(l.path, err)
	}
	l.spent = &meter{r: l.file}
	text := bufio.NewReaderSize(l.spent, 64<<10)
	if mark, _ := text.Peek(3); string(mark) == "\xef\xbb\xbf" {
		text.Discard(3) //nolint:errcheck // it has been peeked
	}
	l.csv = csv.NewReader(text)
	l.csv.ReuseRecord = true
	names, err := l.next()
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: the file is empty; the first line holds the names of the columns", l.path)
	}
	if err != nil {
		return err
	}
	l.names = slices.Clone(names)
	return l.checkNames()
}

func (l *lines) checkNames() error {
	if len(l.names) == 1 && strings.ContainsAny(l.names[0], ";\t|") {
		return fmt.Errorf("%s: line 1 is one column %q; columns are separated by commas", l.path, l.names[0])
	}
	for i, name := range l.names {
		switch {
		case name == "":
			return fmt.Errorf("%s: line 1: column %d has no name (pandas writes its index like that; use index=False)", l.path, i+1)
		case slices.Contains(l.names[:i], name):
			return fmt.Errorf("%s: line 1: two columns have the name %q", l.path, name)
		}
	}
	return nil
}

// next returns the next row, which has as many values as there are names. The slice is used again; io.EOF is the end.
func (l *lines) next() ([]string, error) {
	l.spent.used = 0
	row, err := l.csv.Read()
	var parse *csv.ParseError
	switch {
	case err == nil, errors.Is(err, io.EOF):
		return row, err
	case errors.Is(err, errLongLine):
		return nil, fmt.Errorf("%s: the row after line %d is longer than %d MiB; is a quote never closed?", l.path, l.line(), maxLine>>20)
	case errors.Is(err, csv.ErrFieldCount):
		return nil, fmt.Errorf("%s: line %d has %d values, and line 1 has %d columns", l.path, l.line(), len(row), len(l.names))
	case errors.As(err, &parse):
		return nil, fmt.Errorf("%s: line %d, byte %d: %w", l.path, parse.Line, parse.Column, parse.Err)
	}
	return nil, reason(l.path, err)
}

// line is the number of the line that the row read last began with.
func (l *lines) line() int {
	n, _ := l.csv.FieldPos(0)
	return n
}

var errLongLine = errors.New("a row is too long")

// meter fails when a row takes more than maxLine bytes of the file.
type meter struct {
	r    io.Reader
	used int
}

func (m *meter) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	if m.used += n; m.used > maxLine {
		return 0, errLongLine
	}
	return n, err
}
