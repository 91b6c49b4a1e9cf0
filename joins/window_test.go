package joins

import (
	"fmt"
	"testing"
)

// The row groups of one file go to shares in turn, whatever is in its name.
func TestShareOfRowGroups(t *testing.T) {
	for _, path := range []string{"a.parquet", "day#1/a.parquet", "a#b#.parquet"} {
		var count [4]int
		for group := range 8 {
			for i := range count {
				if (Share{Index: i, Of: len(count)}).has(fmt.Sprintf("%s#%d", path, group)) {
					count[i]++
				}
			}
		}
		if count != [4]int{2, 2, 2, 2} {
			t.Errorf("%s: the shares have %v of 8 row groups", path, count)
		}
	}
}
