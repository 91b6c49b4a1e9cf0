package filestore_test

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/flightd/flightd/stores"
	"github.com/flightd/flightd/stores/filestore"
)

// Writes from many sides at once. Write i is three rows, 10*i, 10*i+1 and 10*i+2.

var (
	kills       = flag.Int("kills", 4, "times that TestKillNine kills a writing process, for each target")
	wantedScans = flag.Int("scans", 20, "scans that TestReadersSeeWhole makes at least, for each target")
	races       = flag.Int("races", 30, "writes of TestTwoProcesses that two processes race for, for each target")
)

var targetsTogether = []string{"folder", "file.parquet"}

const rowsTogether = 3

func writeNumber(ctx context.Context, s stores.OfflineStore, target string, i int) (stores.Written, error) {
	src, err := s.Source(target)
	if err != nil {
		return stores.Written{}, err
	}
	schema := arrow.NewSchema([]arrow.Field{{Name: "n", Type: arrow.PrimitiveTypes.Int64, Nullable: true}}, nil)
	b := array.NewInt64Builder(memory.DefaultAllocator)
	for j := range rowsTogether {
		b.Append(int64(10*i + j))
	}
	return stores.Write(ctx, s, src, strconv.Itoa(i), rows(array.NewRecord(schema, []arrow.Array{b.NewArray()}, rowsTogether)))
}

// wholeWrites counts how often each write is in a target, and fails if one is there in part.
func wholeWrites(ctx context.Context, s stores.OfflineStore, target string) (map[int]int, error) {
	src, err := s.Source(target)
	if err != nil {
		return nil, err
	}
	var values []int64
	for r, err := range s.Scan(ctx, src, stores.Selection{Columns: []string{"n"}}) {
		if err != nil {
			return nil, err
		}
		values = append(values, r.Column(0).(*array.Int64).Int64Values()...)
	}
	seen := make(map[int]int)
	for at := 0; at < len(values); at += rowsTogether {
		for j := range rowsTogether {
			if at+j >= len(values) || values[at+j] != values[at]/10*10+int64(j) {
				return nil, fmt.Errorf("a write is there in part: %v", values)
			}
		}
		seen[int(values[at]/10)]++
	}
	return seen, nil
}

// TestReadersSeeWhole reads while several write: every write is there as a whole or not at all, what has been acknowledged
// is there, and no read fails.
func TestReadersSeeWhole(t *testing.T) {
	for _, target := range targetsTogether {
		t.Run(target, func(t *testing.T) {
			s := open(t, t.TempDir())
			if _, err := writeNumber(t.Context(), s, target, 0); err != nil {
				t.Fatal(err)
			}
			var acked sync.Map
			var writers, readers errgroup.Group
			var done atomic.Bool
			var scans, written atomic.Int64
			for w := range 4 {
				writers.Go(func() error {
					for i := 0; i < 10 || scans.Load() < int64(*wantedScans); i++ {
						n := 1 + 4*i + w
						if i >= 25 { // more of them would make each scan long
							time.Sleep(time.Millisecond)
							continue
						}
						if _, err := writeNumber(t.Context(), s, target, n); err != nil {
							return err
						}
						acked.Store(n, true)
						written.Add(1)
					}
					return nil
				})
			}
			for range 2 {
				readers.Go(func() error {
					for !done.Load() {
						must := make(map[int]bool)
						acked.Range(func(k, _ any) bool { must[k.(int)] = true; return true })
						seen, err := wholeWrites(t.Context(), s, target)
						if err != nil {
							return err
						}
						for n := range must {
							if seen[n] != 1 {
								return fmt.Errorf("write %d was acknowledged and is there %d times", n, seen[n])
							}
						}
						scans.Add(1)
					}
					return nil
				})
			}
			err := writers.Wait()
			done.Store(true)
			if err := errors.Join(err, readers.Wait()); err != nil {
				t.Error(err)
			}
			seen, err := wholeWrites(t.Context(), s, target)
			if err != nil || int64(len(seen)) != written.Load()+1 {
				t.Errorf("%d writes of %d, %v", len(seen), written.Load()+1, err)
			}
			t.Logf("%d scans beside %d writes: 0 saw a part of one, or missed one that was acknowledged", scans.Load(), written.Load())
		})
	}
}

// TestSameIDOtherRows has several writes with one id and different rows staged before the first is published: one is done,
// the others are told, and its rows are what is there.
func TestSameIDOtherRows(t *testing.T) {
	for _, target := range targetsTogether {
		root := t.TempDir()
		const writers = 8
		var staged sync.WaitGroup
		staged.Add(writers)
		var g errgroup.Group
		var winner atomic.Int64
		for i := range writers {
			s := open(t, root) // as if in a process of its own
			g.Go(func() error {
				input := rows(numbers(t, fmt.Sprintf("[%d]", i)))
				all := input.Records
				input.Records = func(yield func(arrow.Record, error) bool) {
					staged.Done()
					staged.Wait()
					all(yield)
				}
				src, err := s.Source(target)
				if err != nil {
					return err
				}
				_, err = stores.Write(t.Context(), s, src, "id", input)
				if err == nil {
					winner.Add(int64(100 + i))
				} else if errors.Is(err, stores.ErrAlreadyExists) {
					err = nil
				}
				return err
			})
		}
		if err := g.Wait(); err != nil {
			t.Fatal(err)
		}
		expectRows(t, open(t, root), target, fmt.Sprint(winner.Load()-100))
	}
}

