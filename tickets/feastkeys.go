package tickets

import (
	"bytes"
	"encoding/json"
	"regexp"
	"time"
)

// maxSkippedDepth bounds how deep the value of an unknown key may nest.
const maxSkippedDepth = 64

// feastHead is what every command has.
type feastHead struct {
	api       FeastAPI
	commandID string
}

var feastHeadKeys = keys[feastHead]{
	"api":        set(func(h *feastHead) *FeastAPI { return &h.api }, (*decoder).feastAPI),
	"command_id": set(func(h *feastHead) *string { return &h.commandID }, (*decoder).feastID),
}

var feastHistoricalKeys = keys[FeastHistorical]{
	"feature_view_names":          set(func(h *FeastHistorical) *[]string { return &h.FeatureViewNames }, (*decoder).feastNames),
	"name_aliases":                set(func(h *FeastHistorical) *[]string { return &h.NameAliases }, (*decoder).feastAliases),
	"feature_refs":                set(func(h *FeastHistorical) *[]FeastRef { return &h.FeatureRefs }, (*decoder).feastRefs),
	"project":                     set(func(h *FeastHistorical) *string { return &h.Project }, (*decoder).feastText),
	"full_feature_names":          set(func(h *FeastHistorical) *bool { return &h.FullFeatureNames }, (*decoder).feastFlag),
	"start_date":                  set(func(h *FeastHistorical) *time.Time { return &h.Start }, (*decoder).feastStart),
	"end_date":                    set(func(h *FeastHistorical) *time.Time { return &h.End }, (*decoder).feastEnd),
	"entity_df_sql":               set(func(h *FeastHistorical) *string { return &h.EntitySQL }, (*decoder).feastText),
	"filter_by_created_timestamp": set(func(h *FeastHistorical) *bool { return &h.KnownAt }, (*decoder).feastFlag),
}

var feastPullKeys = keys[FeastPull]{
	"data_source_name":         set(func(p *FeastPull) *string { return &p.DataSourceName }, (*decoder).feastText),
	"join_key_columns":         set(func(p *FeastPull) *[]string { return &p.JoinKeyColumns }, (*decoder).feastNames),
	"feature_name_columns":     set(func(p *FeastPull) *[]string { return &p.FeatureNameColumns }, (*decoder).feastNames),
	"timestamp_field":          set(func(p *FeastPull) *string { return &p.TimestampField }, (*decoder).feastText),
	"created_timestamp_column": set(func(p *FeastPull) *string { return &p.CreatedTimestampColumn }, (*decoder).feastText),
	"start_date":               set(func(p *FeastPull) *time.Time { return &p.Start }, (*decoder).feastStart),
	"end_date":                 set(func(p *FeastPull) *time.Time { return &p.End }, (*decoder).feastEnd),
}

var feastSourceKeys = keys[FeastSource]{
	"data_source_proto": set(func(s *FeastSource) *string { return &s.DataSource }, (*decoder).feastText),
}

var feastWriteKeys = keys[feastWrite]{
	"feature_view_names": set(func(w *feastWrite) *[]string { return &w.views }, (*decoder).feastNames),
	"name_aliases":       set(func(w *feastWrite) *[]string { return &w.aliases }, (*decoder).feastAliases),
}

var feastLogKeys = keys[FeastLog]{
	"feature_service_name": set(func(l *FeastLog) *string { return &l.FeatureService }, (*decoder).feastText),
}

var feastPersistKeys = keys[feastPersist]{
	"data_source_name": set(func(p *feastPersist) *string { return &p.destination }, (*decoder).feastText),
	"allow_overwrite":  set(func(p *feastPersist) *bool { return &p.overwrite }, (*decoder).feastFlag),
	"retrieve_func":    set(func(p *feastPersist) *string { return &p.retrieve }, (*decoder).feastText),
}

func (d *decoder) feastAPI() (FeastAPI, error) {
	text, err := d.feastText()
	return FeastAPI(text), err
}

// feastID reads an id that will stand in logs and perhaps in the footers of files.
func (d *decoder) feastID() (string, error) {
	text, err := d.feastText()
	if err != nil {
		return "", err
	}
	return text, id(d.path, text)
}

// feastText reads a string, null for the empty one.
func (d *decoder) feastText() (string, error) {
	token, err := d.token()
	if err != nil || token == nil {
		return "", err
	}
	text, ok := token.(string)
	if !ok {
		return "", d.errorf("want a string, found %s", describe(token))
	}
	return text, nil
}

// feastFlag reads a truth value, null for false.
func (d *decoder) feastFlag() (bool, error) {
	token, err := d.token()
	if err != nil || token == nil {
		return false, err
	}
	flag, ok := token.(bool)
	if !ok {
		return false, d.errorf("want true or false, found %s", describe(token))
	}
	return flag, nil
}

// feastNames reads a list of names, null for none.
func (d *decoder) feastNames() ([]string, error) {
	return feastList(d, func(d *decoder) (string, error) {
		text, err := d.feastText()
		if err == nil && text == "" {
			err = d.errorf("a name is needed")
		}
		return text, err
	})
}

