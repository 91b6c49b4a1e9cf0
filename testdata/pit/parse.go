package pit

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/flightd/flightd/internal/fault"
)

type line struct {
	number int
	text   string
}

// Parse reads the text of a vector. Whatever it does not know is an error with the number of the line.
func Parse(name, text string) (Vector, error) {
	v := Vector{Name: name}
	comment, blocks := cut(text)
	v.Comment = comment
	for _, block := range blocks {
		if err := v.block(block); err != nil {
			return Vector{}, fmt.Errorf("%s.pit, block at line %d: %w", name, block[0].number, err)
		}
	}
	for _, s := range v.Steps {
		if s.Err == nil && s.Want.Schema == nil {
			return Vector{}, fmt.Errorf("%s.pit, line %d: the request has no `want` and no `error`", name, s.Line)
		}
		if s.Report != nil && len(s.Report) == 0 {
			return Vector{}, fmt.Errorf("%s.pit, line %d: the request has no `report` after it", name, s.Line)
		}
	}
	if len(v.Steps) == 0 {
		return Vector{}, fmt.Errorf("%s.pit: nothing is asked", name)
	}
	return v, nil
}

// cut takes the comments out and makes blocks of the lines between empty ones.
func cut(text string) (comment string, blocks [][]line) {
	var said []string
	var block []line
	for i, raw := range append(strings.Split(text, "\n"), "") {
		l := strings.TrimSpace(raw)
		switch {
		case strings.HasPrefix(l, "#"):
			if len(blocks) == 0 {
				said = append(said, strings.TrimSpace(l[1:]))
			}
		case l != "":
			block = append(block, line{i + 1, l})
		case block != nil:
			blocks, block = append(blocks, block), nil
		}
	}
	return strings.Join(said, "\n"), blocks
}

// block reads one block: a word that says what it is, options, and the lines of a table.
func (v *Vector) block(lines []line) error {
	word, rest, _ := strings.Cut(lines[0].text, " ")
	if word == "report" {
		return v.report(lines)
	}
	if word == "error" {
		return v.refusal(rest, lines)
	}
	o := parseOptions(rest)
	body := lines[1:]
	var err error
	switch word {
	case "view":
		err = v.view(o, body)
	case "alias":
		err = v.alias(o, body)
	case "want":
		err = v.want(o, body)
	default:
		err = v.step(Kind(word), lines[0].number, o, body)
	}
	if err != nil {
		return err
	}
	return o.unused()
}

func (v *Vector) view(o *options, body []line) error {
	w := View{
		Name: o.word(), Keys: o.list("keys"), Timestamp: o.value("timestamp"), Created: o.value("created"),
		Features: o.list("features"),
	}
	var err error
	if w.FieldMapping, err = o.pairs("field_mapping"); err != nil {
		return err
	}
	if ttl := o.value("ttl"); ttl != "" {
		if w.TTL, err = time.ParseDuration(ttl); err != nil {
			return err
		}
	}
	if w.Name == "" || w.Timestamp == "" {
		return fmt.Errorf("a view needs a name and timestamp=")
	}
	w.Source, err = parseTable(body)
	v.Views = append(v.Views, w)
	return err
}

func (v *Vector) alias(o *options, body []line) error {
	a := Alias{Name: o.word(), View: o.value("of")}
	var err error
	a.JoinKeyMap, err = o.pairs("join_key_map")
	v.Aliases = append(v.Aliases, a)
	if !slices.ContainsFunc(v.Views, func(w View) bool { return w.Name == a.View }) {
		return fmt.Errorf("alias %q is of=%q, which is not a view above", a.Name, a.View)
	}
	if len(body) > 0 {
		return fmt.Errorf("an alias has no table")
	}
	return err
}

func (v *Vector) step(kind Kind, number int, o *options, body []line) error {
	s := Step{
		Line: number, Kind: kind, FullFeatureNames: o.flag("full_feature_names"), KnownAt: o.flag("known_at"),
		Timestamp: o.value("timestamp"),
	}
	if o.flag("report") {
		s.Report = []ViewReport{}
	}
	var err error
	if s.Start, err = o.time("start"); err != nil {
		return err
	}
	if s.End, err = o.time("end"); err != nil {
		return err
	}
	if parts := o.value("parts"); parts != "" {
		if s.Parts, err = strconv.Atoi(parts); err != nil {
			return err
		}
	}
	switch kind {
	case KindHistorical:
		s.Features = o.words()
		s.Entities, err = parseTable(body)
		body = nil
	case KindTimeline, KindSnapshot:
		s.Features = o.words()
	case KindLatest, KindAll:
		s.View, s.Features = o.word(), o.list("features")
	default:
		return fmt.Errorf("%q is none of view, alias, historical, timeline, snapshot, latest, all, want, error, report", kind)
	}
	if len(body) > 0 {
		return fmt.Errorf("%s has no table of its own", kind)
	}
	v.Steps = append(v.Steps, s)
	return err
}

// last is the step that an answer belongs to.
func (v *Vector) last() (*Step, error) {
	if len(v.Steps) == 0 {
		return nil, fmt.Errorf("an answer before any request")
	}
	return &v.Steps[len(v.Steps)-1], nil
}

func (v *Vector) want(o *options, body []line) error {
	s, err := v.last()
	if err != nil {
		return err
	}
	if s.Want.Schema != nil || s.Err != nil {
		return fmt.Errorf("a second answer to one request")
	}
	s.Unordered = o.flag("unordered")
	s.Want, err = parseTable(body)
	return err
}

// refusals are the kinds of errors by the first word of their text.
var refusals = map[string]fault.Kind{
	"invalid": fault.Invalid, "not_found": fault.NotFound, "precondition": fault.Precondition,
	"exhausted": fault.Exhausted, "unimplemented": fault.Unimplemented,
}

func (v *Vector) refusal(rest string, lines []line) error {
	s, err := v.last()
	if err != nil {
		return err
	}
	cells := split(rest)
	kind, ok := refusals[cells[0]]
	if !ok || len(lines) > 1 || s.Want.Schema != nil || s.Err != nil {
		return fmt.Errorf("error needs a kind and texts: error invalid, \"text\"; once for each request")
	}
	s.Err = &Error{Kind: kind}
	for _, cell := range cells[1:] {
		text, err := strconv.Unquote(cell)
		if err != nil {
			return fmt.Errorf("%s: %w", cell, err)
		}
		s.Err.Texts = append(s.Err.Texts, text)
	}
	return nil
}

func (v *Vector) report(lines []line) error {
	s, err := v.last()
	if err != nil {
		return err
	}
	if s.Report == nil {
		return fmt.Errorf("the request does not ask for a report")
	}
	for _, l := range lines {
		o := parseOptions(strings.TrimPrefix(l.text, "report"))
		r := ViewReport{View: o.word()}
		for name, count := range map[string]*int64{
			"matched": &r.Matched, "expired": &r.Expired, "not_yet": &r.NotYet,
			"unknown_key": &r.UnknownKey, "null_key": &r.NullKey,
		} {
			if text := o.value(name); text != "" {
				if *count, err = strconv.ParseInt(text, 10, 64); err != nil {
					return err
				}
			}
		}
		if err := o.unused(); err != nil {
			return err
		}
		s.Report = append(s.Report, r)
	}
	return nil
}
