package rowfile

import (
	"strings"
	"time"
)

// moment is a date or a time as CSV files write it.
type moment struct {
	at    time.Time // in UTC; without a zone the time is taken as UTC
	zoned bool      // an offset was given
	date  bool      // there was no time of day
}

// parseMoment reads ISO 8601: 2024-01-31, 2024-01-31 12:00, 2024-01-31T12:00:00.123Z, 2024-01-31 12:00:00+02:00. It takes
// what pandas, DuckDB, Spark and PostgreSQL write, and nothing that could mean two things. Fractions end at nine digits.
func parseMoment(s string) (m moment, ok bool) {
	c := cursor{rest: s}
	year, month, day := c.digits(4), 0, 0
	c.want('-')
	month = c.digits(2)
	c.want('-')
	day = c.digits(2)
	if c.bad {
		return m, false
	}
	if c.rest == "" {
		m.date = true
		return m.build(year, month, day, 0, 0, 0, 0, 0)
	}
	c.either('T', ' ')
	hour := c.digits(2)
	c.want(':')
	minute, second, nanos := c.digits(2), 0, 0
	if c.skip(':') {
		second = c.digits(2)
		if c.skip('.') {
			nanos = c.fraction()
		}
	}
	offset := 0
	offset, m.zoned = c.offset()
	if c.bad || c.rest != "" {
		return m, false
	}
	return m.build(year, month, day, hour, minute, second, nanos, offset)
}

// build refuses what the calendar does not have; the standard library would make the 31st of June the 1st of July.
func (m moment) build(year, month, day, hour, minute, second, nanos, offset int) (moment, bool) {
	t := time.Date(year, time.Month(month), day, hour, minute, second, nanos, time.UTC)
	if year < 1 || t.Month() != time.Month(month) || t.Day() != day || t.Hour() != hour || t.Minute() != minute || t.Second() != second {
		return m, false
	}
	m.at = t.Add(-time.Duration(offset) * time.Minute)
	return m, true
}

// cursor reads a text from left to right. After the first thing that does not fit it is bad.
type cursor struct {
	rest string
	bad  bool
}

func (c *cursor) digits(n int) int {
	if len(c.rest) < n {
		c.bad = true
		return 0
	}
	v := 0
	for _, d := range []byte(c.rest[:n]) {
		if d < '0' || d > '9' {
			c.bad = true
			return 0
		}
		v = 10*v + int(d-'0')
	}
	c.rest = c.rest[n:]
	return v
}

func (c *cursor) skip(b byte) bool {
	if c.rest == "" || c.rest[0] != b {
		return false
	}
	c.rest = c.rest[1:]
	return true
}

func (c *cursor) want(b byte) { c.bad = !c.skip(b) || c.bad }

func (c *cursor) either(a, b byte) { c.bad = !c.skip(a) && !c.skip(b) || c.bad }

// fraction reads the digits after the point as nanoseconds.
func (c *cursor) fraction() int {
	n := 0
	for n < len(c.rest) && c.rest[n] >= '0' && c.rest[n] <= '9' {
		n++
	}
	if n == 0 || n > 9 {
		c.bad = true
		return 0
	}
	v := c.digits(n)
	for ; n < 9; n++ {
		v *= 10
	}
	return v
}

// offset reads Z, UTC, +02:00, +0200 or +02, with or without a space before it, in minutes. Nothing left is no offset.
func (c *cursor) offset() (minutes int, zoned bool) {
	if c.bad || c.rest == "" {
		return 0, false
	}
	c.rest = strings.TrimPrefix(c.rest, " ")
	if c.rest == "Z" || c.rest == "UTC" {
		c.rest = ""
		return 0, true
	}
	sign := 1
	if c.skip('-') {
		sign = -1
	} else {
		c.want('+')
	}
	hours := c.digits(2)
	if c.rest != "" {
		c.skip(':')
		minutes = c.digits(2)
	}
	if hours > 23 || minutes > 59 {
		c.bad = true
	}
	return sign * (60*hours + minutes), true
}
