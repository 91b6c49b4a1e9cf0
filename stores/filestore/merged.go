package filestore

import (
	"bytes"
	"encoding/hex"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"github.com/flightd/flightd/internal/parquetio"
)

// Keys of the footer of a part that was made of others.
const (
	mergedKey = "flightd.merged"       // entries of the parts whose rows it has, by key
	untilKey  = "flightd.merged_until" // time in ns from which on these parts may be removed
)

// merged is what a part that was made of others says of them. Who sees the part looks at none of them any more: in each
// listing, the name of a merged part appears in one step and takes all of theirs with it. They are the record of the writes
// that they were, also when they are gone.
type merged struct {
	entries []entry // of the parts, and of those that they were made of; ascending by key
	until   time.Time
}

// mergedOf reads what a footer says; nil for parts that were not made of others.
func mergedOf(f *parquetio.File) *merged {
	text, ok := f.Metadata(mergedKey)
	if !ok {
		return nil
	}
	m := &merged{entries: parseEntries(text)}
	slices.SortFunc(m.entries, compareEntries)
	text, _ = f.Metadata(untilKey)
	if at, err := strconv.ParseInt(text, 10, 64); err == nil {
		m.until = time.Unix(0, at)
	}
	return m
}

func compareEntries(a, b entry) int { return bytes.Compare(a.key[:], b.key[:]) }

func (m *merged) find(k key) (entry, bool) {
	i, ok := slices.BinarySearchFunc(m.entries, entry{key: k}, compareEntries)
	if !ok {
		return entry{}, false
	}
	return m.entries[i], true
}

// bytes is what it takes in memory.
func (m *merged) bytes() int64 {
	if m == nil {
		return 0
	}
	return int64(len(m.entries)) * int64(unsafe.Sizeof(entry{}))
}

// keyOfPart is the key in the name of a part.
func keyOfPart(name string) (k key, ok bool) {
	text, part := strings.CutPrefix(path.Base(name), "part-")
	text, parquet := strings.CutSuffix(text, ".parquet")
	if !part || !parquet || len(text) != hex.EncodedLen(len(k)) {
		return k, false
	}
	_, err := hex.Decode(k[:], []byte(text))
	return k, err == nil
}

// replaced are files whose rows a merged part of the same folder has.
type replaced struct {
	openFile
	until time.Time
}

// withoutReplaced parts the files of a listing into those whose rows are to be read, and those that were replaced.
func withoutReplaced(listing []openFile) (seen []openFile, gone []replaced) {
	var makers []openFile
	for _, f := range listing {
		if f.merged != nil {
			makers = append(makers, f)
		}
	}
	if len(makers) == 0 {
		return listing, nil
	}
	for _, f := range listing {
		until, is := replacedBy(makers, f.path)
		if is {
			gone = append(gone, replaced{f, until})
		} else {
			seen = append(seen, f)
		}
	}
	return seen, gone
}

// replacedBy says whether one of the merged parts replaces a file, and from when on it may be removed.
func replacedBy(makers []openFile, name string) (until time.Time, is bool) {
	k, ok := keyOfPart(name)
	if !ok {
		return until, false
	}
	for _, m := range makers {
		if _, has := m.merged.find(k); has && path.Dir(m.path) == path.Dir(name) && m.path != name {
			if !is || m.merged.until.Before(until) {
				until = m.merged.until
			}
			is = true
		}
	}
	return until, is
}
