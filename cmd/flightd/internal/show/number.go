package show

import (
	"fmt"
	"time"

	"github.com/dustin/go-humanize"
)

// Count writes a number with its unit: "1 row", "20,000 rows".
func Count(n int64, unit string) string {
	if n == 1 {
		return "1 " + unit
	}
	return humanize.Comma(n) + " " + unit + "s"
}

// Bytes writes a size: "5.4 MiB".
func Bytes(n int64) string { return humanize.IBytes(uint64(max(n, 0))) }

// Rate writes how long rows took, and how many that is a second: "0.21 s (95,238 rows/s)". Few rows have no rate: what they
// took is mostly the way there and back.
func Rate(rows int64, took time.Duration) string {
	seconds := max(took.Seconds(), 1e-6)
	text := fmt.Sprintf("%.2f s", seconds)
	if rows >= 1000 {
		text += fmt.Sprintf(" (%s rows/s)", humanize.Comma(int64(float64(rows)/seconds)))
	}
	return text
}

// Share writes a part of a whole as a percentage, "-" of nothing. What is not quite all or none never looks like it.
func Share(part, whole int64) string {
	if whole == 0 {
		return "-"
	}
	percent := 100 * float64(part) / float64(whole)
	switch {
	case part > 0 && percent < 0.1:
		return "<0.1 %"
	case part < whole && percent > 99.9:
		return ">99.9 %"
	}
	return fmt.Sprintf("%.1f %%", percent)
}
