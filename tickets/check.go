package tickets

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// MaxParts bounds the number of shares of one answer.
const MaxParts = 1 << 16

// maxIDBytes bounds the ids that clients choose or give back.
const maxIDBytes = 256

// anyCall stands for "whatever call it may be meant for".
const anyCall Call = ""

// check enforces the rules that decoding does not see: those between keys, and those that depend on the call.
func (t *Ticket) check(call Call) error {
	kinds := t.kinds()
	accepted := takes[call]
	if call == anyCall {
		accepted = slices.Concat(takes[GetFlightInfo], takes[DoPut])
	}
	if len(kinds) != 1 {
		return errorf("", "exactly one of the keys %s is needed, found %s", enumerate(accepted), enumerate(kinds))
	}
	if !slices.Contains(accepted, kinds[0]) {
		return errorf(kinds[0], "%s takes %s; this key belongs to %s", call, enumerate(accepted), callsFor(kinds[0]))
	}
	if err := t.checkParts(call, kinds[0]); err != nil {
		return err
	}
	switch {
	case t.Historical != nil:
		return t.Historical.check(call)
	case t.Latest != nil:
		l := t.Latest
		return first(name("latest.view", l.View), distinct("latest.features", l.Features), window("latest", l.Start, l.End))
	case t.All != nil:
		a := t.All
		return first(name("all.view", a.View), distinct("all.features", a.Features), window("all", a.Start, a.End),
			optionalPart("all.part", a.Part))
	case t.Write != nil:
		return first(name("write.view", t.Write.View), id("write.request_id", t.Write.RequestID))
	case t.Log != nil:
		return first(name("log.feature_service", t.Log.FeatureService), id("log.request_id", t.Log.RequestID))
	}
	return nil // entity_rows has no keys
}

func (t *Ticket) checkParts(call Call, kind string) error {
	switch {
	case t.Parts == 0:
		return nil
	case call != GetFlightInfo && call != anyCall:
		return errorf("parts", "it belongs to GetFlightInfo alone; %s asks for one share with the key part", call)
	case t.Historical == nil && t.All == nil:
		return errorf("parts", "it cannot stand beside %s, whose answer is not divided into shares", kind)
	case t.Historical != nil && t.Historical.Part != Part{}, t.All != nil && t.All.Part != Part{}:
		return errorf("parts", "it cannot stand beside %s.part: a share is not divided again", kind)
	case t.Parts < 1 || t.Parts > MaxParts:
		return errorf("parts", "want 1 to %d, found %d", MaxParts, t.Parts)
	}
	return nil
}

func (h *Historical) check(call Call) error {
	switch {
	case h.Features == nil && h.FeatureService == "":
		return errorf("historical", "one of features and feature_service is needed")
	case h.Features != nil && h.FeatureService != "":
		return errorf("historical", "features and feature_service cannot stand together; a service is its own list of features")
	case h.FeatureService != "":
		if err := name("historical.feature_service", h.FeatureService); err != nil {
			return err
		}
	}
	for i, ref := range h.Features {
		if _, err := ParseFeatureRef(ref.String()); err != nil {
			return under(fmt.Sprintf("historical.features[%d]", i), err)
		}
	}
	return first(
		distinct("historical.features", h.Features),
		h.checkRows(call),
		id("historical.entity_rows_id", h.EntityRowsID),
		window("historical", h.Start, h.End),
		optionalName("historical.timestamp", h.Timestamp),
		optionalPart("historical.part", h.Part),
	)
}

// checkRows sees to it that the entity rows come in one way, and that no key stands by that means nothing for that way.
func (h *Historical) checkRows(call Call) error {
	var forms []string
	if h.EntityRows != nil {
		forms = append(forms, "entity_rows")
	}
	if h.EntityRowsID != "" {
		forms = append(forms, "entity_rows_id")
	}
	if call == DoExchange {
		forms = append(forms, "the rows that are streamed")
	}
	fromViews := h.windowKeys()
	switch {
	case len(forms) > 1:
		return errorf("historical", "entity rows come in one way, found %s", strings.Join(forms, " and "))
	case len(forms) == 1 && len(fromViews) > 0:
		return errorf("historical."+fromViews[0], "it cannot stand beside %s; it is for requests without entity rows", forms[0])
	case len(forms) == 1 && h.EntityRows != nil && len(h.EntityRows) == 0:
		return errorf("historical.entity_rows", "it is empty; an Arrow IPC stream is needed, even for no rows")
	case len(forms) == 1:
		return nil
	case len(fromViews) == 0 && (call == GetSchema || call == anyCall):
		return nil
	case len(fromViews) == 0:
		return errorf("historical", "there are no entity rows; give entity_rows, entity_rows_id or end, or stream them with DoExchange")
	case h.End.IsZero():
		return errorf("historical.end", "it is needed, because there are no entity rows and %s is given", fromViews[0])
	case h.Mode != "" && h.Mode != Timeline && h.Mode != Snapshot:
		return errorf("historical.mode", "unknown mode %s; %s",
			quote(string(h.Mode)), suggest(string(h.Mode), []string{string(Timeline), string(Snapshot)}))
	case h.Timestamp != "":
		return errorf("historical.timestamp", "it names a column of entity rows, and there are none; the times come from the views")
	}
	return nil
}

