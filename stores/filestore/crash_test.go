package filestore

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/flightd/flightd/internal/parquetio"
	"github.com/flightd/flightd/stores"
)

var crashSeeds = flag.Int("crashes", 0, "power cuts to simulate after each file operation, with other operations lost; 0: a sample")

var numbersSchema = arrow.NewSchema([]arrow.Field{{Name: "n", Type: arrow.PrimitiveTypes.Int64, Nullable: true}}, nil)

// rowsOfWrite is how many rows the write i has: i*100, i*100+1 ...
func rowsOfWrite(i int) int { return 1 + i%3 }

func inputOfWrite(i int) stores.Rows {
	return stores.Rows{Schema: numbersSchema, Len: -1, Records: func(yield func(arrow.Record, error) bool) {
		for j := range rowsOfWrite(i) {
			b := array.NewInt64Builder(memory.DefaultAllocator)
			b.Append(int64(i*100 + j))
			if !yield(array.NewRecord(numbersSchema, []arrow.Array{b.NewArray()}, 1), nil) {
				return
			}
		}
	}}
}

// targets are where writes go: what is there before, and what is not.
var crashTargets = []string{"folder", "new/folder", "file.parquet", "new/file.parquet"}

// before makes what is there before: a folder and a file with write 0.
func before(t *testing.T) (root string) {
	t.Helper()
	root = t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "folder"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"folder/a.parquet", "file.parquet"} {
		f, err := os.Create(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		w, err := parquetio.NewWriter(f, numbersSchema, parquetio.WriterOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for rec := range inputOfWrite(0).Records {
			err = errors.Join(err, w.Write(rec))
		}
		if err := errors.Join(err, w.Close(), f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// tapped opens a store whose writes go through a tap.
func tapped(t *testing.T, root string, through *tap) *Store {
	t.Helper()
	s, err := (&Config{Root: root}).Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.(*Store).wrap = through.wrap
	return s.(*Store)
}

func writeTo(t *testing.T, s *Store, target string, i int) (stores.Written, error) {
	return s.Append(t.Context(), source{path: target}, "id "+strconv.Itoa(i), inputOfWrite(i))
}

// visible counts how often each write is in a source. A write that is there in part, or out of order, is an error.
func visible(t *testing.T, s *Store, target string) (map[int]int, error) {
	seen := make(map[int]int)
	table, err := s.table(t.Context(), source{path: target})
	var none noParquet
	if isMissing(err) || errors.As(err, &none) {
		return seen, nil
	}
	if err != nil {
		return nil, err
	}
	var values []int64
	for part := range table.parts {
		for rec, err := range table.Read(t.Context(), part, stores.Selection{Columns: []string{"n"}}) {
			if err != nil {
				return nil, err
			}
			values = append(values, rec.Column(0).(*array.Int64).Int64Values()...)
		}
	}
	for at := 0; at < len(values); {
		i := int(values[at] / 100)
		for j := range rowsOfWrite(i) {
			if at+j >= len(values) || values[at+j] != int64(i*100+j) {
				return nil, fmt.Errorf("write %d is there in part: %v", i, values)
			}
		}
		seen[i]++
		at += rowsOfWrite(i)
	}
	return seen, nil
}

// existedBefore says whether a target holds write 0 from the beginning.
func existedBefore(target string) bool { return target == "folder" || target == "file.parquet" }

// TestCrash cuts the power after every file operation of some writes. What was acknowledged is there, nothing is there in
// part, and doing all writes again leaves each of them there once.
func TestCrash(t *testing.T) {
	for _, target := range crashTargets {
		t.Run(target, func(t *testing.T) {
			t.Parallel()
			root := before(t)
			empty := func() *disk { return newDisk(t, root) }
			start := t.TempDir()
			empty().root.cut(t, start, rand.New(rand.NewPCG(0, 0)), 0)
			log := recordWrites(t, root, target)
			states := 0
			for k := range len(log) + 1 {
				d := newDisk(t, start)
				for _, s := range log[:k] {
					s.apply(d)
				}
				for _, percent := range []int{0, 50, 100} {
					for seed := range max(1, *crashSeeds) {
						if *crashSeeds == 0 && (k+percent/50)%3 != 0 { // a third of all, each boundary once
							continue
						}
						states++
						afterCut(t, d, target, rand.New(rand.NewPCG(uint64(k), uint64(seed))), percent)
					}
				}
				if k%2 == 0 || *crashSeeds > 0 || k > 0 && log[k-1].what == "publish" || k > 0 && log[k-1].what == "rename" {
					states += killed(t, d, target)
				}
				if t.Failed() {
					t.Fatalf("after operation %d of %d", k, len(log))
				}
			}
			t.Logf("%d states of the disk after %d operations", states, len(log))
		})
	}
}

// killed ends the process instead, has another one do what was not acknowledged, and then cuts the power: what it has
// acknowledged, because it was there, has to be durable too. It returns how many states it has looked at.
func killed(t *testing.T, d *disk, target string) int {
	t.Helper()
	dir := t.TempDir()
	d.root.cut(t, dir, rand.New(rand.NewPCG(0, 0)), 100)
	through := &tap{quick: true, next: 1000}
	s := tapped(t, dir, through)
	again := 0
	for i := range d.begun {
		if d.acked[i] {
			continue
		}
		if _, err := writeTo(t, s, target, i); err != nil {
			t.Errorf("write %d after the end of the process: %v", i, err)
		}
		d.acked[i] = true
		again++
	}
	for _, s := range through.log {
		s.apply(d)
	}
	if again > 0 {
		afterCut(t, d, target, rand.New(rand.NewPCG(0, 1)), 0)
	}
	return min(again, 1)
}

// recordWrites does some writes and returns the log of what they did to the disk: one after the other, one twice, and
// several at once, some with the same id.
func recordWrites(t *testing.T, root, target string) []step {
	through := &tap{quick: true}
	s := tapped(t, root, through)
	do := func(i int) error {
		through.mark(func(d *disk) { d.begun[i] = true })
		_, err := writeTo(t, s, target, i)
		through.mark(func(d *disk) { d.acked[i] = true })
		return err
	}
	for _, i := range []int{1, 2, 2, 3} {
		if err := do(i); err != nil {
			t.Fatal(err)
		}
	}
	var g errgroup.Group
	for _, i := range []int{4, 5, 5, 6} {
		g.Go(func() error { return do(i) })
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	return through.log
}

func afterCut(t *testing.T, d *disk, target string, rng *rand.Rand, percent int) {
	t.Helper()
	dir, err := os.MkdirTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	d.root.cut(t, dir, rng, percent)
	s := tapped(t, dir, &tap{quick: true})
	seen, err := visible(t, s, target)
	if err != nil {
		t.Errorf("%d%%: %v", percent, err)
		return
	}
	for i := range 7 {
		acked := d.acked[i] || i == 0 && existedBefore(target)
		if seen[i] > 1 || acked && seen[i] == 0 || seen[i] == 1 && !acked && !d.begun[i] {
			t.Errorf("%d%%: write %d is there %d times; begun %v, acknowledged %v", percent, i, seen[i], d.begun[i], acked)
		}
	}
	for i := 1; i < 7; i++ {
		written, err := writeTo(t, s, target, i)
		if err != nil || written.Rows != int64(rowsOfWrite(i)) || written.Duplicate != (seen[i] == 1) {
			t.Errorf("%d%%: write %d again, which was there %d times: %+v, %v", percent, i, seen[i], written, err)
		}
	}
	if seen, err = visible(t, s, target); err != nil {
		t.Errorf("%d%%, after all: %v", percent, err)
	}
	for i := 1; i < 7; i++ {
		if seen[i] != 1 {
			t.Errorf("%d%%: write %d is there %d times after all", percent, i, seen[i])
		}
	}
}

// TestEveryFault fails every file operation of a write, one at a time, in every way. The end is an error and nothing to be
// seen, or a write that is there and survives a power cut. A second attempt always succeeds, and the write is there once.
func TestEveryFault(t *testing.T) {
	faults := map[string]struct {
		err  error
		only string // operation
		kind error
	}{
		"input and output": {err: syscall.EIO},
		"disk full":        {err: syscall.ENOSPC, only: "write", kind: stores.ErrExhausted},
		"short write":      {err: errShort, only: "write"},
		"no locks":         {err: errors.ErrUnsupported, only: "lock"},
		"interrupted":      {err: syscall.EINTR},
	}
	for what, f := range faults {
		for _, target := range crashTargets {
			t.Run(what+"/"+target, func(t *testing.T) {
				t.Parallel()
				failed, done := 0, 0
				for n := 1; ; n++ {
					root := before(t)
					initial := newDisk(t, root)
					hit, met := "", 0
					through := &tap{quick: true, fail: func(_ int, what string) error {
						if f.only != "" && f.only != what {
							return nil
						}
						if met++; met != n {
							return nil
						}
						hit = what
						return f.err
					}}
					s := tapped(t, root, through)
					_, err := writeTo(t, s, target, 1)
					through.fail = nil
					if hit == "" {
						break
					}
					if err != nil && f.kind != nil && !errors.Is(err, f.kind) {
						t.Errorf("operation %d (%s): %v, want %v", n, hit, err, f.kind)
					}
					if err != nil {
						failed++
					} else {
						done++
					}
					afterFault(t, s, root, target, err, fmt.Sprintf("operation %d (%s), %v", n, hit, err))
					if err == nil {
						for _, s := range through.log {
							s.apply(initial)
						}
						initial.acked[1] = true
						afterCut(t, initial, target, rand.New(rand.NewPCG(uint64(n), 0)), 0)
					}
				}
				t.Logf("%d operations failed the write, %d did not", failed, done)
			})
		}
	}
}

// TestFileChangedMeanwhile has another program put a file in the place of the one that rows are added to, after that was read:
// its file stays.
func TestFileChangedMeanwhile(t *testing.T) {
	root := before(t)
	file := filepath.Join(root, "file.parquet")
	theirs, err := os.ReadFile(filepath.Join(root, "folder", "a.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	through := &tap{quick: true}
	through.fail = func(_ int, what string) error {
		if what == "sync" { // of the longer file, which is complete
			through.fail = nil
			if err := errors.Join(os.WriteFile(file+".new", theirs, 0o644), os.Rename(file+".new", file)); err != nil {
				t.Error(err)
			}
		}
		return nil
	}
	s := tapped(t, root, through)
	if _, err := writeTo(t, s, "file.parquet", 1); !errors.Is(err, stores.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	if seen, err := visible(t, tapped(t, root, &tap{quick: true}), "file.parquet"); err != nil || len(seen) != 1 || seen[0] != 1 {
		t.Errorf("%v, %v", seen, err)
	}
	if written, err := writeTo(t, s, "file.parquet", 1); err != nil || written.Duplicate {
		t.Errorf("again: %+v, %v", written, err)
	}
}

// TestWrittenOtherwise changes a byte on its way to the disk, without an error, in each write of a file: what was written is
// read back before it has its name, so the write fails and nothing is to be seen.
func TestWrittenOtherwise(t *testing.T) {
	for _, target := range crashTargets {
		changed := 0
		for n := 1; ; n++ {
			root, met := before(t), 0
			through := &tap{quick: true, fail: func(_ int, what string) error {
				if what == "write" {
					met++
				}
				if what == "write" && met == n {
					return errOtherByte
				}
				return nil
			}}
			s := tapped(t, root, through)
			_, err := writeTo(t, s, target, 1)
			through.fail = nil
			if met < n {
				break
			}
			changed++
			if err == nil {
				t.Errorf("%s: a byte of write %d is another one, and nothing was said", target, n)
			}
			afterFault(t, s, root, target, err, fmt.Sprintf("a byte of write %d, %v", n, err))
		}
		t.Logf("%s: %d changed writes were found", target, changed)
	}
}

// afterFault looks at what a failed operation has left, and tries again: with the same store and with another one.
func afterFault(t *testing.T, s *Store, root, target string, failed error, what string) {
	t.Helper()
	for attempt := range 3 {
		seen, err := visible(t, s, target)
		if err != nil {
			t.Errorf("%s: %v", what, err)
			return
		}
		want := 1
		if attempt == 0 && failed != nil {
			want = 0
		}
		if seen[1] != want || existedBefore(target) && seen[0] != 1 {
			t.Errorf("%s: attempt %d: write 1 is there %d times, write 0 %d times", what, attempt, seen[1], seen[0])
		}
		if attempt == 1 {
			s = tapped(t, root, &tap{quick: true})
		}
		if written, err := writeTo(t, s, target, 1); err != nil || written.Duplicate != (want == 1) {
			t.Errorf("%s: attempt %d: %+v, %v", what, attempt, written, err)
		}
	}
	left, err := filepath.Glob(filepath.Join(root, "*", stageFolder, "*"+stageSuffix))
	if err != nil || len(left) > 1 { // one that could not be removed
		t.Errorf("%s: %q was left", what, left)
	}
	slices.Sort(left)
}
