package filestore_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flightd/flightd/stores"
	"github.com/flightd/flightd/stores/filestore"
)

func TestConfig(t *testing.T) {
	for _, c := range []struct{ root, dir, want, wrong string }{
		{root: "data", dir: "/etc/flightd", want: "/etc/flightd/data"},
		{root: "../data", dir: "/etc/flightd", want: "/etc/data"},
		{root: "/srv/data", dir: "/etc/flightd", want: "/srv/data"},
		{root: ".", dir: "/etc/flightd", want: "/etc/flightd"},
		{root: "", dir: "/etc/flightd", want: "", wrong: "root is missing"},
		{root: "s3://bucket/prefix", dir: "/etc", want: "s3://bucket/prefix", wrong: "s3:// is not there yet"},
		{root: "gs://bucket", dir: "/etc", want: "gs://bucket", wrong: "gs:// is not known"},
	} {
		config, ok := stores.NewConfig("file")
		if !ok {
			t.Fatalf("the type is not registered: %v", stores.Types())
		}
		file := config.(*filestore.Config)
		file.Root = c.root
		file.Rebase(c.dir)
		if file.Root != filepath.FromSlash(c.want) {
			t.Errorf("%q below %q is %q, want %q", c.root, c.dir, file.Root, c.want)
		}
		err := file.Validate()
		if (err == nil) != (c.wrong == "") || err != nil && (!errors.Is(err, stores.ErrInvalid) || !strings.Contains(err.Error(), c.wrong)) {
			t.Errorf("%q: %v, want %q", c.root, err, c.wrong)
		}
	}
}
