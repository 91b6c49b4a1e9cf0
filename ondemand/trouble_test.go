//go:build unix

package ondemand

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/flightd/flightd/internal/fault"
)

// isGone reports whether there is no process of that id, not even a dead one that nobody waited for.
func isGone(pid int64) bool { return errors.Is(syscall.Kill(int(pid), 0), syscall.ESRCH) }

// hasEnded reports whether a process that is not our child runs no more. As an orphan it waits for whoever adopted it.
func hasEnded(pid int64) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, state, _ := strings.Cut(string(stat), ") ")
	return isGone(pid) || err == nil && strings.HasPrefix(state, "Z")
}

// TestTricks: whatever a worker answers, the call gets an error that names the view, the process is gone, and the next
// call is served by another.
func TestTricks(t *testing.T) {
	p, bound := open(t, fakeOptions("good")), bind(t, "pid")
	keys := slices.Sorted(maps.Keys(tricks))
	for _, key := range keys {
		trick := tricks[key]
		if trick.name == "" {
			continue
		}
		t.Run(trick.name, func(t *testing.T) {
			before, err := ask(t.Context(), p, bound, 1)
			if err != nil {
				t.Fatal(err)
			}
			_, err = ask(t.Context(), p, bound, key, 2, 3)
			if err == nil || fault.KindOf(err) != fault.Precondition || !strings.Contains(err.Error(), trick.want) || !strings.Contains(err.Error(), `view "v"`) {
				t.Errorf("%v", err)
			}
			if !isGone(before[0]) {
				t.Error("the process is still there")
			}
			after, err := ask(t.Context(), p, bound, 1)
			if err != nil || after[0] == before[0] {
				t.Errorf("afterwards: process %v, %v", after, err)
			}
		})
	}
}

func TestTimeLimit(t *testing.T) {
	o := fakeOptions("good")
	var pid lines
	o.Stderr = pid.add
	p, bound := open(t, o), bind(t, "y")
	if _, err := ask(t.Context(), p, bound, 1); err != nil {
		t.Fatal(err)
	}
	p.o.Timeout = 200 * time.Millisecond
	_, err := ask(t.Context(), p, bound, silence, 2)
	if fault.KindOf(err) != fault.Exhausted || !strings.Contains(err.Error(), `view "v": 2 rows took longer than the 200ms`) ||
		!strings.Contains(err.Error(), "on standard error it said:\nsilent") {
		t.Errorf("%v", err)
	}
	if !isGone(pid.number(t, "silent")) {
		t.Error("the process is still there")
	}
	p.o.Timeout = time.Hour
	if got, err := ask(t.Context(), p, bound, 1); err != nil || got[0] != 2 {
		t.Errorf("afterwards: %v, %v", got, err)
	}
}

// lines collects what workers print.
type lines struct {
	mu  sync.Mutex
	all []string
}

func (l *lines) add(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, line)
}

// number waits for a line of a word and a number.
func (l *lines) number(t *testing.T, word string) (n int64) {
	t.Helper()
	eventually(t, "the worker prints "+word, func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return slices.ContainsFunc(l.all, func(line string) bool {
			found, _ := fmt.Sscanf(line, word+" %d", &n)
			return found == 1
		})
	})
	return n
}

// TestCancel: the end of the caller's context ends the work, wherever it is. The limits are far away: a cancellation that
// does not reach the worker hangs the test.
func TestCancel(t *testing.T) {
	var printed lines
	o := fakeOptions("good")
	o.Stderr = printed.add
	p, bound := open(t, o), bind(t, "y")
	ctx, cancel := context.WithCancel(t.Context())
	busy := make(chan error)
	go func() {
		_, err := ask(ctx, p, bound, silence)
		busy <- err
	}()
	pid := printed.number(t, "silent")

	waiting, stop := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer stop()
	if _, err := ask(waiting, p, bound, 1); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("waiting for a worker: %v", err)
	}
	cancel()
	if err := <-busy; !errors.Is(err, context.Canceled) {
		t.Errorf("at work: %v", err)
	}
	if !isGone(pid) {
		t.Error("the process is still there")
	}
	if _, err := ask(ctx, p, bound, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("before the work: %v", err)
	}
	if got, err := ask(t.Context(), p, bound, 1); err != nil || got[0] != 2 {
		t.Errorf("afterwards: %v, %v", got, err)
	}
}

func TestCancelWhileStarting(t *testing.T) {
	p, bound := open(t, fakeOptions("mute")), bind(t, "y")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := ask(ctx, p, bound, 1); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	if len(p.all) != 0 {
		t.Errorf("%d processes", len(p.all))
	}
}

// TestOffspring: what a worker started ends with it, and does not keep anybody waiting.
func TestOffspring(t *testing.T) {
	var printed lines
	o := fakeOptions("good")
	o.Stderr = printed.add
	p, bound := open(t, o), bind(t, "y")
	if _, err := ask(t.Context(), p, bound, offspring); err == nil {
		t.Error("no error")
	}
	child := printed.number(t, "child")
	eventually(t, "the child is gone", func() bool { return hasEnded(child) })
}

func TestStandardErrorIsBounded(t *testing.T) {
	var printed lines
	o := fakeOptions("good")
	o.Stderr = printed.add
	p, bound := open(t, o), bind(t, "y")
	_, err := ask(t.Context(), p, bound, chatter)
	if err == nil || !strings.HasSuffix(err.Error(), "the end, ?") || len(err.Error()) > 3000 {
		t.Errorf("%v", err)
	}
	long := 0
	for _, line := range printed.all {
		if len(line) > lineBytes {
			t.Fatalf("a line of %d bytes", len(line))
		}
		if len(line) == lineBytes {
			long++
		}
	}
	if len(printed.all) != 100_002 || printed.all[99_999] != "line 99999 "+strings.Repeat("x", 99) || printed.all[100_001] != "the end, ?" || long != 1 {
		t.Errorf("%d lines were handed on, %d of them cut", len(printed.all), long)
	}
}

// TestDeadWhileIdle: a worker that was killed between two calls is not used.
func TestDeadWhileIdle(t *testing.T) {
	p, bound := open(t, fakeOptions("good")), bind(t, "pid")
	first, err := ask(t.Context(), p, bound, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(int(first[0]), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "its end is noticed", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return !p.idle[0].alive()
	})
	if second, err := ask(t.Context(), p, bound, 1); err != nil || second[0] == first[0] {
		t.Errorf("process %v, %v; the one before was %v", second, err, first)
	}
}
