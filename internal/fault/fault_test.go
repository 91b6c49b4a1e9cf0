package fault

import (
	"errors"
	"fmt"
	"io/fs"
	"testing"
)

func TestKindOf(t *testing.T) {
	for _, c := range []struct {
		err  error
		want Kind
	}{
		{New(DataLoss, "broken"), DataLoss},
		{fmt.Errorf("view: %w", New(DataLoss, "broken")), DataLoss},
		{fmt.Errorf("%w: line 3", DataLoss), DataLoss}, // as a store of another module says it
		{fmt.Errorf("scan: %w", fmt.Errorf("%w: line 3: %w", DataLoss, fs.ErrNotExist)), DataLoss},
		{New(Precondition, "replaced: %w", New(DataLoss, "broken")), Precondition},
		{fmt.Errorf("%w: replaced: %w", Precondition, New(DataLoss, "broken")), Precondition},
		{fmt.Errorf("open: %w", fs.ErrNotExist), NotFound},
		{fmt.Errorf("open: %w", fs.ErrPermission), Forbidden},
		{fmt.Errorf("append: %w", errors.ErrUnsupported), Unimplemented},
		{errors.New("anything"), Unknown},
		{nil, Unknown},
	} {
		if got := KindOf(c.err); got != c.want {
			t.Errorf("%v is %q, want %q", c.err, got, c.want)
		}
	}
}
