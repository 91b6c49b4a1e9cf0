package ipcguard

import (
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/ipc"

	"github.com/flightd/flightd/internal/fault"
)

var (
	mutations = flag.Int("mutations", defaultMutations, "damaged streams that TestMutations reads")
	seed      = flag.Uint64("seed", 0, "seed of TestMutations; 0: by the clock")
)

// childPlace names, in the environment of the child process, the file in which it leaves the stream it is about to read.
const childPlace = "IPCGUARD_CHILD"

// account is a budget that a test can look into.
type account struct{ limit, held, peak int64 }

func (a *account) Reserve(_ context.Context, n int64) error {
	if a.held+n > a.limit {
		return fault.New(fault.Exhausted, "the budget of the test is spent")
	}
	a.held += n
	a.peak = max(a.peak, a.held)
	return nil
}

func (a *account) Release(n int64) { a.held -= n }

// TestMutations reads damaged streams in a child process, so that a death that cannot be recovered from is a failed
// test. What is accepted must be readable to the last value, and v15 must be able to write it.
func TestMutations(t *testing.T) {
	if place := os.Getenv(childPlace); place != "" {
		mutate(t, place)
		return
	}
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	place := filepath.Join(t.TempDir(), "stream")
	limit, stop := context.WithTimeout(t.Context(), 10*time.Minute) // far beyond what the count takes: a hang
	defer stop()
	child := exec.CommandContext(limit, os.Args[0], "-test.run=^TestMutations$", "-test.v",
		"-mutations="+strconv.Itoa(*mutations), "-seed="+strconv.FormatUint(*seed, 10))
	child.Env = append(os.Environ(), childPlace+"="+place)
	out, err := child.CombinedOutput()
	if err != nil {
		last, _ := os.ReadFile(place) // a length, the stream, and what is left of longer ones
		if len(last) > 4 {
			last = last[4 : 4+binary.LittleEndian.Uint32(last)]
		}
		t.Fatalf("seed %d: the child ended with %v\n%.4000s\nlast stream: %x", *seed, err, out, last)
	}
	for line := range strings.Lines(string(out)) {
		if _, line, ok := strings.Cut(line, "mutations: "); ok {
			t.Logf("seed %d: %s", *seed, line)
		}
	}
}

func mutate(t *testing.T, place string) {
	debug.SetMaxStack(64 << 20)
	file, err := os.Create(place)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	streams := mutationSeeds(t)
	rnd := rand.New(rand.NewPCG(*seed, 1))
	accepted, slowest := 0, time.Duration(0)
	kinds := map[fault.Kind]int{}
	for range *mutations {
		stream := damage(rnd, streams)
		if _, err := file.WriteAt(append(le(uint32(len(stream))), stream...), 0); err != nil {
			t.Fatal(err)
		}
		budget := &account{limit: 64 << 20}
		start := time.Now()
		_, recs, err := read(Bytes(stream), Limits{Budget: budget})
		slowest = max(slowest, time.Since(start))
		for _, rec := range recs {
			for _, col := range rec.Columns() {
				walk(t, col)
			}
			rewrite(t, rec)
		}
		if budget.held != 0 {
			t.Fatalf("%d bytes stay reserved after %v", budget.held, err)
		}
		switch {
		case err == nil:
			accepted++
		case err == io.EOF:
			kinds["empty"]++
		default:
			checkText(t, err)
			kinds[fault.KindOf(err)]++
		}
	}
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	if mem.HeapSys > 512<<20 {
		t.Fatalf("the heap grew to %d MiB", mem.HeapSys>>20)
	}
	fmt.Printf("mutations: %d streams, accepted %d, refused %v, slowest %v, heap %d MiB\n", *mutations, accepted, kinds, slowest, mem.HeapSys>>20)
}

// checkText holds the promise about errors: short, ours, of a known kind.
func checkText(t testing.TB, err error) {
	t.Helper()
	text := err.Error()
	if fault.KindOf(err) == fault.Unknown || len(text) > 600 || strings.Contains(text, "arrow/") || strings.Contains(text, "runtime error") {
		t.Fatalf("the text of an error: %q (%v)", text, fault.KindOf(err))
	}
	var hidden *concealed
	if errors.As(err, &hidden) && strings.Contains(hidden.text, "cannot be read") {
		t.Fatalf("a panic: %v: %v", err, hidden.cause)
	}
}

// mutationSeeds are whole streams of many shapes, small ones first.
func mutationSeeds(t testing.TB) [][]byte {
	var all [][]byte
	for i, rec := range allSamples(t) {
		opts := [][]ipc.Option{nil, {ipc.WithLZ4()}, {ipc.WithZstd()}}[i%3]
		all = append(all, write(t, []arrow.Record{rec}), write(t, []arrow.Record{rec, rec}, opts...))
	}
	grown := sample(t, "d", dictOf(p.Int8, s.String), `["a", "b", "c"]`)
	dict := grown.Column(0).(*array.Dictionary)
	less := array.NewDictionaryArray(dict.DataType(), array.NewSlice(dict.Indices(), 0, 2), array.NewSlice(dict.Dictionary(), 0, 2))
	all = append(all, write(t, []arrow.Record{array.NewRecord(grown.Schema(), []arrow.Array{less}, 2), grown}, ipc.WithDictionaryDeltas(true)))
	names, err := filepath.Glob(filepath.Join(fixtures, "*.arrows"))
	if err != nil || len(names) < 10 {
		t.Fatal(len(names), err)
	}
	for _, name := range names {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if len(content) < 20_000 && !strings.Contains(name, "constant") {
			all = append(all, content)
		}
	}
	return all
}

// damage returns a stream with one to four things wrong.
func damage(rnd *rand.Rand, streams [][]byte) []byte {
	pick := func() []byte { return streams[rnd.IntN(len(streams))] }
	out := slices.Clone(pick())
	switch rnd.IntN(12) {
	case 0: // cut off
		return out[:rnd.IntN(len(out))]
	case 1: // the end of another
		other := pick()
		return append(out[:rnd.IntN(len(out))&^7], other[rnd.IntN(len(other))&^7:]...)
	case 2: // a piece twice
		from, to := rnd.IntN(len(out))&^7, rnd.IntN(len(out))&^7
		return slices.Insert(out, to, slices.Clone(out[min(from, to):max(from, to)])...)
	case 3: // a piece missing
		from, to := rnd.IntN(len(out))&^7, rnd.IntN(len(out))&^7
		return slices.Delete(out, min(from, to), max(from, to))
	}
	for range 1 + rnd.IntN(4) {
		at := rnd.IntN(len(out))
		if rnd.IntN(2) == 0 { // spare the schema, so that the batches are looked at
			at = len(out)/2 + at/2
		}
		switch rnd.IntN(5) {
		case 0:
			out[at] ^= 1 << rnd.IntN(8)
		case 1, 2:
			out[at] = byte(rnd.Uint32())
		case 3: // a small or great number where one may stand
			at = min(at&^3, len(out)-4)
			n := []uint32{0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, rnd.Uint32(), rnd.Uint32N(1 << 16), rnd.Uint32N(64)}[rnd.IntN(8)]
			binary.LittleEndian.PutUint32(out[max(at, 0):], n)
		default:
			at = max(min(at&^7, len(out)-8), 0)
			n := []uint64{0, 1, 1 << 20, 1 << 31, 1 << 62, 1<<63 - 1, 1 << 63, ^uint64(0), rnd.Uint64(), rnd.Uint64N(1 << 16)}[rnd.IntN(10)]
			binary.LittleEndian.PutUint64(out[at:], n)
		}
	}
	return out
}
