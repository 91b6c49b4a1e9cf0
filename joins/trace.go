package joins

import (
	"fmt"
	"strings"
)

// Trace says what a call read and how; `flightd explain` and the log line of a call are made of it. A part that is read
// twice, for a timeline say, counts twice.
type Trace struct {
	PartsRead, PartsSkipped int64
	FilesRead, FilesSkipped int64 // skipped: none of its parts was read
	BytesRead, BytesSkipped int64 // of key and time columns, or of all that are asked for, as they are stored; 0: not known
	RowsRead                int64 // rows of key and time columns that were looked at
	Fetched                 int64 // rows of feature columns that were fetched by position
	Plan                    []string
}

// parts notes which of a table's parts are read, and which columns of them. Nil notes nothing.
func (t *Trace) parts(table Table, read []int, columns []string) {
	if t == nil {
		return
	}
	weigh := func(int) int64 { return 0 }
	if w, ok := table.(Weigher); ok {
		weigh = func(part int) int64 { return w.Bytes(part, columns) }
	}
	all := table.Parts()
	isRead := make([]bool, len(all))
	for _, i := range read {
		isRead[i] = true
	}
	files := make(map[string]bool)
	for i, p := range all {
		switch file, _, _ := strings.Cut(p.Name, "#"); {
		case p.Files == 0:
			files[file] = files[file] || isRead[i]
		case isRead[i]:
			t.FilesRead += int64(p.Files)
		default:
			t.FilesSkipped += int64(p.Files)
		}
		if isRead[i] {
			t.PartsRead++
			t.BytesRead += weigh(i)
		} else {
			t.PartsSkipped++
			t.BytesSkipped += weigh(i)
		}
	}
	for _, some := range files {
		if some {
			t.FilesRead++
		} else {
			t.FilesSkipped++
		}
	}
}

// maxPlan bounds the lines of a plan: each pass over the entity rows has its own.
const maxPlan = 4096

// note adds a line to the plan.
func (t *Trace) note(line string) {
	switch n := len(t.Plan); {
	case n < maxPlan:
		t.Plan = append(t.Plan, line)
	case n == maxPlan:
		t.Plan = append(t.Plan, "and so on")
	}
}

// count writes a number with its unit.
func count(n int, unit string) string {
	if n == 1 {
		return "1 " + unit
	}
	return fmt.Sprintf("%d %ss", n, unit)
}
