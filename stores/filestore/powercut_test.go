package filestore_test

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/flightd/flightd/stores"
)

var powerCuts = flag.Int("powercuts", 4, "times that TestPowerCut cuts the power of a real file system")

// A file system of its own, on a file, whose power can be cut: ext4's shutdown (fs/ext4/ioctl.c) drops what has not been
// flushed, and what is mounted afterwards is what a disk would have after a power cut.
type disk struct {
	t            *testing.T
	image, mount string
}

const (
	cutsOfADisk     = 25         // after which it begins anew
	ext4Shutdown    = 0x8004587d // _IOR('X', 125, __u32)
	withoutFlushing = 2          // EXT4_GOING_FLAGS_NOLOGFLUSH
)

// newDisk makes and mounts a file system, or skips the test where that is not possible.
func newDisk(t *testing.T) *disk {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("a power cut needs root")
	}
	for _, program := range []string{"mkfs.ext4", "mount", "umount"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("a power cut needs %s", program)
		}
	}
	dir := t.TempDir()
	d := &disk{t: t, image: filepath.Join(dir, "image"), mount: filepath.Join(dir, "mount")}
	f, err := os.Create(d.image)
	if err == nil {
		err = errors.Join(f.Truncate(96<<20), f.Close(), os.Mkdir(d.mount, 0o755))
	}
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mkfs.ext4", "-q", "-F", d.image).CombinedOutput(); err != nil {
		t.Fatalf("mkfs.ext4: %v: %s", err, out)
	}
	if out, err := exec.Command("mount", "-o", "loop", d.image, d.mount).CombinedOutput(); err != nil {
		t.Skipf("a power cut needs loop devices: mount says %v: %s", err, out)
	}
	t.Cleanup(func() { _ = exec.Command("umount", d.mount).Run() }) // it may not be mounted
	return d
}

// cut drops what has not been flushed.
func (d *disk) cut() {
	d.t.Helper()
	f, err := os.Open(d.mount)
	if err != nil {
		d.t.Fatal(err)
	}
	defer f.Close()
	if err := unix.IoctlSetPointerInt(int(f.Fd()), ext4Shutdown, withoutFlushing); err != nil {
		d.t.Fatalf("the shutdown of ext4: %v", err)
	}
}

