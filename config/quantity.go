package config

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/flightd/flightd/internal/nearest"
)

// Size is a number of bytes, written 4GiB, 100MB or 4294967296.
type Size int64

var sizeForm = regexp.MustCompile(`^([0-9][0-9_]*) ?([A-Za-z]*)$`)

var units = map[string]int64{
	"": 1, "B": 1,
	"KB": 1e3, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12,
	"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40,
}

// UnmarshalText reads a size. There are no fractions: 1536MiB, not 1.5GiB.
func (s *Size) UnmarshalText(text []byte) error {
	form := sizeForm.FindStringSubmatch(string(text))
	if form == nil {
		return fmt.Errorf("want a size like 512MiB or 4GiB (a whole number and a unit), found %s", nearest.Quote(string(text)))
	}
	unit, ok := units[form[2]]
	if !ok {
		return fmt.Errorf("unknown unit %s; known: B, KB, MB, GB, TB, KiB, MiB, GiB, TiB", nearest.Quote(form[2]))
	}
	n, err := strconv.ParseInt(strings.ReplaceAll(form[1], "_", ""), 10, 64)
	if err != nil || n > math.MaxInt64/unit {
		return fmt.Errorf("the size %s is too large", nearest.Quote(string(text)))
	}
	*s = Size(n * unit)
	return nil
}

func (s Size) String() string {
	for _, unit := range []string{"TiB", "GiB", "MiB", "KiB"} {
		if n := int64(s); n != 0 && n%units[unit] == 0 {
			return strconv.FormatInt(n/units[unit], 10) + unit
		}
	}
	return strconv.FormatInt(int64(s), 10) + "B"
}

var dayForm = regexp.MustCompile(`^([0-9]+)d(.*)$`)

// parseDuration reads Go's durations, with days before the hours: 90m, 36h, 7d, 1d12h. A number alone is refused, for
// it could be seconds or hours, apart from 0.
func parseDuration(text string) (time.Duration, error) {
	rest, negative := strings.CutPrefix(text, "-")
	var days time.Duration
	if form := dayForm.FindStringSubmatch(rest); form != nil {
		n, err := strconv.ParseInt(form[1], 10, 64)
		if err != nil || n > math.MaxInt64/int64(24*time.Hour) {
			return 0, errTooLong(text)
		}
		days, rest = time.Duration(n)*24*time.Hour, form[2]
		if rest == "" {
			rest = "0"
		}
	}
	if strings.HasPrefix(rest, "-") || strings.HasPrefix(rest, "+") {
		return 0, errNoDuration(text)
	}
	d, err := time.ParseDuration(rest)
	switch {
	case err != nil:
		return 0, errNoDuration(text)
	case days > math.MaxInt64-d:
		return 0, errTooLong(text)
	case negative && days+d != 0:
		return 0, errors.New("it must not be negative")
	}
	return days + d, nil
}

func errNoDuration(text string) error {
	return fmt.Errorf("want a duration like 30s, 15m, 24h or 7d, found %s", nearest.Quote(text))
}

func errTooLong(text string) error {
	return fmt.Errorf("the duration %s is too long; the longest is 106751d", nearest.Quote(text))
}
