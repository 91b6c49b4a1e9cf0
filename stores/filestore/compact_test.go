package filestore

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/apache/arrow/go/v15/arrow/array"

	"github.com/flightd/flightd/internal/parquetio"
	"github.com/flightd/flightd/internal/rowdigest"
	"github.com/flightd/flightd/stores"
)

const folder = "folder"

func compactNow(t *testing.T, s *Store, grace time.Duration) stores.Compacted {
	t.Helper()
	done, err := s.Compact(t.Context(), source{path: folder}, stores.CompactOptions{Grace: grace})
	if err != nil {
		t.Fatal(err)
	}
	return done
}

// values are the rows of a folder, in their order.
func values(t *testing.T, s *Store) []int64 {
	t.Helper()
	all, err := visibleValues(t, s)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func visibleValues(t *testing.T, s *Store) (all []int64, err error) {
	table, err := s.table(t.Context(), source{path: folder})
	if err != nil {
		return nil, err
	}
	for part := range table.parts {
		for rec, err := range table.Read(t.Context(), part, stores.Selection{Columns: []string{"n"}}) {
			if err != nil {
				return nil, err
			}
			all = append(all, rec.Column(0).(*array.Int64).Int64Values()...)
		}
	}
	return all, nil
}

func filesIn(t *testing.T, root string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(root, folder, "*.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// TestCompact merges parts several times, with others added between: the rows stay what they were, in their order, ids stay
// known, and files go when their time has come.
func TestCompact(t *testing.T) {
	root := before(t)
	s := tapped(t, root, &tap{quick: true})
	writes := 0
	add := func(n int) {
		t.Helper()
		for range n {
			writes++
			if _, err := writeTo(t, s, folder, writes); err != nil {
				t.Fatal(err)
			}
		}
	}
	known := func() {
		t.Helper()
		for i := 1; i <= writes; i++ {
			written, err := writeTo(t, s, folder, i)
			if err != nil || !written.Duplicate || written.Rows != int64(rowsOfWrite(i)) {
				t.Errorf("write %d again: %+v, %v", i, written, err)
			}
		}
		_, err := s.Append(t.Context(), source{path: folder}, "id 2", inputOfWrite(3))
		if !errors.Is(err, stores.ErrAlreadyExists) {
			t.Errorf("the id of write 2 with other rows: %v", err)
		}
	}
	add(20)
	want := values(t, s)
	done := compactNow(t, s, time.Hour)
	if done.Merged != 20 || done.Made != 1 || done.Removed != 0 || done.Waiting != 20 {
		t.Errorf("20 parts: %+v", done)
	}
	if have := values(t, s); !slices.Equal(have, want) {
		t.Errorf("%v\nbefore: %v", have, want)
	}
	known()
	if n := len(filesIn(t, root)); n != 1+20+1 { // beside the file from elsewhere
		t.Errorf("%d files while readers may have the old ones", n)
	}
	if again := compactNow(t, s, time.Hour); again.Merged != 0 || again.Waiting != 20 {
		t.Errorf("again: %+v", again)
	}

	add(3)
	want = values(t, s)
	if done = compactNow(t, s, 0); done.Made != 1 {
		t.Errorf("3 more: %+v", done)
	}
	if have := values(t, s); !slices.Equal(have, want) {
		t.Errorf("%v\nbefore: %v", have, want)
	}
	known()
	add(30) // as many rows as the first: the two merged parts become one
	want = values(t, s)
	compactNow(t, s, 0)
	compactNow(t, s, 0)
	if have := values(t, s); !slices.Equal(have, want) {
		t.Errorf("%v\nbefore: %v", have, want)
	}
	known()

	other := tapped(t, root, &tap{quick: true}) // a process that has not seen any of it
	s = other
	known()
	if have := values(t, other); !slices.Equal(have, want) {
		t.Errorf("%v\nbefore: %v", have, want)
	}
	for _, name := range filesIn(t, root) {
		t.Log(filepath.Base(name))
	}
}

// TestCompactRemovesInTime looks for what a write removes after the grace time, and what it leaves before.
func TestCompactRemovesInTime(t *testing.T) {
	for grace, want := range map[time.Duration]int{0: 1 + 1 + 1, time.Hour: 1 + 3 + 1 + 1} {
		root := before(t)
		s := tapped(t, root, &tap{quick: true})
		for i := 1; i <= 3; i++ {
			if _, err := writeTo(t, s, folder, i); err != nil {
				t.Fatal(err)
			}
		}
		compactNow(t, s, grace)
		if _, err := writeTo(t, s, folder, 4); err != nil {
			t.Fatal(err)
		}
		if have := filesIn(t, root); len(have) != want {
			t.Errorf("grace %s: %q, want %d", grace, have, want)
		}
	}
}

// TestCompactLeavesOthersAlone: only parts that writes have made are merged and removed, and only folders have parts.
func TestCompactLeavesOthersAlone(t *testing.T) {
	root := before(t)
	s := tapped(t, root, &tap{quick: true})
	for i := 1; i <= 2; i++ {
		if _, err := writeTo(t, s, folder, i); err != nil {
			t.Fatal(err)
		}
	}
	// A part under another name is somebody else's. It is the newest, and stays it.
	before := filesIn(t, root)
	if _, err := writeTo(t, s, folder, 3); err != nil {
		t.Fatal(err)
	}
	for _, name := range filesIn(t, root) {
		if !slices.Contains(before, name) {
			if err := os.Rename(name, filepath.Join(root, folder, "part-copy.parquet")); err != nil {
				t.Fatal(err)
			}
		}
	}
	want := values(t, s)
	if done := compactNow(t, s, 0); done.Merged != 2 {
		t.Errorf("%+v", done)
	}
	compactNow(t, s, 0)
	if have := values(t, s); !slices.Equal(have, want) {
		t.Errorf("%v\nbefore: %v", have, want)
	}
	for _, name := range []string{"a.parquet", "part-copy.parquet"} {
		if _, err := os.Stat(filepath.Join(root, folder, name)); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{"file.parquet", "nothing"} {
		if done, err := s.Compact(t.Context(), source{path: name}, stores.CompactOptions{}); err != nil || done != (stores.Compacted{}) {
			t.Errorf("%s: %+v, %v", name, done, err)
		}
	}
}

// TestCompactFindsDamage changes bits of a part: it is named and nothing is merged, or what is read after the compaction is
// what was read before. A compaction never gives a new digest to rows that are not those that were written.
func TestCompactFindsDamage(t *testing.T) {
	root := before(t)
	s := tapped(t, root, &tap{quick: true})
	for i := 1; i <= 3; i++ {
		if _, err := writeTo(t, s, folder, i); err != nil {
			t.Fatal(err)
		}
	}
	parts := filesIn(t, root)
	broken := parts[len(parts)-1]
	content, err := os.ReadFile(broken)
	if err != nil {
		t.Fatal(err)
	}
	named, merged := 0, 0
	for at := range content {
		damaged := slices.Clone(content)
		damaged[at] ^= 1 << (at % 8)
		if err := os.WriteFile(broken, damaged, 0o644); err != nil {
			t.Fatal(err)
		}
		s := tapped(t, root, &tap{quick: true})
		want, readErr := visibleValues(t, s)
		_, err := s.Compact(t.Context(), source{path: folder}, stores.CompactOptions{Grace: time.Hour})
		now := filesIn(t, root)
		if err != nil || readErr != nil {
			if named++; err == nil || !slices.Equal(now, parts) {
				t.Errorf("byte %d: reading says %v, compacting %v, and the files are %q", at, readErr, err, now)
			}
			continue
		}
		if have, err := visibleValues(t, s); err != nil || !slices.Equal(have, want) {
			t.Errorf("byte %d: %v, before %v, %v", at, have, want, err)
		}
		for _, name := range now {
			if !slices.Contains(parts, name) {
				merged++
				if err := os.Remove(name); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if named == 0 || merged == 0 {
		t.Errorf("%d changes were named, after %d something was merged", named, merged)
	}
	t.Logf("%d changed bits were named, after %d others something was merged", named, merged)
}

// TestCompactTrustsNoFooter: a part that has other rows than its footer says is named.
func TestCompactTrustsNoFooter(t *testing.T) {
	root := before(t)
	s := tapped(t, root, &tap{quick: true})
	if _, err := writeTo(t, s, folder, 1); err != nil {
		t.Fatal(err)
	}
	k := keyOf("id 2", rowdigest.Digest{})
	f, err := os.Create(filepath.Join(root, folder, partName(k)))
	if err != nil {
		t.Fatal(err)
	}
	w, err := parquetio.NewWriter(f, numbersSchema, parquetio.WriterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for rec := range inputOfWrite(2).Records {
		err = errors.Join(err, w.Write(rec))
	}
	stamp(w, k, &staged{content: rowdigest.Digest{1}, rows: 3}, time.Now().UnixNano())
	if err := errors.Join(err, w.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
	_, err = s.Compact(t.Context(), source{path: folder}, stores.CompactOptions{})
	if !errors.Is(err, stores.ErrDataLoss) || !strings.Contains(err.Error(), partName(k)) {
		t.Errorf("got %v", err)
	}
}

// recordCompactions does writes and compactions and returns the log of what they did to the disk.
func recordCompactions(t *testing.T, root string) []step {
	through := &tap{quick: true}
	s := tapped(t, root, through)
	for _, todo := range [][]int{{1, 2, 3}, {4}, {2, 5}, {6, 1}} {
		for _, i := range todo {
			through.mark(func(d *disk) { d.begun[i] = true })
			if _, err := writeTo(t, s, folder, i); err != nil {
				t.Fatal(err)
			}
			through.mark(func(d *disk) { d.acked[i] = true })
		}
		compactNow(t, s, 0)
	}
	compactNow(t, s, 0)
	return through.log
}

// TestCrashCompact cuts the power after every file operation of writes and compactions: what was acknowledged is there once,
// nothing is there twice, and another compaction and all writes again leave each of them there once.
func TestCrashCompact(t *testing.T) {
	root := before(t)
	start := t.TempDir()
	newDisk(t, root).root.cut(t, start, rand.New(rand.NewPCG(0, 0)), 0)
	log := recordCompactions(t, root)
	states := 0
	for k := range len(log) + 1 {
		d := newDisk(t, start)
		for _, s := range log[:k] {
			s.apply(d)
		}
		for _, percent := range []int{0, 50, 100} {
			for seed := range max(1, *crashSeeds) {
				if *crashSeeds == 0 && (k+percent/50)%3 != 0 {
					continue
				}
				states++
				rng := rand.New(rand.NewPCG(uint64(k), uint64(seed)))
				afterCut(t, d, folder, rng, percent)
				compactAfterCut(t, d, rng, percent)
			}
		}
		if k%2 == 0 || *crashSeeds > 0 || k > 0 && log[k-1].what == "publish" {
			states++
			compactAfterEnd(t, d)
		}
		if t.Failed() {
			t.Fatalf("after operation %d of %d (%s)", k, len(log), log[max(0, k-1)].what)
		}
	}
	t.Logf("%d states of the disk after %d operations", 2*states, len(log))
}

// compactAfterEnd ends the process, has another one merge and remove what is there, and then cuts the power: what it has seen
// of the first one's work may not have been durable.
func compactAfterEnd(t *testing.T, d *disk) {
	t.Helper()
	dir := t.TempDir()
	d.root.cut(t, dir, rand.New(rand.NewPCG(0, 0)), 100)
	through := &tap{quick: true, next: 1000}
	s := tapped(t, dir, through)
	compactNow(t, s, 0)
	for at := range len(through.log) + 1 {
		if at > 0 {
			through.log[at-1].apply(d)
		}
		if at == len(through.log) || through.log[at].what == "remove" || through.log[at].what == "sync folder" {
			for seed := range uint64(3) { // any of the names may have reached the disk, and others not
				afterCut(t, d, folder, rand.New(rand.NewPCG(seed, 1)), 50)
			}
		}
	}
}

// compactAfterCut goes on with compactions instead of writes.
func compactAfterCut(t *testing.T, d *disk, rng *rand.Rand, percent int) {
	t.Helper()
	dir, err := os.MkdirTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	d.root.cut(t, dir, rng, percent)
	s := tapped(t, dir, &tap{quick: true})
	want := values(t, s)
	for range 3 {
		compactNow(t, s, 0)
		if have := values(t, s); !slices.Equal(have, want) {
			t.Errorf("%d%%: %v, before %v", percent, have, want)
		}
	}
	for i := 1; i < 7; i++ {
		if written, err := writeTo(t, s, folder, i); err != nil || written.Rows != int64(rowsOfWrite(i)) || d.acked[i] && !written.Duplicate {
			t.Errorf("%d%%: write %d again: %+v, %v", percent, i, written, err)
		}
	}
	seen, err := visible(t, s, folder)
	if err != nil {
		t.Error(err)
	}
	for i := range 7 {
		if seen[i] != 1 {
			t.Errorf("%d%%: write %d is there %d times", percent, i, seen[i])
		}
	}
}

// TestEveryFaultOfCompact fails every file operation of a compaction, one at a time. Rows and ids are what they were.
func TestEveryFaultOfCompact(t *testing.T) {
	for what, f := range map[string]struct {
		err  error
		only string
	}{
		"input and output": {err: syscall.EIO}, "disk full": {syscall.ENOSPC, "write"}, "short write": {errShort, "write"},
		"interrupted": {err: syscall.EINTR},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			failed := 0
			for n := 1; ; n++ {
				root := before(t)
				through := &tap{quick: true}
				s := tapped(t, root, through)
				for i := 1; i < 7; i++ {
					if _, err := writeTo(t, s, folder, i); err != nil {
						t.Fatal(err)
					}
					if i == 3 {
						compactNow(t, s, 0)
					}
				}
				want := values(t, s)
				hit, met := "", 0
				through.fail = func(_ int, what string) error {
					if f.only != "" && f.only != what {
						return nil
					}
					if met++; met != n {
						return nil
					}
					hit = what
					return f.err
				}
				_, err := s.Compact(t.Context(), source{path: folder}, stores.CompactOptions{})
				through.fail = nil
				if hit == "" {
					t.Logf("%d of %d operations failed a compaction", failed, n-1)
					return
				}
				if err != nil {
					failed++
				}
				for range 3 {
					if have := values(t, s); !slices.Equal(have, want) {
						t.Errorf("operation %d (%s), %v: %v, before %v", n, hit, err, have, want)
					}
					compactNow(t, s, 0)
				}
				for i := 1; i < 7; i++ {
					if written, err := writeTo(t, s, folder, i); err != nil || !written.Duplicate {
						t.Errorf("operation %d (%s): write %d again: %+v, %v", n, hit, i, written, err)
					}
				}
			}
		})
	}
}

// TestCompactTogether writes, repeats, reads and compacts at once, each through a store of its own, as processes would: no
// reader sees a write twice, in part, or misses one that was acknowledged before.
func TestCompactTogether(t *testing.T) {
	root := before(t)
	const writers, writes = 3, 40
	var acked [writers]atomic.Int64
	var done atomic.Bool
	var work, others errgroup.Group
	number := func(w, i int) int { return 1 + w*writes + i }
	for w := range writers {
		s := tapped(t, root, &tap{quick: true})
		work.Go(func() error {
			for i := range writes {
				if _, err := writeTo(t, s, folder, number(w, i)); err != nil {
					return err
				}
				acked[w].Store(int64(i + 1))
				if again := number(w, rand.IntN(i+1)); i%4 == 0 {
					if written, err := writeTo(t, s, folder, again); err != nil || !written.Duplicate {
						return fmt.Errorf("write %d again: %+v, %w", again, written, err)
					}
				}
			}
			return nil
		})
	}
	merged := 0
	others.Go(func() error {
		for !done.Load() {
			s := tapped(t, root, &tap{quick: true})
			one, err := s.Compact(context.Background(), source{path: folder}, stores.CompactOptions{Grace: 3 * time.Second})
			if err != nil {
				return err
			}
			merged += one.Made
			time.Sleep(20 * time.Millisecond)
		}
		return nil
	})
	reads := 0
	others.Go(func() error {
		s := tapped(t, root, &tap{quick: true})
		for !done.Load() {
			var must [writers]int64
			for w := range must {
				must[w] = acked[w].Load()
			}
			seen, err := visible(t, s, folder)
			if err != nil {
				return err
			}
			for w := range must {
				for i := range writes {
					if n := seen[number(w, i)]; n > 1 || n == 0 && int64(i) < must[w] {
						return fmt.Errorf("write %d is there %d times", number(w, i), n)
					}
				}
			}
			reads++
		}
		return nil
	})
	err := work.Wait()
	done.Store(true)
	if err = errors.Join(err, others.Wait()); err != nil {
		t.Fatal(err)
	}
	seen, err := visible(t, tapped(t, root, &tap{quick: true}), folder)
	if err != nil || len(seen) != 1+writers*writes {
		t.Errorf("%d writes, %v", len(seen), err)
	}
	t.Logf("%d merges, %d reads", merged, reads)
}
