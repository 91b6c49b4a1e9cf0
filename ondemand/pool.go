package ondemand

import (
	"context"
	"fmt"
	"io/fs"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/flightd/flightd/internal/fault"
)

// Options say how workers are run. Zero values mean the defaults.
type Options struct {
	Command      []string      // the Python and its arguments, if any; python3
	Dir          string        // where it runs; the server's folder
	Timeout      time.Duration // for one batch; 1m
	StartTimeout time.Duration // until Feast is imported; 2m
	Idle         time.Duration // after which a worker without work ends; 10m
	Workers      int           // that run at most; one for each processor, at most 4
	MaxMessage   int64         // bytes of one batch, in either direction; 64 MiB

	// Stderr gets every line that a worker prints, from several goroutines; it should not take long. nil: only the last
	// lines are kept, for error messages.
	Stderr func(line string)
}

// Versions are what a worker found.
type Versions struct {
	Python  string `json:"python"`
	Feast   string `json:"feast"`
	PyArrow string `json:"pyarrow"`
	Pandas  string `json:"pandas"`
}

// errClosed is the error of what is asked after Close.
var errClosed = &fault.Error{Kind: fault.Busy, Err: fmt.Errorf("the Python of on-demand feature views: %w", fs.ErrClosed)}

// Pool runs workers. It is for concurrent use.
type Pool struct {
	o     Options
	slots chan struct{} // one for each worker that is in use
	end   chan struct{} // closed by Close
	wg    sync.WaitGroup

	mu     sync.Mutex
	closed bool
	all    map[*worker]struct{}
	idle   []*worker // the last one was used last
}

// New returns a pool without workers. The first is started when the first rows are to be transformed.
func New(o Options) *Pool {
	if len(o.Command) == 0 {
		o.Command = []string{"python3"}
	}
	o.Timeout = cmpOr(o.Timeout, time.Minute)
	o.StartTimeout = cmpOr(o.StartTimeout, 2*time.Minute)
	o.Idle = cmpOr(o.Idle, 10*time.Minute)
	o.Workers = cmpOr(o.Workers, min(4, runtime.GOMAXPROCS(0)))
	o.MaxMessage = cmpOr(o.MaxMessage, 64<<20)
	return &Pool{o: o, slots: make(chan struct{}, o.Workers), end: make(chan struct{}), all: map[*worker]struct{}{}}
}

func cmpOr[T ~int | ~int64](v, otherwise T) T {
	if v > 0 {
		return v
	}
	return otherwise
}

// Check starts a worker, if there is none, and tells what it found.
func (p *Pool) Check(ctx context.Context) (Versions, error) {
	w, err := p.take(ctx, nil)
	if err != nil {
		return Versions{}, err
	}
	defer p.give(w)
	return w.versions, nil
}

// take returns a worker that nobody else uses; one that has the definitions of t, if there is such a one.
func (p *Pool) take(ctx context.Context, t *Transformation) (*worker, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-p.end:
		return nil, errClosed
	}
	for w := p.rouse(t); w != nil; w = p.rouse(t) {
		if w.alive() {
			return w, nil
		}
		p.bury(w)
	}
	w, err := p.start(ctx)
	if err != nil {
		<-p.slots
		return nil, err
	}
	return w, nil
}

// rouse takes a worker from those that are idle, nil if there is none.
func (p *Pool) rouse(t *Transformation) *worker {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle) == 0 {
		return nil
	}
	at := len(p.idle) - 1
	for i, w := range p.idle {
		if t != nil && t.loadedBy(w) {
			at = i
		}
	}
	w := p.idle[at]
	p.idle = slices.Delete(p.idle, at, at+1)
	if w.idle.Stop() {
		p.wg.Done()
	}
	return w
}

func (t *Transformation) loadedBy(w *worker) bool {
	return !slices.ContainsFunc(t.views, func(v boundView) bool { return !w.loaded[v.ID] })
}

// start runs a new process until it is ready.
func (p *Pool) start(ctx context.Context) (*worker, error) {
	w, err := p.launch()
	if err != nil {
		return nil, err
	}
	if w.versions, err = w.greet(ctx, p.o); err == nil {
		return w, nil
	}
	p.bury(w)
	if p.isClosed() {
		return nil, errClosed
	}
	return nil, err
}

// launch holds the lock, so that Close finds every process that was started.
func (p *Pool) launch() (*worker, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, errClosed
	}
	w, err := launch(p.o, &p.wg)
	if err != nil {
		return nil, notStarted(p.o, err.Error())
	}
	p.all[w] = struct{}{}
	return w, nil
}

func (p *Pool) isClosed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closed
}

// give takes a worker back.
func (p *Pool) give(w *worker) {
	if !p.rest(w) {
		p.bury(w)
	}
	<-p.slots
}

// rest puts a worker among the idle ones, unless the pool is closed.
func (p *Pool) rest(w *worker) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.wg.Add(1)
	w.idle = time.AfterFunc(p.o.Idle, func() {
		defer p.wg.Done()
		p.retire(w)
	})
	p.idle = append(p.idle, w)
	return true
}

// discard gives the place of a worker back that has ended.
func (p *Pool) discard(w *worker) {
	p.bury(w)
	<-p.slots
}

// retire ends a worker that is still idle.
func (p *Pool) retire(w *worker) {
	p.mu.Lock()
	at := slices.Index(p.idle, w)
	if at >= 0 {
		p.idle = slices.Delete(p.idle, at, at+1)
	}
	p.mu.Unlock()
	if at >= 0 {
		p.bury(w)
	}
}

// bury ends a worker and forgets it.
func (p *Pool) bury(w *worker) {
	w.end()
	p.mu.Lock()
	delete(p.all, w)
	p.mu.Unlock()
}

// Close ends all workers, also those that are at work, and waits for them. What is asked of the pool later is an error.
func (p *Pool) Close() error {
	for _, w := range p.shut() {
		p.bury(w)
	}
	p.wg.Wait()
	return nil
}

// shut lets no more work begin, ends what runs, and returns the workers that nobody uses.
func (p *Pool) shut() []*worker {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.closed = true
		close(p.end)
	}
	for w := range p.all {
		w.kill()
	}
	idle := p.idle
	p.idle = nil
	for _, w := range idle {
		if w.idle.Stop() {
			p.wg.Done()
		}
	}
	return idle
}