// Child processes.

const childEnv = "FLIGHTD_TEST_WRITER"

func isChild() bool { return os.Getenv(childEnv) != "" }

// writeAsChild writes numbers to a target, and says after each whether it was new.
func writeAsChild() {
	args := strings.Split(os.Getenv(childEnv), "|")
	first, _ := strconv.Atoi(args[2])
	count, _ := strconv.Atoi(args[3])
	s, err := (&filestore.Config{Root: args[0]}).Open(context.Background())
	if err == nil && args[1] == compactTarget {
		err = compactAsChild(s)
	}
	for i := first; err == nil && i < first+count; i++ {
		var written stores.Written
		if written, err = writeNumber(context.Background(), s, args[1], i); err == nil {
			fmt.Println(i, written.Duplicate)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func child(t *testing.T, root, target string, first, count int) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), fmt.Sprintf("%s=%s|%s|%d|%d", childEnv, root, target, first, count))
	c.Stderr = os.Stderr
	out, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	return c, bufio.NewScanner(out)
}

// acknowledged reads what a child says.
func acknowledged(t *testing.T, out *bufio.Scanner) (all, fresh []int) {
	for out.Scan() {
		words := strings.Fields(out.Text())
		n, err := strconv.Atoi(words[0])
		if err != nil || len(words) != 2 { // the last line may be cut off
			continue
		}
		if all = append(all, n); words[1] == "false" {
			fresh = append(fresh, n)
		}
	}
	return all, fresh
}

// TestKillNine kills a process while it writes, again and again: what it has acknowledged is there, once and whole, and so
// is everything when another one has written it all.
func TestKillNine(t *testing.T) {
	const writes = 30
	for _, target := range targetsTogether {
		root := t.TempDir()
		acked := make(map[int]bool)
		killed, all := 0, 0
		for round := 0; round <= *kills; round++ {
			if len(acked) == writes { // from the beginning
				all += len(acked)
				root, acked = t.TempDir(), make(map[int]bool)
			}
			c, out := child(t, root, target, 0, writes)
			timer := time.AfterFunc(time.Hour, func() {})
			if round < *kills {
				wait := time.Duration(5+rand.IntN(60)) * time.Millisecond
				timer = time.AfterFunc(wait, func() { _ = c.Process.Kill() }) // it may be done already
			}
			all, _ := acknowledged(t, out)
			timer.Stop()
			if err := c.Wait(); err != nil {
				killed++
			}
			for _, n := range all {
				acked[n] = true
			}
			if len(acked) == 0 {
				continue
			}
			seen, err := wholeWrites(t.Context(), open(t, root), target)
			if err != nil {
				t.Fatal(err)
			}
			for n := range acked {
				if seen[n] != 1 {
					t.Errorf("%s: write %d was acknowledged and is there %d times", target, n, seen[n])
				}
			}
		}
		seen, err := wholeWrites(t.Context(), open(t, root), target)
		if err != nil || len(seen) != writes {
			t.Errorf("%s: %d writes, %v", target, len(seen), err)
		}
		for n, times := range seen {
			if times != 1 {
				t.Errorf("%s: write %d is there %d times", target, n, times)
			}
		}
		t.Logf("%s: %d kills, %d acknowledged writes, 0 lost", target, killed, all+len(acked))
	}
}

// TestTwoProcesses has two processes write to one target, half of it the same: each write is done once, by one of them.
func TestTwoProcesses(t *testing.T) {
	third := max(1, *races/3)
	for _, target := range targetsTogether {
		root := t.TempDir()
		var wrote [2][]int
		var g errgroup.Group
		for i := range wrote {
			c, out := child(t, root, target, third*i, 2*third)
			g.Go(func() error {
				_, wrote[i] = acknowledged(t, out)
				return c.Wait()
			})
		}
		if err := g.Wait(); err != nil {
			t.Fatal(err)
		}
		seen, err := wholeWrites(t.Context(), open(t, root), target)
		if err != nil || len(seen) != 3*third || len(wrote[0])+len(wrote[1]) != 3*third {
			t.Errorf("%s: %d writes are there, %d and %d are said to be new, %v", target, len(seen), len(wrote[0]), len(wrote[1]), err)
		}
		if left, _ := filepath.Glob(filepath.Join(root, "*", ".stage", "*.tmp")); len(left) > 0 {
			t.Errorf("%q was left", left)
		}
		t.Logf("%s: %d writes by two processes, %d of them by both: each done once", target, 3*third, third)
	}
}