// feastAliases reads a list of names, each of which may be null.
func (d *decoder) feastAliases() ([]string, error) { return feastList(d, (*decoder).feastText) }

func (d *decoder) feastRefs() ([]FeastRef, error) {
	return feastList(d, func(d *decoder) (FeastRef, error) {
		text, err := d.feastText()
		if err != nil {
			return FeastRef{}, err
		}
		ref, err := ParseFeastRef(text)
		return ref, under(d.path, err)
	})
}

// feastList reads a list, null for none.
func feastList[V any](d *decoder, read func(*decoder) (V, error)) ([]V, error) {
	token, err := d.token()
	if err != nil || token == nil {
		return nil, err
	}
	if token != json.Delim('[') {
		return nil, d.errorf("want a list, found %s", describe(token))
	}
	return elements(d, read)
}

func (d *decoder) feastStart() (time.Time, error) {
	return d.feastTime(-1)
}

func (d *decoder) feastEnd() (time.Time, error) {
	return d.feastTime(1)
}

// feastTime reads a date, null for none. Python's earliest datetime is Go's zero time, which stands for "not given", so
// it is moved by a nanosecond to the side where no timestamp can be.
func (d *decoder) feastTime(aside time.Duration) (time.Time, error) {
	text, err := d.feastText()
	if err != nil || text == "" {
		return time.Time{}, err
	}
	t, err := ParseFeastTime(text)
	if err != nil {
		return t, under(d.path, err)
	}
	if t.IsZero() {
		t = t.Add(aside)
	}
	return t, nil
}

// isoformat is how Python writes a datetime, and a little of what it reads besides.
var isoformat = regexp.MustCompile(`^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d)(:\d\d)?(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)?(:\d\d(?:\.\d{1,6})?)?$`)

// ParseFeastTime reads a date as Python's isoformat writes it: without an offset it is UTC, and an offset may have seconds.
// The result is in UTC.
func ParseFeastTime(text string) (time.Time, error) {
	wanted := errorf("", "want a date like 2026-01-31T12:00:00+00:00 (ISO 8601; without an offset it is UTC), found %s", quote(text))
	form := isoformat.FindStringSubmatch(text)
	if form == nil {
		return time.Time{}, wanted
	}
	day, minutes, seconds, fraction, offset, offsetSeconds := form[1], form[2], form[3], form[4], form[5], form[6]
	switch {
	case minutes == "" && offset != "", fraction != "" && seconds == "", offsetSeconds != "" && (offset == "" || offset == "Z"):
		return time.Time{}, wanted
	case minutes == "":
		minutes = "00:00"
	}
	if seconds == "" {
		seconds = ":00"
	}
	if offset == "" {
		offset = "Z"
	}
	t, err := time.Parse(time.RFC3339Nano, day+"T"+minutes+seconds+fraction+offset)
	if err != nil {
		return time.Time{}, wanted
	}
	if offsetSeconds != "" {
		more, err := time.ParseDuration(offsetSeconds[1:] + "s")
		if err != nil || more >= time.Minute {
			return time.Time{}, wanted
		}
		if offset[0] == '-' {
			more = -more
		}
		t = t.Add(-more)
	}
	t = t.UTC()
	if year := t.Year(); year < 1 || year > 9999 {
		return time.Time{}, errorf("", "the date %s is not within the years 1 to 9999", quote(text))
	}
	return t, nil
}

// skip passes over a value, however it looks.
func (d *decoder) skip() error {
	for depth := 0; ; {
		token, err := d.token()
		if err != nil {
			return err
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth > maxSkippedDepth {
			return d.errorf("the value nests deeper than %d levels", maxSkippedDepth)
		}
		if depth == 0 {
			return nil
		}
	}
}

// pythonNumbers makes JSON of what Python's json writes for floats that JSON does not have: bare NaN, Infinity and
// -Infinity. No key whose value matters takes a float, so any number will do.
func pythonNumbers(command []byte) []byte {
	if !bytes.Contains(command, []byte("NaN")) && !bytes.Contains(command, []byte("Infinity")) {
		return command
	}
	var out []byte
	inString := false
	for i := 0; i < len(command); {
		c := command[i]
		switch {
		case inString && c == '\\' && i+1 < len(command):
			out = append(out, c, command[i+1])
			i += 2
			continue
		case c == '"':
			inString = !inString
		case !inString:
			if n := pythonNumber(command, i); n > 0 {
				out = append(out, "0.0"...)
				i += n
				continue
			}
		}
		out = append(out, c)
		i++
	}
	return out
}

// pythonNumber is the length of the word at i if it is one of Python's and stands alone.
func pythonNumber(command []byte, i int) int {
	for _, word := range []string{"NaN", "Infinity", "-Infinity"} {
		end := i + len(word)
		if !bytes.HasPrefix(command[i:], []byte(word)) {
			continue
		}
		if (i == 0 || bytes.IndexByte([]byte("[:, \t\r\n"), command[i-1]) >= 0) &&
			(end == len(command) || bytes.IndexByte([]byte("]}, \t\r\n"), command[end]) >= 0) {
			return len(word)
		}
	}
	return 0
}
