package ondemand

import (
	"bytes"
	"strings"
	"sync"
)

// What is kept of standard error: enough for the end of a traceback, whatever the process prints.
const (
	tailBytes = 8 << 10
	tailLines = 20
	tailWidth = 200 // of one line; Python ends a crash with the names of all its modules in one
	lineBytes = 4 << 10
)

// tail keeps the last lines of what is written to it, and hands every line to a function.
type tail struct {
	line func(string) // may be nil

	mu   sync.Mutex
	kept []byte
	open []byte // a line that has no end yet
}

// Write never fails: the process must not be stopped by what it prints.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	t.kept = append(t.kept, p[max(0, len(p)-tailBytes):]...)
	if extra := len(t.kept) - tailBytes; extra > 0 {
		t.kept = append(t.kept[:0], t.kept[extra:]...)
	}
	t.mu.Unlock()
	if t.line != nil {
		t.split(p)
	}
	return len(p), nil
}

// split hands out the lines of p; of a long line its beginning.
func (t *tail) split(p []byte) {
	for {
		end := bytes.IndexByte(p, '\n')
		part := p
		if end >= 0 {
			part = p[:end]
		}
		t.open = append(t.open, part[:min(len(part), lineBytes-len(t.open))]...)
		if end < 0 {
			return
		}
		t.flush()
		p = p[end+1:]
	}
}

// flush hands out the line that has no end yet. Only the one who writes may call it.
func (t *tail) flush() {
	if text := strings.TrimRight(strings.ToValidUTF8(string(t.open), "?"), "\r"); text != "" && t.line != nil {
		t.line(text)
	}
	t.open = t.open[:0]
}

// last returns the last lines written so far.
func (t *tail) last() string {
	t.mu.Lock()
	text := strings.TrimSpace(strings.ToValidUTF8(string(t.kept), "?"))
	t.mu.Unlock()
	lines := strings.Split(text, "\n")
	lines = lines[max(0, len(lines)-tailLines):]
	for i, line := range lines {
		if len(line) > tailWidth {
			lines[i] = strings.ToValidUTF8(line[:tailWidth], "") + "…"
		}
	}
	return strings.Join(lines, "\n")
}
