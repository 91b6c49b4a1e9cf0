package ondemand

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/flightd/flightd/internal/fault"
)

//go:embed worker.py
var program []byte

// bootstrap reads the program from standard input, where the frames come from later.
const bootstrap = "import sys; exec(compile(sys.stdin.buffer.read(int(sys.argv[2])), sys.argv[1], 'exec'), {'__name__': 'flightd_worker'})"

// lingering is how long standard error is still read when the process has ended: who inherited it may live on.
const lingering = 250 * time.Millisecond

// worker is one process. Only one goroutine uses it at a time.
type worker struct {
	cmd      *exec.Cmd
	in, out  *os.File
	tail     *tail
	versions Versions
	loaded   map[string]bool // definitions that the process has
	idle     *time.Timer     // runs while the worker waits for work

	mu     sync.Mutex
	reaped bool          // the process id is no longer ours
	done   chan struct{} // closed when the process is gone, and all that it left has been read
	exit   string        // how it ended; valid when done is closed
}

// hello is the first frame of a worker.
type hello struct {
	Versions
	Failure string `json:"failure"`
}

// launch starts a process. The goroutine that waits for it is counted in wg.
func launch(o Options, wg *sync.WaitGroup) (*worker, error) {
	w := &worker{tail: &tail{line: o.Stderr}, loaded: map[string]bool{}, done: make(chan struct{})}
	args := append(append([]string(nil), o.Command[1:]...), "-c", bootstrap, "flightd-ondemand", strconv.Itoa(len(program)), strconv.FormatInt(o.MaxMessage, 10))
	w.cmd = exec.Command(o.Command[0], args...)
	w.cmd.Dir, w.cmd.SysProcAttr = o.Dir, attributes()
	var pipes [3][2]*os.File // reading and writing end of standard input, output and error
	for i := range pipes {
		r, wr, err := os.Pipe()
		if err != nil {
			closeAll(pipes)
			return nil, fmt.Errorf("start the Python of on-demand feature views: %w", err)
		}
		pipes[i] = [2]*os.File{r, wr}
	}
	w.in, w.out = pipes[0][1], pipes[1][0]
	w.cmd.Stdin, w.cmd.Stdout, w.cmd.Stderr = pipes[0][0], pipes[1][1], pipes[2][1]
	started := make(chan error)
	wg.Go(func() { w.attend(started, pipes[2][0]) })
	if err := <-started; err != nil {
		closeAll(pipes)
		return nil, err
	}
	return w, nil
}

func closeAll(pipes [3][2]*os.File) {
	for _, p := range pipes {
		_, _ = p[0].Close(), p[1].Close() // of those that are nil or closed, an error
	}
}

// attend starts the process and waits for its end. It keeps its thread: the kernel sends the signal of a parent's death
// when the thread that made the child ends.
func (w *worker) attend(started chan<- error, stderr *os.File) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(w.done)
	err := w.cmd.Start()
	started <- err
	if err != nil {
		return
	}
	for _, f := range []any{w.cmd.Stdin, w.cmd.Stdout, w.cmd.Stderr} {
		_ = f.(*os.File).Close() // the process has its own
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		_, _ = io.Copy(w.tail, stderr) // until its end, or until the deadline below
		w.tail.flush()
	}()
	_ = w.cmd.Wait() // how it ended is in ProcessState
	w.mu.Lock()
	w.reaped = true
	w.mu.Unlock()
	killAll(w.cmd.Process) // what it started goes with it
	_ = stderr.SetReadDeadline(time.Now().Add(lingering))
	<-read
	_ = stderr.Close()
	w.exit = w.cmd.ProcessState.String()
}

// kill ends the process and all of its group.
func (w *worker) kill() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.reaped {
		killAll(w.cmd.Process)
	}
}

// end kills the process and waits until it is gone.
func (w *worker) end() {
	w.kill()
	<-w.done
	_, _ = w.in.Close(), w.out.Close()
}

// alive reports whether the process still runs.
func (w *worker) alive() bool {
	select {
	case <-w.done:
		return false
	default:
		return true
	}
}

// said is the end of standard error for an error message; the process has ended.
func (w *worker) said() string {
	if text := cut(w.tail.last(), mostLines); text != "" {
		return "; on standard error it said:\n" + text
	}
	return ""
}

// greet sends the program and waits until it says that Feast is there.
func (w *worker) greet(ctx context.Context, o Options) (Versions, error) {
	release := w.bound(ctx, o.StartTimeout)
	defer release()
	var answer hello
	_, err := w.in.Write(program)
	if err == nil {
		_, err = readFrame(w.out, 0, &answer)
	} else if _, cause := readFrame(w.out, 0, &answer); errors.Is(cause, errGarbage) {
		err = cause // it does not read, but it talks
	}
	if err == nil && answer.Failure == "" {
		return answer.Versions, nil
	}
	w.end()
	switch {
	case ctx.Err() != nil:
		return Versions{}, ctx.Err()
	case err == nil:
		return Versions{}, notStarted(o, cut(answer.Failure, mostText))
	case errors.Is(err, os.ErrDeadlineExceeded):
		return Versions{}, notStarted(o, fmt.Sprintf("no answer within %v%s", o.StartTimeout, w.said()))
	case errors.Is(err, errGarbage):
		return Versions{}, notStarted(o, cut(err.Error(), mostText)+w.said())
	}
	return Versions{}, notStarted(o, w.exit+w.said())
}

// notStarted is the error for a command that is not a Python with Feast.
func notStarted(o Options, found string) error {
	return fault.New(fault.Precondition, "on-demand feature views need a Python that can import feast; %s did not start: %s\n"+
		"Name the Python of an environment where Feast is installed, as in --feast-python .venv/bin/python or FLIGHTD_FEAST_PYTHON", strings.Join(o.Command, " "), found)
}
