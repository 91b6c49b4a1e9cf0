package tickets

import (
	"encoding/base64"
	"errors"
	"strings"
	"time"
)

var ticketKeys = keys[Ticket]{
	"historical":  nested(func(t *Ticket) **Historical { return &t.Historical }, historicalKeys),
	"latest":      nested(func(t *Ticket) **Latest { return &t.Latest }, latestKeys),
	"all":         nested(func(t *Ticket) **All { return &t.All }, allKeys),
	"write":       nested(func(t *Ticket) **Write { return &t.Write }, writeKeys),
	"log":         nested(func(t *Ticket) **Log { return &t.Log }, logKeys),
	"entity_rows": nested(func(t *Ticket) **EntityRows { return &t.EntityRows }, keys[EntityRows]{}),
	"parts":       set(func(t *Ticket) *int { return &t.Parts }, (*decoder).parts),
}

var historicalKeys = keys[Historical]{
	"features":           set(func(h *Historical) *[]FeatureRef { return &h.Features }, (*decoder).references),
	"feature_service":    set(func(h *Historical) *string { return &h.FeatureService }, (*decoder).text),
	"entity_rows":        set(func(h *Historical) *[]byte { return &h.EntityRows }, (*decoder).base64),
	"entity_rows_id":     set(func(h *Historical) *string { return &h.EntityRowsID }, (*decoder).text),
	"start":              set(func(h *Historical) *time.Time { return &h.Start }, (*decoder).time),
	"end":                set(func(h *Historical) *time.Time { return &h.End }, (*decoder).time),
	"mode":               set(func(h *Historical) *Mode { return &h.Mode }, (*decoder).mode),
	"timestamp":          set(func(h *Historical) *string { return &h.Timestamp }, (*decoder).text),
	"full_feature_names": set(func(h *Historical) *bool { return &h.FullFeatureNames }, (*decoder).boolean),
	"known_at":           set(func(h *Historical) *bool { return &h.KnownAt }, (*decoder).boolean),
	"report":             set(func(h *Historical) *bool { return &h.Report }, (*decoder).boolean),
	"part":               set(func(h *Historical) *Part { return &h.Part }, (*decoder).part),
}

var latestKeys = keys[Latest]{
	"view":     set(func(l *Latest) *string { return &l.View }, (*decoder).text),
	"features": set(func(l *Latest) *[]string { return &l.Features }, (*decoder).names),
	"start":    set(func(l *Latest) *time.Time { return &l.Start }, (*decoder).time),
	"end":      set(func(l *Latest) *time.Time { return &l.End }, (*decoder).time),
}

var allKeys = keys[All]{
	"view":     set(func(a *All) *string { return &a.View }, (*decoder).text),
	"features": set(func(a *All) *[]string { return &a.Features }, (*decoder).names),
	"start":    set(func(a *All) *time.Time { return &a.Start }, (*decoder).time),
	"end":      set(func(a *All) *time.Time { return &a.End }, (*decoder).time),
	"part":     set(func(a *All) *Part { return &a.Part }, (*decoder).part),
}

var writeKeys = keys[Write]{
	"view":       set(func(w *Write) *string { return &w.View }, (*decoder).text),
	"request_id": set(func(w *Write) *string { return &w.RequestID }, (*decoder).text),
}

var logKeys = keys[Log]{
	"feature_service": set(func(l *Log) *string { return &l.FeatureService }, (*decoder).text),
	"request_id":      set(func(l *Log) *string { return &l.RequestID }, (*decoder).text),
}

func (d *decoder) names() ([]string, error) { return list(d, (*decoder).text) }

func (d *decoder) references() ([]FeatureRef, error) {
	return list(d, func(d *decoder) (FeatureRef, error) {
		text, err := d.text()
		if err != nil {
			return FeatureRef{}, err
		}
		ref, err := ParseFeatureRef(text)
		return ref, under(d.path, err)
	})
}

// mode reads a word; which words there are is for check to say.
func (d *decoder) mode() (Mode, error) {
	text, err := d.text()
	return Mode(text), err
}

func (d *decoder) time() (time.Time, error) {
	text, err := d.text()
	if err != nil {
		return time.Time{}, err
	}
	t, err := ParseTime(text)
	return t, under(d.path, err)
}

// parts reads a number that, unlike its zero value, was given.
func (d *decoder) parts() (int, error) {
	n, err := d.integer()
	if err == nil && n == 0 {
		err = d.errorf("want 1 to %d, found 0", MaxParts)
	}
	return n, err
}

func (d *decoder) part() (Part, error) {
	pair, err := list(d, (*decoder).integer)
	switch {
	case err != nil:
		return Part{}, err
	case len(pair) != 2:
		return Part{}, d.errorf("want [i, n], the share and how many there are, found %d numbers", len(pair))
	}
	part := Part{Index: pair[0], Of: pair[1]}
	return part, part.check(d.path) // here already, for [0, 0] looks like no part at all later
}

// base64 reads bytes in the standard alphabet, padded. Of the many ways to write the same bytes exactly one is taken.
func (d *decoder) base64() ([]byte, error) {
	text, err := d.text()
	if err != nil {
		return nil, err
	}
	if at := strings.IndexAny(text, "\r\n"); at >= 0 {
		return nil, d.errorf("the base64 text is broken into lines (at byte %d); write it without line breaks", at)
	}
	data, err := base64.StdEncoding.Strict().DecodeString(text)
	var corrupt base64.CorruptInputError
	switch {
	case err == nil:
		return data, nil
	case strings.ContainsAny(text, "-_"):
		return nil, d.errorf("the base64 text is in the URL alphabet (- and _); write it in the standard one (+ and /)")
	case len(text)%4 != 0 && errors.As(err, &corrupt) && int(corrupt) >= len(text)/4*4:
		return nil, d.errorf("the base64 text has %d characters, not a multiple of four; it is cut off or lacks its padding (=)", len(text))
	}
	return nil, d.errorf("not base64: %v", err)
}
