package filestore

import (
	"encoding/base64"
	"encoding/binary"

	"github.com/flightd/flightd/internal/rowdigest"
)

// ledgerKey is the footer's key for the last writes to a file, the oldest first.
const ledgerKey = "flightd.writes"

// ledgerMost is how many writes to a file are remembered.
const ledgerMost = 10_000

// ledger is the writes that a file holds. It is part of the file, so that it changes with the rows, in one step.
type ledger struct {
	entries []entry
	byKey   map[key]int
}

type entry struct {
	key     key
	content [16]byte
	rows    int64
}

// parseLedger reads what String has written.
func parseLedger(text string) *ledger {
	l := &ledger{byKey: make(map[key]int)}
	for _, e := range parseEntries(text) {
		l.add(e)
	}
	return l
}

func (l *ledger) add(e entry) {
	l.byKey[e.key] = len(l.entries)
	l.entries = append(l.entries, e)
}

func (l *ledger) find(k key) (entry, bool) {
	i, ok := l.byKey[k]
	if !ok {
		return entry{}, false
	}
	return l.entries[i], true
}

// has says whether an entry is of rows with this digest.
func (e entry) has(content rowdigest.Digest) bool { return e.content == [16]byte(content[:16]) }

// String is the last of the entries.
func (l *ledger) String() string { return formatEntries(l.entries[max(0, len(l.entries)-ledgerMost):]) }

// formatEntries writes entries as a text for a footer: base64 of a version and, for each entry, its key, the first half of
// its content digest and the number of its rows.
func formatEntries(entries []entry) string {
	raw := []byte{1}
	for _, e := range entries {
		raw = append(append(raw, e.key[:]...), e.content[:]...)
		raw = binary.AppendUvarint(raw, uint64(e.rows))
	}
	return base64.StdEncoding.EncodeToString(raw)
}

// parseEntries reads what formatEntries has written. A text that makes no sense, which some other program would have had to
// write, has none.
func parseEntries(text string) (entries []entry) {
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(raw) == 0 || raw[0] != 1 {
		return nil
	}
	for raw = raw[1:]; len(raw) > 32; {
		e := entry{key: key(raw[:16]), content: [16]byte(raw[16:32])}
		rows, n := binary.Uvarint(raw[32:])
		if n <= 0 {
			break
		}
		e.rows, raw = int64(rows), raw[32+n:]
		entries = append(entries, e)
	}
	return entries
}
