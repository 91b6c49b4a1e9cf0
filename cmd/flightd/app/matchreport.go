package app

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/dustin/go-humanize"

	"github.com/flightd/flightd/cmd/flightd/internal/show"
)

// matchReport says, for each view, for how many entity rows a value was found, and why not for the others.
type matchReport struct {
	Views map[string]struct {
		Rows       int64 `json:"rows"`
		Matched    int64 `json:"matched"`
		Expired    int64 `json:"expired"`
		NotYet     int64 `json:"not_yet"`
		UnknownKey int64 `json:"unknown_key"`
		NullKey    int64 `json:"null_key"`
	} `json:"views"`
}

// newMatchReport reads the metadata of an answer; nil if there was none.
func newMatchReport(metadata []byte) (*matchReport, error) {
	if metadata == nil {
		return nil, nil
	}
	r := new(matchReport)
	if err := json.Unmarshal(metadata, r); err != nil {
		return nil, fmt.Errorf("the server's match report: %w", err)
	}
	return r, nil
}

// oneLine is the width of a screen that has room for counts and percentages beside each other.
const oneLine = 110

// print writes the report as a table; a report that is not there writes nothing.
func (r *matchReport) print(w *os.File) error {
	if r == nil {
		return nil
	}
	t := &show.Table{Columns: []show.Column{{Name: "match report"}}}
	for _, name := range []string{"rows", "matched", "expired", "not_yet", "unknown_key", "null_key"} {
		t.Columns = append(t.Columns, show.Column{Name: name, Right: true})
	}
	width := show.Width(w)
	for _, view := range slices.Sorted(maps.Keys(r.Views)) {
		v := r.Views[view]
		row, shares := []string{view, humanize.Comma(v.Rows)}, []string{"", ""}
		for _, n := range []int64{v.Matched, v.Expired, v.NotYet, v.UnknownKey, v.NullKey} {
			row, shares = append(row, humanize.Comma(n)), append(shares, show.Share(n, v.Rows))
		}
		if width < oneLine {
			t.Rows = append(t.Rows, row, shares)
			continue
		}
		for i := 2; i < len(row); i++ {
			row[i] += " (" + shares[i] + ")"
		}
		t.Rows = append(t.Rows, row)
	}
	fmt.Fprintln(w)
	_, err := t.Render(w, width)
	return err
}