// again mounts what is left.
func (d *disk) again() {
	d.t.Helper()
	var out []byte
	var err error
	for range 100 { // a process that was killed may still hold it for a moment
		if out, err = exec.Command("umount", d.mount).CombinedOutput(); err == nil {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if err == nil {
		out, err = exec.Command("mount", "-o", "loop", d.image, d.mount).CombinedOutput()
	}
	if err != nil {
		d.t.Fatalf("%v: %s", err, out)
	}
}

// loses says whether a cut takes away what nobody has synced: if not, the test would prove nothing.
func (d *disk) loses() bool {
	name := filepath.Join(d.mount, "control")
	if err := errors.Join(os.WriteFile(name+".tmp", []byte("not synced"), 0o644), os.Rename(name+".tmp", name)); err != nil {
		d.t.Fatal(err)
	}
	d.cut()
	d.again()
	content, err := os.ReadFile(name)
	return err != nil || string(content) != "not synced"
}

// writing is a child process that writes numbers to a target.
type writing struct {
	target string
	first  int
	cmd    *exec.Cmd
	out    io.ReadCloser
}

func (d *disk) start(target string, first int) *writing {
	d.t.Helper()
	w := &writing{target: target, first: first, cmd: exec.Command(os.Args[0])}
	w.cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s|%s|%d|%d", childEnv, d.mount, target, first, 1<<20))
	out, err := w.cmd.StdoutPipe()
	if err == nil {
		w.out, err = out, w.cmd.Start()
	}
	if err != nil {
		d.t.Fatal(err)
	}
	return w
}

// TestPowerCut cuts the power of a real ext4 while four processes write to a folder and to a file, and one merges parts of the
// folder: what was acknowledged is there once and whole, and writing all again leaves each write there once.
func TestPowerCut(t *testing.T) {
	d := newDisk(t)
	if !d.loses() && !d.loses() && !d.loses() {
		t.Fatal("what was not synced survives each cut; nothing can be said here")
	}
	acknowledgedWrites := 0
	for done := 0; done < *powerCuts; {
		if done > 0 {
			d = newDisk(t)
		}
		acked := map[string]map[int]bool{"folder": {}, "file.parquet": {}}
		next := map[string]int{"folder": 0, "file.parquet": 0}
		for range min(cutsOfADisk, *powerCuts-done) {
			d.one(acked, next)
			done++
			if t.Failed() {
				t.Fatalf("after cut %d", done)
			}
		}
		d.rewrite(acked, next)
		acknowledgedWrites += len(acked["folder"]) + len(acked["file.parquet"])
		if out, err := exec.Command("umount", d.mount).CombinedOutput(); err != nil {
			t.Fatalf("umount: %v: %s", err, out)
		}
	}
	t.Logf("%d power cuts of ext4, %d acknowledged writes, 0 lost, 0 twice, 0 in part", *powerCuts, acknowledgedWrites)
}

// apart is how far the numbers of two processes are from each other.
const apart = 1000

// one is a cut in the middle of writes.
func (d *disk) one(acked map[string]map[int]bool, next map[string]int) {
	d.t.Helper()
	var all []*writing
	for _, target := range []string{"folder", "folder", "folder", "file.parquet"} {
		all = append(all, d.start(target, next[target]))
		next[target] += apart
	}
	merging := d.start(compactTarget, 0)
	time.Sleep(time.Duration(40+rand.IntN(160)) * time.Millisecond)
	d.cut()
	for _, w := range append(all, merging) {
		_ = w.cmd.Process.Kill() // it may have failed already
	}
	for _, w := range all {
		numbers, _ := acknowledged(d.t, bufio.NewScanner(w.out))
		for _, n := range numbers {
			acked[w.target][n] = true
		}
		_ = w.cmd.Wait() // killed
	}
	_, _ = io.Copy(io.Discard, merging.out)
	_ = merging.cmd.Wait()
	d.again()
	for target := range acked {
		d.check(target, acked[target])
	}
}

func (d *disk) check(target string, acked map[int]bool) map[int]int {
	d.t.Helper()
	s := open(d.t, d.mount)
	defer s.Close()
	seen, err := wholeWrites(context.Background(), s, target)
	if err != nil && len(acked) > 0 {
		d.t.Errorf("%s: %v", target, err)
	}
	for n, times := range seen {
		if times != 1 {
			d.t.Errorf("%s: write %d is there %d times", target, n, times)
		}
	}
	for n := range acked {
		if seen[n] != 1 {
			d.t.Errorf("%s: write %d was acknowledged and is there %d times", target, n, seen[n])
		}
	}
	return seen
}

// rewrite repeats what processes have done, and what they may have been at when they were cut off.
func (d *disk) rewrite(acked map[string]map[int]bool, next map[string]int) {
	d.t.Helper()
	s := open(d.t, d.mount)
	defer s.Close()
	for target, done := range acked {
		for first := 0; first < next[target]; first += apart {
			for n := first; n == first || done[n-1]; n++ {
				before := done[n]
				written, err := writeNumber(context.Background(), s, target, n)
				if err != nil || before && !written.Duplicate {
					d.t.Errorf("%s: write %d again: %+v, %v", target, n, written, err)
				}
				done[n] = before
			}
		}
		for n, before := range done {
			if !before {
				delete(done, n)
			}
		}
		d.check(target, done)
	}
}

// compactTarget has a child merge parts of the folder until it ends.
const compactTarget = "compact"

func compactAsChild(s stores.OfflineStore) error {
	for {
		src, err := s.Source("folder")
		if err == nil {
			_, err = stores.Compact(context.Background(), s, src, stores.CompactOptions{})
		}
		if err != nil {
			return err
		}
		time.Sleep(5 * time.Millisecond)
	}
}
