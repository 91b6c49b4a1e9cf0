package tickets

import (
	"regexp"
	"time"
)

// rfc3339 is the form of a time: fraction and offset are the groups. The standard library takes more than that, hours of
// one digit and a comma for the point among them, and cuts fractions at nine digits.
var rfc3339 = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?$`)

// ParseTime reads an RFC 3339 time; without an offset it is UTC. The result is in UTC and exact to the nanosecond.
func ParseTime(text string) (time.Time, error) {
	const wanted = "want a time like 2024-01-31T12:00:00Z (RFC 3339; without an offset it is UTC), found %s"
	form := rfc3339.FindStringSubmatch(text)
	if form == nil {
		return time.Time{}, errorf("", wanted, quote(text))
	}
	fraction, offset := form[1], form[2]
	if len(fraction) > len(".123456789") {
		return time.Time{}, errorf("", "the time %s is finer than nanoseconds", quote(text))
	}
	withOffset := text
	if offset == "" {
		withOffset += "Z"
	}
	t, err := time.Parse(time.RFC3339Nano, withOffset)
	if err != nil {
		return time.Time{}, errorf("", wanted, quote(text))
	}
	if !timeInRange(t) {
		return time.Time{}, errorf("", "the time %s does not lie after 0001-01-01T00:00:00Z and before the year 10000", quote(text))
	}
	return t.UTC(), nil
}

// timeInRange keeps out what the wire form cannot say, and the zero time, which stands for a time that is not given.
func timeInRange(t time.Time) bool {
	year := t.UTC().Year()
	return !t.IsZero() && 1 <= year && year <= 9999
}