// windowKeys lists the keys given of those that stand for entity rows made from the views.
func (h *Historical) windowKeys() (given []string) {
	if h.Mode != "" {
		given = append(given, "mode")
	}
	if !h.Start.IsZero() {
		given = append(given, "start")
	}
	if !h.End.IsZero() {
		given = append(given, "end")
	}
	return given
}

func optionalPart(key string, p Part) error {
	if p == (Part{}) {
		return nil
	}
	return p.check(key)
}

func (p Part) check(key string) error {
	if p.Of < 1 || p.Of > MaxParts || p.Index < 0 || p.Index >= p.Of {
		return errorf(key, "want [i, n] with 0 <= i < n and n at most %d, found [%d, %d]", MaxParts, p.Index, p.Of)
	}
	return nil
}

// window checks two bounds, each of which may be absent.
func window(key string, start, end time.Time) error {
	for _, bound := range []struct {
		key string
		t   time.Time
	}{{"start", start}, {"end", end}} {
		if !bound.t.IsZero() && !timeInRange(bound.t) {
			return errorf(key+"."+bound.key, "the time is not within the years 1 to 9999")
		}
	}
	if !start.IsZero() && !end.IsZero() && start.After(end) {
		return errorf(key+".start", "%s is after the end, %s", start.UTC().Format(time.RFC3339Nano), end.UTC().Format(time.RFC3339Nano))
	}
	return nil
}

// distinct checks a list of features: nil is all of them, but an empty list and the same one twice are mistakes.
func distinct[T string | FeatureRef](key string, features []T) error {
	if features != nil && len(features) == 0 {
		return errorf(key, "the list is empty; name at least one feature")
	}
	at := make(map[T]int, len(features))
	for i, f := range features {
		text := fmt.Sprint(f)
		if err := name(fmt.Sprintf("%s[%d]", key, i), text); err != nil {
			return err
		}
		if before, twice := at[f]; twice {
			return errorf(fmt.Sprintf("%s[%d]", key, i), "%s is there already, at [%d]", quote(text), before)
		}
		at[f] = i
	}
	return nil
}

// name checks a required name. Decoding has seen to most of this; tickets made by hand have not been decoded.
func name(key, s string) error {
	if s == "" {
		return errorf(key, "it is needed")
	}
	return optionalName(key, s)
}

func optionalName(key, s string) error {
	if !utf8.ValidString(s) {
		return errorf(key, "%s is not UTF-8", quote(s))
	}
	return nil
}

// id checks an optional id, which ends up in logs, metadata and file footers.
func id(key, s string) error {
	if err := optionalName(key, s); err != nil {
		return err
	}
	if len(s) > maxIDBytes {
		return errorf(key, "at most %d bytes are allowed, found %d", maxIDBytes, len(s))
	}
	if strings.ContainsFunc(s, unicode.IsControl) {
		return errorf(key, "control characters are not allowed, found %s", quote(s))
	}
	return nil
}

// under puts the errors of a value's own parser under the key that the value has in the ticket.
func under(key string, err error) error {
	var e *Error
	if errors.As(err, &e) {
		return &Error{Key: key, Message: e.Message}
	}
	return err
}

// first returns the first error there is.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// enumerate joins a few keys for a message: "a, b and c", "none".
func enumerate(keys []string) string {
	switch n := len(keys); n {
	case 0:
		return "none"
	case 1:
		return keys[0]
	default:
		return strings.Join(keys[:n-1], ", ") + " and " + keys[n-1]
	}
}
