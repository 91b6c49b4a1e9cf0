package filestore_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/flightd/flightd/internal/fault"
	"github.com/flightd/flightd/stores"
	"github.com/flightd/flightd/stores/filestore"
)

var (
	retries = flag.Int("retries", 100, "writes of TestIdempotentRetry, each sent five more times")
	flips   = flag.Int("flips", 400, "bits that TestBitRot changes")
)

// TestIdempotentRetry sends each write six times, sixteen at once and through four stores, as if they were processes: one of
// the six answers says that it is new, and no row is there twice.
func TestIdempotentRetry(t *testing.T) {
	for _, target := range targetsTogether {
		t.Run(target, func(t *testing.T) {
			writes := *retries
			if target != "folder" {
				writes = max(20, *retries/20) // each makes the whole file anew
			}
			root := t.TempDir()
			var all []stores.OfflineStore
			for range 4 {
				all = append(all, open(t, root))
			}
			var todo []int
			for i := range writes {
				todo = append(todo, i, i, i, i, i, i)
			}
			for at := 0; at < len(todo); at += 96 { // repeats come soon after each other, and at once
				some := todo[at:min(at+96, len(todo))]
				rand.Shuffle(len(some), func(i, j int) { some[i], some[j] = some[j], some[i] })
			}
			fresh := make([]atomic.Int64, writes)
			var g errgroup.Group
			g.SetLimit(16)
			for k, i := range todo {
				g.Go(func() error {
					written, err := writeNumber(t.Context(), all[k%len(all)], target, i)
					if err == nil && written.Rows != rowsTogether {
						err = fmt.Errorf("write %d: %+v", i, written)
					}
					if err == nil && !written.Duplicate {
						fresh[i].Add(1)
					}
					return err
				})
			}
			if err := g.Wait(); err != nil {
				t.Fatal(err)
			}
			seen, err := wholeWrites(t.Context(), open(t, root), target)
			if err != nil {
				t.Fatal(err)
			}
			for i := range writes {
				if seen[i] != 1 || fresh[i].Load() != 1 {
					t.Errorf("write %d is there %d times, and %d answers say that it is new", i, seen[i], fresh[i].Load())
				}
			}
			t.Logf("%d writes sent 6 times each, 16 at once: 0 rows twice, one answer each says new", writes)
		})
	}
}

// TestBitRot changes single bits of the column chunks of written files, and reads all of their rows: what is read is either
// named as broken or what was written. The digests in the footer tell of each change.
func TestBitRot(t *testing.T) {
	root := t.TempDir()
	schema := arrow.NewSchema([]arrow.Field{
		{Name: "n", Type: arrow.PrimitiveTypes.Int64, Nullable: true}, {Name: "text", Type: arrow.BinaryTypes.String, Nullable: true},
		{Name: "f", Type: arrow.PrimitiveTypes.Float64, Nullable: true}, {Name: "list", Type: arrow.ListOf(arrow.PrimitiveTypes.Int32), Nullable: true},
		{Name: "b", Type: arrow.FixedWidthTypes.Boolean, Nullable: true},
	}, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	for i := range 500 {
		b.Field(0).(*array.Int64Builder).Append(int64(i / 3))
		if i%7 == 0 {
			b.Field(1).AppendNull()
		} else {
			b.Field(1).(*array.StringBuilder).Append("customer " + strconv.Itoa(i%50))
		}
		b.Field(2).(*array.Float64Builder).Append(float64(i) / 7)
		list := b.Field(3).(*array.ListBuilder)
		list.Append(i%5 != 0)
		for j := range i % 4 {
			if i%5 != 0 {
				list.ValueBuilder().(*array.Int32Builder).Append(int32(j))
			}
		}
		b.Field(4).(*array.BooleanBuilder).Append(i%3 == 0)
	}
	s := open(t, root)
	put(t, s, "folder", "id", b.NewRecord())
	_, want, err := scanText(t, s, "folder")
	if err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob(filepath.Join(root, "folder", "*.parquet"))
	whole, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	end := filestore.EndOfChunks(t, whole)
	if end < 1000 || end >= len(whole) {
		t.Fatalf("the chunks end at %d of %d", end, len(whole))
	}
	rng := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0))
	named, harmless := 0, 0
	for n := range *flips {
		at, bit := 4+rng.IntN(end-4), rng.IntN(8)
		damaged := bytes.Clone(whole)
		damaged[at] ^= 1 << bit
		if err := os.WriteFile(files[0], damaged, 0o644); err != nil {
			t.Fatal(err)
		}
		_, rows, err := scanText(t, open(t, root), "folder")
		switch {
		case err != nil && fault.KindOf(err) != fault.DataLoss && fault.KindOf(err) != fault.Unimplemented || err != nil && !bytes.Contains([]byte(err.Error()), []byte("part-")):
			t.Errorf("flip %d, byte %d, bit %d: %v", n, at, bit, err)
		case err != nil:
			named++
		case !slices.Equal(rows, want):
			t.Errorf("flip %d, byte %d, bit %d: other rows were read, and nothing was said", n, at, bit)
		default:
			harmless++
		}
		checked, err := stores.Scrub(t.Context(), open(t, root), source(t, open(t, root), "folder"))
		if fault.KindOf(err) != fault.DataLoss {
			t.Errorf("flip %d, byte %d, bit %d: the digests of %d files say %v", n, at, bit, checked, err)
		}
	}
	t.Logf("%d bits changed: reading named %d and read the same rows after %d; the digests named all", *flips, named, harmless)
}

// BenchmarkCommit writes 64 KiB of rows at a time, eight writers at once: what a push of a small batch costs.
func BenchmarkCommit(b *testing.B) {
	for _, writers := range []int{1, 8} {
		b.Run(fmt.Sprintf("64KiB-%d-writers", writers), func(b *testing.B) {
			root := b.TempDir()
			s, err := config(b, root).Open(context.Background())
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			src, err := s.Source("folder")
			if err != nil {
				b.Fatal(err)
			}
			schema := arrow.NewSchema([]arrow.Field{{Name: "n", Type: arrow.PrimitiveTypes.Int64, Nullable: true}}, nil)
			var mu sync.Mutex
			var took []time.Duration
			var next atomic.Int64
			b.ResetTimer()
			start := time.Now()
			var g errgroup.Group
			for range writers {
				g.Go(func() error {
					for {
						i := next.Add(1)
						if i > int64(b.N) {
							return nil
						}
						values := array.NewInt64Builder(memory.DefaultAllocator)
						for j := range 8 << 10 {
							values.Append(i<<20 + rand.Int64N(1<<40) + int64(j))
						}
						from := time.Now()
						_, err := stores.Write(context.Background(), s, src, strconv.FormatInt(i, 10),
							rows(array.NewRecord(schema, []arrow.Array{values.NewArray()}, 8<<10)))
						if err != nil {
							return err
						}
						mu.Lock()
						took = append(took, time.Since(from))
						mu.Unlock()
					}
				})
			}
			if err := g.Wait(); err != nil {
				b.Fatal(err)
			}
			slices.Sort(took)
			b.ReportMetric(float64(b.N)/time.Since(start).Seconds(), "commits/s")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
		})
	}
}
