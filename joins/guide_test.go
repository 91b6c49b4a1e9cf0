package joins

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestGuide: however times lie, a guide counts as many below as a look at all of them.
func TestGuide(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	spread := func(n int, next func(i int) int64) []int64 {
		all := make([]int64, n)
		for i := range all {
			all[i] = next(i)
		}
		slices.Sort(all)
		return all
	}
	for name, bounds := range map[string][]int64{
		"one":         {7},
		"all equal":   spread(1000, func(int) int64 { return -3 }),
		"all that is": {math.MinInt64, math.MinInt64, -1, 0, 1, math.MaxInt64 - 1, math.MaxInt64},
		"even":        spread(5000, func(int) int64 { return rng.Int64N(1 << 40) }),
		"one far off": spread(1000, func(i int) int64 { return int64(i/999) << 62 }),
		"clusters":    spread(3000, func(i int) int64 { return int64(i%3)<<50 + rng.Int64N(100) }),
		"anywhere":    spread(3000, func(int) int64 { return int64(rng.Uint64()) }),
	} {
		g := newGuide(bounds)
		ask := append([]int64{math.MinInt64, -1, 0, 1, math.MaxInt64}, bounds...)
		for _, b := range bounds {
			ask = append(ask, b-1, b+1)
		}
		for _, v := range ask[:min(len(ask), 4000)] {
			want := uint32(0)
			for want < uint32(len(bounds)) && bounds[want] < v {
				want++
			}
			if got := g.countBelow(bounds, v); got != want {
				t.Fatalf("%s: %d below %d, want %d", name, got, v, want)
			}
		}
	}
}
