package joins_test

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/flightd/flightd/joins"
)

// Rows that won are listed part by part, ascending and each once, whether they lie close together or far apart.
func TestRowsByPart(t *testing.T) {
	eachSeed(t, func(t *testing.T, rng *rand.Rand) {
		spans := make([]int64, 1+rng.IntN(5)) // of the rows of each part
		for i := range spans {
			spans[i] = 1 + rng.Int64N(pickOf(rng, 10, 1000, 1<<40))
		}
		winners := make([]joins.Position, rng.IntN(300))
		want, won := make(map[int]joins.Position), make(map[int][]joins.Position)
		for i := range winners {
			part := rng.IntN(len(spans))
			if winners[i] = joins.NoWinner; rng.IntN(4) > 0 {
				winners[i] = joins.At(part, rng.Int64N(spans[part]))
				want[i] = winners[i]
				won[part] = append(won[part], winners[i])
			}
		}
		all, got, err := joins.RowsByPart(winners)
		if err != nil || !maps.Equal(got, want) {
			t.Errorf("%v, rows of entities %v, want %v", err, got, want)
		}
		for _, part := range slices.Sorted(maps.Keys(won)) {
			slices.Sort(won[part])
			if rows := slices.Compact(won[part]); len(all) == 0 || !slices.Equal(all[0], rows) {
				t.Fatalf("parts %v, want next %v", all, rows)
			}
			all = all[1:]
		}
		if len(all) > 0 {
			t.Errorf("more parts than won: %v", all)
		}
	})
}

func pickOf(rng *rand.Rand, from ...int64) int64 { return from[rng.IntN(len(from))] }
