package joins

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

// workers runs goroutines that all end before wait returns. The first error ends the others' context; a panic, in a
// store say, is an error of this call and not the end of the process.
type workers struct {
	group  *errgroup.Group
	ctx    context.Context
	cancel context.CancelFunc // ends the work early; wait does it, too
}

func newWorkers(ctx context.Context) *workers {
	ctx, cancel := context.WithCancel(ctx)
	group, ctx := errgroup.WithContext(ctx)
	return &workers{group, ctx, cancel}
}

func (w *workers) start(work func(context.Context) error) {
	w.group.Go(func() (err error) {
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
			}
		}()
		return work(w.ctx)
	})
}

func (w *workers) wait() error {
	defer w.cancel()
	return w.group.Wait()
}

// inParallel does n pieces of work on up to so many threads.
func inParallel(ctx context.Context, threads, n int, do func(i int) error) error {
	var next atomic.Int64
	work := newWorkers(ctx)
	for range min(threads, n) {
		work.start(func(ctx context.Context) error {
			for {
				i := int(next.Add(1)) - 1
				if i >= n || ctx.Err() != nil {
					return ctx.Err()
				}
				if err := do(i); err != nil {
					return err
				}
			}
		})
	}
	return work.wait()
}

func (o Options) threads() int {
	if o.Threads > 0 {
		return o.Threads
	}
	return runtime.GOMAXPROCS(0)
}
